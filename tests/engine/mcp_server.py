"""A real MCP server for tests, made with the official SDK: over stdio, or over HTTP on a port it prints.

    python -m tests.engine.mcp_server [http]

Its process writes what it is asked to do to the file that `MCP_TEST_LOG` names, one word a line.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import Annotated, Any

import anyio
import mcp_types as types
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

READ_ONLY = types.ToolAnnotations(read_only_hint=True)
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

server = MCPServer("test-server", instructions="Tools that do little.")


class Person(BaseModel):
    """What `ask` wants to know."""

    name: str
    age: Annotated[int, Field(ge=0)] = 0


def log(word: str) -> None:
    if path := os.environ.get("MCP_TEST_LOG"):
        with Path(path).open("a") as file:
            file.write(word + "\n")


@server.tool(annotations=READ_ONLY, meta={"ui": {"resourceUri": "ui://test/echo"}}, structured_output=False)
def echo(text: str) -> str:
    """Give the text back."""
    return f"echo: {text}"


@server.tool(annotations=READ_ONLY)
def numbers(count: int) -> dict[str, int]:
    """Structured output."""
    return {str(n): n * n for n in range(count)}


@server.tool(structured_output=False)
def write(path: str) -> str:
    """Says nothing of its effects."""
    log(f"write {path}")
    return "written"


@server.tool(annotations=READ_ONLY, structured_output=False)
def pixel() -> list[types.ContentBlock]:
    """An image."""
    return [
        types.TextContent(type="text", text="a pixel"),
        types.ImageContent(type="image", data=PIXEL, mime_type="image/png"),
    ]


@server.tool(annotations=READ_ONLY, structured_output=False)
async def count(ctx: Context) -> str:
    """Tells how far it is."""
    for number in range(3):
        await ctx.report_progress(number, 3, f"at {number}")
    return "counted"


@server.tool(annotations=READ_ONLY, structured_output=False)
async def wait() -> str:
    """Never ends by itself."""
    log("waiting")
    try:
        await anyio.sleep(600)
    except asyncio.CancelledError:
        log("cancelled")
        raise
    return "waited"


@server.tool(annotations=READ_ONLY, structured_output=False)
async def ask(ctx: Context) -> str:
    """Asks the user."""
    answer = await ctx.elicit("Who are you?", Person)
    return answer.model_dump_json()


@server.tool(annotations=READ_ONLY, structured_output=False)
def fail() -> str:
    """Fails as a tool."""
    raise ValueError("it broke")


@server.tool(annotations=READ_ONLY, structured_output=False)
def refuse() -> str:
    """Fails as a request."""
    raise MCPError(code=-32001, message="not now")


@server.tool(annotations=READ_ONLY, structured_output=False)
async def seen(ctx: Context) -> dict[str, Any]:
    """What came with the request."""
    request = ctx.request_context.request
    headers = dict(request.headers) if isinstance(request, Request) else {}
    return {"meta": dict(ctx.request_context.meta or {}), "headers": headers}


@server.resource("test://greeting", name="greeting", mime_type="text/plain")
def greeting() -> str:
    """A text."""
    return "hello"


@server.resource("test://square/{n}", name="square")
def square(n: str) -> str:
    """A template."""
    return str(int(n) ** 2)


async def forget(request: Request) -> Response:
    """Lose all sessions, as a server does that was started anew."""
    lost = len(server.session_manager._server_instances)
    server.session_manager._server_instances.clear()
    return JSONResponse({"lost": lost})


server.custom_route("/sessions", methods=["DELETE"])(forget)


async def _serve_http() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(server.streamable_http_app(), log_level="error")
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    log("started")
    if "http" in sys.argv[1:]:
        asyncio.run(_serve_http())
    else:
        server.run()
    log("ended")
