"""The servers of a thread: how they start, fail, answer, ask and end. Real processes that speak the protocol."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from engine.mcp.config import ServerConfig, server
from engine.mcp.errors import McpFailed
from engine.mcp.server import Server, Status, _Limit
from engine.mcp.servers import Servers

PLAIN = str(Path(__file__).with_name("mcp_plain.py"))
pytestmark = pytest.mark.anyio


class Watcher:
    """Takes note; answers questions after a while."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Status, str | None]] = []
        self.asked: list[Mapping[str, Any]] = []
        self.thinks = 0.0
        self.content: dict[str, Any] = {"why": "so"}

    def status(self, name: str, status: Status, error: str | None) -> None:
        self.told.append((name, status, error))

    async def elicit(self, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append(params)
        await anyio.sleep(self.thinks)
        return {"action": "accept", "content": self.content}


def plain(folder: Path, mode: str = "good", name: str = "plain", **table: Any) -> ServerConfig:
    return server(name, {"command": sys.executable, "args": [PLAIN, mode, str(folder / f"{name}.log")], **table})


@asynccontextmanager
async def running(*configs: ServerConfig, watcher: Watcher | None = None) -> AsyncIterator[Servers]:
    servers = Servers({each.name: each for each in configs}, Path("/nonexistent"), watcher or Watcher())
    async with anyio.create_task_group() as tasks:
        servers.start(tasks)
        with anyio.fail_after(30):
            await servers.settled()
            yield servers
        tasks.cancel_scope.cancel()


def received(folder: Path, name: str = "plain") -> list[dict[str, Any]]:
    """What the server was sent."""
    lines = (folder / f"{name}.log").read_text().splitlines()
    return [msgspec.json.decode(line) for line in lines if line.startswith("{")]


def alive(folder: Path, name: str = "plain") -> bool:
    try:
        os.kill(int((folder / f"{name}.log").read_text().split()[0]), 0)
    except ProcessLookupError:
        return False
    return True


async def call(servers: Servers, tool: str, arguments: bytes | None = None) -> dict[str, Any]:
    raw = None if arguments is None else msgspec.Raw(arguments)
    return await servers.call("plain", tool, raw, {"threadId": "t"}, lambda message: None)


async def failure(servers: Servers, tool: str, arguments: bytes | None = None, name: str = "plain") -> str:
    raw = None if arguments is None else msgspec.Raw(arguments)
    with pytest.raises(McpFailed) as failed:
        await servers.call(name, tool, raw, {}, lambda message: None)
    return failed.value.text


# -- start


async def test_we_introduce_ourselves_as_the_reference_does(tmp_path: Path) -> None:
    async with running(plain(tmp_path)):
        pass
    [first, second, *_] = received(tmp_path)
    assert first["method"] == "initialize"
    assert first["params"] == {
        "protocolVersion": "2025-06-18",
        "capabilities": {"elicitation": {"form": {}}},
        "clientInfo": {"name": "codex-mcp-client", "title": "Codex", "version": "0.125.0"},
    }
    assert second["method"] == "notifications/initialized"


async def test_all_start_first_in_name_order(tmp_path: Path) -> None:
    watcher = Watcher()
    off = plain(tmp_path, name="off", enabled=False)
    async with running(plain(tmp_path, name="b"), off, plain(tmp_path, name="a"), watcher=watcher) as servers:
        assert servers.server("off") is None
    assert watcher.told[:2] == [("b", "starting", None), ("a", "starting", None)]
    assert sorted(watcher.told[2:]) == [("a", "ready", None), ("b", "ready", None)]


LATE = (
    "MCP client for `plain` timed out after 0 seconds. Add or adjust `startup_timeout_sec` in your config.toml:\n"
    "[mcp_servers.plain]\nstartup_timeout_sec = XX"
)


@pytest.mark.parametrize(
    ("mode", "limit", "error"),
    [
        ("exit", 20, "handshaking with MCP server failed: connection closed: initialize response"),
        ("refuse", 20, "handshaking with MCP server failed: JSON-RPC error: -32000: no way"),
        ("leave", 20, "Transport closed"),
        ("toolless", 20, "Mcp error: -32601: no tools"),
        ("odd", 20, "Unexpected response type"),
        (
            "nulls",
            20,
            "handshaking with MCP server failed: expect initialized result, but received: Some("
            "CustomResult(CustomResult(Null)))",
        ),
        ("chatty", 20, "handshaking with MCP server failed: connection closed: initialize response"),
        ("hang", 0.5, LATE),
        ("deaf", 2, "timed out awaiting tools/list after 2s"),
    ],
)
async def test_a_failed_start_says_why(tmp_path: Path, mode: str, limit: float, error: str) -> None:
    """Recorded."""
    watcher = Watcher()
    async with running(plain(tmp_path, mode, startup_timeout_sec=limit), watcher=watcher) as servers:
        assert not servers.tools()
        wanted = "failed to get client: MCP startup failed: "
        assert (await failure(servers, "echo-it")).startswith(wanted)
    start = "MCP client for `plain` failed to start: MCP startup failed: "
    assert watcher.told[1] == ("plain", "failed", error if error == LATE else start + error)
    assert not alive(tmp_path)


@pytest.mark.parametrize(
    ("table", "error"),
    [
        ({"command": "/nonexistent/x"}, "No such file or directory (os error 2)"),
        ({"command": "/etc/passwd"}, "Permission denied (os error 13)"),
        ({"command": sys.executable, "cwd": "/nonexistent"}, "No such file or directory (os error 2)"),
        (
            {"url": "http://127.0.0.1:9/x", "bearer_token_env_var": "NO_SUCH_TOKEN"},
            "Environment variable NO_SUCH_TOKEN for MCP server 'x' is not set",
        ),
    ],
)
async def test_what_cannot_start_at_all(table: dict[str, Any], error: str) -> None:
    watcher = Watcher()
    async with running(server("x", table), watcher=watcher):
        pass
    assert watcher.told[1] == ("x", "failed", f"MCP client for `x` failed to start: MCP startup failed: {error}")


async def test_a_name_the_model_could_not_say_is_refused(tmp_path: Path) -> None:
    async with running(plain(tmp_path, name="bad name")) as servers:
        assert "must match pattern ^[a-zA-Z0-9_-]+$" in await failure(servers, "x", name="bad name")


async def test_required_servers_are_waited_for_and_named(tmp_path: Path) -> None:
    missing = server("m", {"command": "/nonexistent/x", "required": True})
    off = server("o", {"command": "/nonexistent/x", "required": True, "enabled": False})
    async with running(missing, off, plain(tmp_path, required=True)) as servers:
        with pytest.raises(McpFailed) as failed:
            await servers.required()
    assert failed.value.text == ("required MCP servers failed to initialize: m: No such file or directory (os error 2)")


async def test_an_unknown_version_does_no_harm(tmp_path: Path) -> None:
    async with running(plain(tmp_path, "old")) as servers:
        assert {tool.server for tool in servers.tools()} == {"plain"}


async def test_a_listing_that_goes_round_ends_where_it_began(tmp_path: Path) -> None:
    async with running(plain(tmp_path, "endless")) as servers:
        assert [tool.name for tool in servers.tools()] == ["act"]


# -- tools


async def test_all_pages_of_tools_are_offered_by_names_the_model_can_say(tmp_path: Path) -> None:
    async with running(plain(tmp_path)) as servers:
        names = [tool.named.name for tool in servers.tools()]
        assert names == ["act", "ask", "broken", "die", "echo_it", "grow", "sleep"]
        found = servers.find("mcp__plain__", "echo_it")
        assert found is not None and servers.find(None, "echo_it") is None and servers.find("mcp__plain__", "x") is None
        assert (found.name, found.title, found.resource_uri) == ("echo-it", "Echo", "ui://plain/echo")
        assert found.hints.read_only_hint is True


async def test_the_configuration_says_which_tools_there_are(tmp_path: Path) -> None:
    config = plain(tmp_path, enabled_tools=["echo-it", "act"], disabled_tools=["act"])
    async with running(config) as servers:
        assert [tool.name for tool in servers.tools()] == ["echo-it"]
        assert await failure(servers, "act") == "tool 'act' is disabled for MCP server 'plain'"


async def test_a_server_may_come_to_have_more_tools(tmp_path: Path) -> None:
    async with running(plain(tmp_path)) as servers:
        await call(servers, "grow")
        while servers.find("mcp__plain__", "grown") is None:
            await anyio.sleep(0.005)


# -- requests


async def test_a_call_gives_what_the_server_says(tmp_path: Path) -> None:
    async with running(plain(tmp_path)) as servers:
        assert (await call(servers, "echo-it", b'{"t":1}'))["content"][0]["text"] == 'did {"t": 1}'
        assert (await call(servers, "echo-it"))["content"][0]["text"] == 'did "nothing"'
    sent = [each["params"] for each in received(tmp_path) if each["method"] == "tools/call"]
    assert sent[0]["arguments"] == {"t": 1} and "arguments" not in sent[1]
    assert [each["_meta"] for each in sent] == [{"threadId": "t", "progressToken": n} for n in (2, 3)]


async def test_requests_are_numbered_as_the_reference_numbers_them(tmp_path: Path) -> None:
    """From 0, with a token for progress in all but the first (observed); some servers show either."""
    async with running(plain(tmp_path)):
        pass
    requests = [each for each in received(tmp_path) if "id" in each]
    assert [each["id"] for each in requests] == [0, 1, 2]
    assert [each["params"].get("_meta") for each in requests] == [None, {"progressToken": 0}, {"progressToken": 1}]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"result": None}, "Unexpected response type"),
        ({"result": [1]}, "Unexpected response type"),
        ({"result": {"content": []}}, "Unexpected response type"),
        ({"error": {"code": 5, "message": "no", "data": {"why": [1, None]}}}, 'Mcp error: 5: no({"why":[1,null]})'),
    ],
)
async def test_an_answer_that_is_none_fails_its_request_alone(tmp_path: Path, answer: object, error: str) -> None:
    """Recorded. The SDK alone would let the caller wait."""
    async with running(plain(tmp_path)) as servers:
        given = msgspec.json.encode({"answer": answer})
        assert await failure(servers, "say", given) == f"tool call failed for `plain/say`: {error}"
        assert (await call(servers, "act"))["content"]


@pytest.mark.parametrize("line", ["It goes well.", "", "[]", '{"id": 1}', '{"jsonrpc": "2.0"}'])
async def test_noise_on_stdout_ends_the_connection(tmp_path: Path, line: str) -> None:
    """Recorded."""
    async with running(plain(tmp_path)) as servers:
        given = msgspec.json.encode({"line": line})
        assert await failure(servers, "say", given) == "tool call failed for `plain/say`: Transport closed"
        while alive(tmp_path):
            await anyio.sleep(0.005)


@pytest.mark.parametrize(
    "line", ['{"jsonrpc": "2.0", "method": "x", "params": [1]}', '{"jsonrpc": "2.0", "id": 99, "result": {}}']
)
async def test_what_nobody_asked_for_is_passed_over(tmp_path: Path, line: str) -> None:
    async with running(plain(tmp_path)) as servers:
        given = msgspec.json.encode({"line": line, "answer": {"result": {"structuredContent": 1}}})
        assert await call(servers, "say", given) == {"content": [], "structuredContent": 1}


async def test_why_a_call_fails(tmp_path: Path) -> None:
    """Recorded."""
    async with running(plain(tmp_path, tool_timeout_sec=0.3)) as servers:
        assert await failure(servers, "x", name="nope") == "unknown MCP server 'nope'"
        start = "tool call failed for `plain/"
        not_object = "MCP tool arguments must be a JSON object, got [1]"
        assert await failure(servers, "act", b"[1]") == f"{start}act`: {not_object}"
        assert await failure(servers, "nothing") == f"{start}nothing`: Mcp error: -32602: unknown tool"
        assert await failure(servers, "sleep") == f"{start}sleep`: timed out awaiting tools/call after 300ms"
        assert await failure(servers, "die") == f"{start}die`: Transport closed"
        assert await failure(servers, "act") == f"{start}act`: Transport closed"


async def test_a_call_nobody_waits_for_is_cancelled_at_the_server(tmp_path: Path) -> None:
    async with running(plain(tmp_path)) as servers:
        with anyio.move_on_after(0.2):
            await call(servers, "sleep")
        await call(servers, "act")
    sent = received(tmp_path)
    [asleep] = [each for each in sent if (each.get("params") or {}).get("name") == "sleep"]
    [cancelled] = [each for each in sent if each["method"] == "notifications/cancelled"]
    assert cancelled["params"]["requestId"] == asleep["id"]


async def test_resources(tmp_path: Path) -> None:
    dead = server("dead", {"command": "/nonexistent/x"})
    async with running(plain(tmp_path), dead) as servers:
        assert await servers.read("plain", "plain://a") == {"contents": [{"uri": "plain://a", "text": "aye"}]}
        with pytest.raises(McpFailed) as failed:
            await servers.read("plain", "plain://b")
        assert failed.value.text == "resources/read failed for `plain` (plain://b): Mcp error: -32002: not found"
        listed = await servers.list_all("resources/list", "resources")
        assert list(listed) == ["plain"] and listed["plain"][0]["uri"] == "plain://a"
        assert await servers.list_all("resources/templates/list", "resourceTemplates") == {}


# -- questions


async def test_while_the_user_thinks_the_time_of_a_call_stands_still(tmp_path: Path) -> None:
    watcher = Watcher()
    watcher.thinks = 0.6
    async with running(plain(tmp_path, tool_timeout_sec=0.3), watcher=watcher) as servers:
        answer = await call(servers, "ask")
    assert msgspec.json.decode(answer["content"][0]["text"]) == {"action": "accept", "content": {"why": "so"}}
    assert watcher.asked[0]["message"] == "Sure?"


async def test_a_call_that_begins_while_the_user_thinks_is_held_by_later_questions_only(tmp_path: Path) -> None:
    answers = {name: anyio.Event() for name in ("first", "second")}

    class Slow(Watcher):
        async def elicit(self, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
            await answers[params["message"]].wait()
            return {}

    asking = Server(plain(tmp_path), {}, tmp_path, Slow())
    ended = {name: anyio.Event() for name in answers}

    async def ask(message: str) -> None:
        await asking.elicit({"message": message})
        ended[message].set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, "first")
        await anyio.wait_all_tasks_blocked()
        call = _Limit(1000)
        asking._limits.add(call)
        tasks.start_soon(ask, "second")
        await anyio.wait_all_tasks_blocked()
        answers["first"].set()
        await ended["first"].wait()
        assert call.scope.deadline == float("inf")
        answers["second"].set()
        await ended["second"].wait()
        assert call.scope.deadline < float("inf")


# -- end


async def test_no_process_is_left_behind(tmp_path: Path) -> None:
    async with running(plain(tmp_path), plain(tmp_path, name="other")):
        assert alive(tmp_path) and alive(tmp_path, "other")
    assert not alive(tmp_path) and not alive(tmp_path, "other")
    assert (tmp_path / "plain.log").read_text().endswith("ended\n")


async def test_a_start_that_is_given_up_is_told_as_cancelled(tmp_path: Path) -> None:
    watcher = Watcher()
    servers = Servers({"plain": plain(tmp_path, "hang")}, tmp_path, watcher)
    async with anyio.create_task_group() as tasks:
        servers.start(tasks)
        while not (tmp_path / "plain.log").exists():
            await anyio.sleep(0.005)
        tasks.cancel_scope.cancel()
    assert watcher.told == [("plain", "starting", None), ("plain", "cancelled", None)]
    assert not alive(tmp_path)


async def test_replaced_servers_end_and_new_ones_start(tmp_path: Path) -> None:
    async with running(plain(tmp_path)) as servers:
        servers.refresh()
        assert servers.server("plain") is not None
        servers.replace_later({"next": plain(tmp_path, name="next")})
        assert servers.server("next") is None
        servers.refresh()
        await servers.settled()
        assert {tool.server for tool in servers.tools()} == {"next"}
        while alive(tmp_path):
            await anyio.sleep(0.005)
