"""An MCP server of a few lines that starts at once, for tests of everything that may go wrong.

    python mcp_plain.py MODE LOG

What it is sent goes to the file LOG, line by line, after its process id.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

MODE, LOG = sys.argv[1], sys.argv[2]
READ_ONLY = {"readOnlyHint": True}
TOOLS: list[dict[str, Any]] = [
    {
        "name": "echo-it",
        "title": "Echo",
        "description": "Gives it back",
        "inputSchema": {"type": "object", "properties": {"t": {"type": "string"}}},
        "annotations": READ_ONLY,
        "_meta": {"ui": {"resourceUri": "ui://plain/echo"}},
    },
    {"name": "act", "description": None, "inputSchema": {"type": "object"}},
    {"name": "sleep", "inputSchema": {"type": "object"}, "annotations": READ_ONLY},
    {"name": "ask", "inputSchema": {"type": "object"}, "annotations": READ_ONLY},
    {"name": "die", "inputSchema": {"type": "object"}, "annotations": READ_ONLY},
    {"name": "grow", "inputSchema": {"type": "object"}, "annotations": READ_ONLY},
    {"name": "broken", "inputSchema": {"type": "object"}, "annotations": READ_ONLY},
]
QUESTION = {"message": "Sure?", "requestedSchema": {"type": "object", "properties": {"why": {"type": "string"}}}}
waiting: dict[int, Callable[[dict[str, Any]], None]] = {}


def note(line: str) -> None:
    with open(LOG, "a") as file:
        file.write(line.rstrip("\n") + "\n")


def out(message: dict[str, Any]) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": said}], **more}


def call(ident: int, params: dict[str, Any]) -> None:
    match params["name"]:
        case "sleep":
            return
        case "die":
            os._exit(1)
        case "ask":
            waiting[900] = lambda answer: out(
                {"id": ident, "result": text(json.dumps(answer.get("result") or answer["error"]))}
            )
            question = (params.get("arguments") or {}).get("question", QUESTION)
            out({"id": 900, "method": "elicitation/create", "params": question})
            return
        case "grow":
            TOOLS.append({"name": "grown", "inputSchema": {"type": "object"}, "annotations": READ_ONLY})
            out({"method": "notifications/tools/list_changed"})
        case "say":
            given = params["arguments"]
            if "line" in given:
                print(given["line"], flush=True)
            if "answer" in given:
                out({"id": ident, **given["answer"]})
            return
        case "broken":
            out({"id": ident, "result": text("no good", isError=True)})
            return
        case "nothing":
            out({"id": ident, "error": {"code": -32602, "message": "unknown tool"}})
            return
    out({"id": ident, "result": text("did " + json.dumps(params.get("arguments", "nothing")))})


def serve(message: dict[str, Any]) -> None:
    ident, method, params = message.get("id"), message.get("method"), message.get("params") or {}
    if method is None:
        waiting.pop(message["id"])(message)
    elif ident is None:
        return
    elif method == "initialize":
        if MODE == "refuse":
            out({"id": ident, "error": {"code": -32000, "message": "no way"}})
        elif MODE == "nulls":
            out({"id": ident, "result": None})
        else:
            version = "1999-01-01" if MODE == "old" else params["protocolVersion"]
            about = {"name": "plain", "version": "1"}
            out({"id": ident, "result": {"protocolVersion": version, "capabilities": {}, "serverInfo": about}})
        if MODE == "leave":
            sys.exit()
    elif method == "tools/list":
        if MODE == "deaf":
            time.sleep(600)
        elif MODE == "toolless":
            out({"id": ident, "error": {"code": -32601, "message": "no tools"}})
        elif MODE == "odd":
            out({"id": ident, "result": {"tools": [{"nam": 1}]}})
        elif MODE == "endless":
            out({"id": ident, "result": {"tools": TOOLS[1:2], "nextCursor": "again"}})
        elif "cursor" in params:
            out({"id": ident, "result": {"tools": TOOLS[3:]}})
        else:
            out({"id": ident, "result": {"tools": TOOLS[:3], "nextCursor": "more"}})
    elif method == "tools/call":
        call(ident, params)
    elif method == "resources/list":
        out({"id": ident, "result": {"resources": [{"uri": "plain://a", "name": "a", "description": None}]}})
    elif method == "resources/read" and params["uri"] == "plain://a":
        out({"id": ident, "result": {"contents": [{"uri": "plain://a", "text": "aye"}]}})
    else:
        out({"id": ident, "error": {"code": -32002, "message": "not found"}})


note(str(os.getpid()))
if MODE == "exit":
    sys.exit(3)
if MODE == "hang":
    time.sleep(600)
if MODE == "chatty":
    print("Welcome to the server!", flush=True)
    print("It has started.", file=sys.stderr, flush=True)
for line in sys.stdin:
    note(line)
    serve(json.loads(line))
note("ended")
