"""MCP servers over streamable HTTP: a real server of the SDK, and what becomes of a connection that fails."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import httpx2
import msgspec
import pytest

from engine.mcp import http
from engine.mcp.config import server
from engine.mcp.errors import McpFailed
from engine.mcp.http import WORKER
from engine.mcp.server import Server
from engine.mcp.servers import Servers
from tests.engine.test_mcp_servers import Watcher

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A running server."""
    program = [sys.executable, "-m", "tests.engine.mcp_server", "http"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(program, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.terminate()


@asynccontextmanager
async def running(table: Mapping[str, Any], watcher: Watcher | None = None) -> AsyncIterator[Servers]:
    servers = Servers({"h": server("h", table)}, Path("/nonexistent"), watcher or Watcher())
    async with anyio.create_task_group() as tasks:
        servers.start(tasks)
        with anyio.fail_after(30):
            await servers.settled()
            yield servers
        tasks.cancel_scope.cancel()


async def call(servers: Servers, tool: str, heard: list[str | None] | None = None, **arguments: Any) -> Any:
    raw = msgspec.Raw(msgspec.json.encode(arguments))
    return await servers.call("h", tool, raw, {"threadId": "t"}, (heard if heard is not None else []).append)


async def test_a_server_is_reached_with_its_headers(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "MY_TOKEN", "secret")
    monkeypatch.setitem(os.environ, "MY_HEADER", "b")
    monkeypatch.setitem(os.environ, "BLANK", " ")
    table = {
        "url": f"{url}/mcp",
        "bearer_token_env_var": "MY_TOKEN",
        "http_headers": {"X-A": " a", "X-D": "ü", "X-E": "1\n2", "X F": "1"},
        "env_http_headers": {"X-B": "MY_HEADER", "X-C": "NO_SUCH", "X-G": "BLANK"},
    }
    async with running(table) as servers:
        answer = await call(servers, "seen")
        assert servers.find("mcp__h__", "echo") is not None
    seen = msgspec.json.decode(answer["content"][0]["text"])
    headers = seen["headers"]
    assert (headers["authorization"], headers["x-a"], headers["x-b"]) == ("Bearer secret", "a", "b")
    assert not headers.keys() & {"x-c", "x-d", "x-e", "x f", "x-g"}
    assert headers["mcp-protocol-version"] == "2025-06-18"
    assert seen["meta"]["threadId"] == "t"


async def test_results_progress_and_resources(url: str) -> None:
    heard: list[str | None] = []
    async with running({"url": f"{url}/mcp"}) as servers:
        assert (await call(servers, "numbers", count=2))["structuredContent"] == {"0": 0, "1": 1}
        assert (await call(servers, "count", heard))["content"][0]["text"] == "counted"
        failed = await call(servers, "fail")
        assert failed["isError"] is True and "fail" in failed["content"][0]["text"]
        with pytest.raises(McpFailed) as refused:
            await call(servers, "refuse")
        assert refused.value.text == "tool call failed for `h/refuse`: Mcp error: -32001: not now"
        assert (await servers.read("h", "test://square/7"))["contents"][0]["text"] == "49"
        templates = await servers.list_all("resources/templates/list", "resourceTemplates")
        assert templates["h"][0]["uriTemplate"] == "test://square/{n}"
    assert sorted(map(str, heard)) == ["at 0", "at 1", "at 2"]


async def test_a_server_may_ask_while_it_is_called(url: str) -> None:
    watcher = Watcher()
    watcher.content = {"name": "Ann"}
    async with running({"url": f"{url}/mcp"}, watcher) as servers:
        answer = await call(servers, "ask")
    assert watcher.asked[0]["message"] == "Who are you?"
    assert '"name":"Ann"' in answer["content"][0]["text"]


async def test_a_lost_session_is_begun_anew(url: str) -> None:
    watcher = Watcher()
    async with running({"url": f"{url}/mcp"}, watcher) as servers, httpx2.AsyncClient() as client:
        assert (await client.delete(f"{url}/sessions")).json()["lost"] >= 1
        assert (await call(servers, "echo", text="again"))["content"][0]["text"] == "echo: again"
    assert watcher.told == [("h", "starting", None), ("h", "ready", None)]


async def test_a_server_that_is_not_there() -> None:
    watcher = Watcher()
    async with running({"url": "http://127.0.0.1:9/mcp"}, watcher):
        pass
    assert watcher.told[1][2] == (
        "MCP client for `h` failed to start: MCP startup failed: handshaking with MCP server failed: "
        f"Send message error Transport [{WORKER}] error: Client error: HTTP request failed: http/request failed: "
        "error sending request for url (http://127.0.0.1:9/mcp), when send initialize request"
    )


class Odd:
    """An HTTP server that answers every request of the protocol with the same response."""

    def __init__(self, status: int, kind: str, body: bytes) -> None:
        typed = f"Content-Type: {kind}\r\n" if kind else ""
        head = f"HTTP/1.1 {status} X\r\n{typed}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self.response = head.encode() + body

    async def serve(self, stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(self.response)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (Odd(404, "text/plain", b"not here"), 'Unexpected content type: Some("text/plain; body: not here")'),
        (Odd(200, "text/html", b"<p>"), 'Unexpected content type: Some("text/html; body: <p>")'),
        (Odd(404, "", b""), 'Unexpected content type: Some("missing-content-type; body: ")'),
        (
            Odd(500, "text/plain", b"x" * 8191 + "é".encode() * 5),
            f'Unexpected content type: Some("text/plain; body: {"x" * 8191}... (truncated 10 bytes)")',
        ),
        (Odd(401, "application/json", b""), "Deserialize error: EOF while parsing a value at line 1 column 0"),
        (Odd(200, "application/json", b"{nope"), "Deserialize error: key must be a string at line 1 column 2"),
        (
            Odd(403, "application/json", b'{"detail": "no"}'),
            "Deserialize error: data did not match any variant of untagged enum JsonRpcMessage",
        ),
        (Odd(202, "text/plain", b""), None),
        (Odd(200, "text/event-stream", b"event: ping\n\n"), None),
    ],
)
async def test_an_answer_that_is_no_message_says_what_it_is(response: Odd, error: str | None) -> None:
    """Recorded."""
    watcher = Watcher()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, response.serve)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with running({"url": f"http://127.0.0.1:{port}/mcp"}, watcher):
            pass
        tasks.cancel_scope.cancel()
    start = "MCP client for `h` failed to start: MCP startup failed: handshaking with MCP server failed: "
    if error is None:
        wanted = "connection closed: initialize response"
    else:
        wanted = f"Send message error Transport [{WORKER}] error: {error}, when send initialize request"
    assert watcher.told[1][2] == start + wanted


async def test_a_port_that_is_none_is_told() -> None:
    watcher = Watcher()
    async with running({"url": "http://127.0.0.1:99999/mcp"}, watcher):
        pass
    assert "http/request url is invalid: invalid port number, when send initialize request" in str(watcher.told[1][2])


async def test_a_server_that_does_not_answer_the_goodbye_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "GOODBYE_SECONDS", 0.05)

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            request = await stream.receive()
            if request.startswith(b"DELETE"):
                await anyio.sleep_forever()
            introduction = {
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "serverInfo": {"name": "x", "version": ""},
            }
            body = msgspec.json.encode({"jsonrpc": "2.0", "id": 0, "result": introduction})
            if b"initialize" not in request:
                body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "no"}})
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            await stream.send(f"{head}Mcp-Session-Id: s\r\nConnection: close\r\n\r\n".encode() + body)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        table = {"url": f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}/mcp"}
        with anyio.fail_after(60):
            await Server(server("h", table), os.environ, Path("/nonexistent"), Watcher()).run()
        tasks.cancel_scope.cancel()
