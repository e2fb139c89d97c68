"""The websocket listener over real sockets: probes, refusals, frames, and clients that do not read."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from engine.appserver.dispatch import Context, Handler, Reply
from engine.appserver.transports.websocket import Websocket
from engine.errors import StartupError
from engine.notes import Everyone, Notification
from tests.appserver.fake_host import Running, serving
from tests.appserver.processes import HELLO, await_stderr, started

pytestmark = pytest.mark.anyio


def nobody_refused(authorization: str | None) -> str | None:
    return None


@asynccontextmanager
async def listening(handlers: dict[str, Handler] | None = None, **more: Any) -> AsyncIterator[tuple[Running, int]]:
    listener = Websocket("127.0.0.1", 0, more.pop("guard", nobody_refused))
    async with serving(handlers, listener, **more) as app:
        yield app, listener.port


def dial(port: int, **more: Any) -> connect:
    return connect(f"ws://127.0.0.1:{port}{more.pop('path', '/')}", compression=None, proxy=None, **more)


async def call(client: ClientConnection, message: object) -> Any:
    await client.send(json.dumps(message))
    return json.loads(await client.recv())


async def http(port: int, *head: str) -> tuple[int, str]:
    """Status and body of the answer to a request made by hand."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send("\r\n".join([*head, "Host: x", "", ""]).encode())
        answer = b""
        with anyio.fail_after(10):
            try:
                while True:
                    answer += await stream.receive()
            except anyio.EndOfStream:
                pass
    lines, _, body = answer.decode().partition("\r\n\r\n")
    return int(lines.split()[1]), body


UPGRADE = ("Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
GET = "GET / HTTP/1.1"

PLAIN = [
    (("GET /readyz HTTP/1.1",), 200, ""),
    (("GET /healthz?x=1 HTTP/1.1",), 200, ""),
    (("GET /readyz HTTP/1.1", "Origin: http://x"), 403, ""),
    ((GET, "Origin: null"), 403, ""),
    ((GET, *UPGRADE, KEY, "Origin: http://x"), 403, ""),
    ((GET,), 400, "Connection header did not include 'upgrade'"),
    (("GET /any HTTP/1.1", "Connection: close"), 400, "Connection header did not include 'upgrade'"),
    ((GET, "Connection: Upgrade"), 400, "`Upgrade` header did not include 'websocket'"),
    ((GET, "Connection: Upgrade", "Upgrade: h2c"), 400, "`Upgrade` header did not include 'websocket'"),
    ((GET, *UPGRADE), 400, "`Sec-WebSocket-Key` header missing"),
    (
        (GET, *UPGRADE[:2], KEY, "Sec-WebSocket-Version: 12"),
        400,
        "`Sec-WebSocket-Version` header did not include '13'",
    ),
]


@pytest.mark.parametrize(("head", "status", "body"), PLAIN, ids=lambda x: " | ".join(x) if isinstance(x, tuple) else "")
async def test_requests_that_are_no_acceptable_upgrade(head: tuple[str, ...], status: int, body: str) -> None:
    async with listening() as (_, port):
        assert await http(port, *head) == (status, body)


async def test_probes_need_no_token_and_everything_else_does() -> None:
    def guard(authorization: str | None) -> str | None:
        return None if authorization == "Bearer ok" else "no"

    async with listening(guard=guard) as (_, port):
        assert await http(port, "GET /readyz HTTP/1.1") == (200, "")
        assert await http(port, GET) == (400, "Connection header did not include 'upgrade'")
        assert await http(port, GET, *UPGRADE, KEY) == (401, "no")
        with pytest.raises(InvalidStatus) as refused:
            await dial(port)
        assert refused.value.response.status_code == 401
        async with dial(port, additional_headers={"Authorization": "Bearer ok"}) as client:
            assert (await call(client, HELLO))["id"] == 1


async def test_an_upgrade_on_any_path_and_one_message_per_text_frame() -> None:
    async with listening() as (_, port), dial(port, path="/some/path?x") as client:
        assert (await call(client, HELLO))["result"]["codexHome"] == "/home"
        await client.send(["{", '"id":2,', '"method":"nope"}'])
        assert json.loads(await client.recv())["id"] == 2


async def test_binary_frames_and_garbage_are_ignored_and_pings_answered() -> None:
    async with listening() as (_, port), dial(port) as client:
        await call(client, HELLO)
        await client.send(json.dumps({"id": 5, "method": "nope"}).encode())
        await client.send("garbage")
        await client.send("")
        with anyio.fail_after(10):
            await (await client.ping())
        assert (await call(client, {"id": 6, "method": "nope"}))["id"] == 6


async def test_connections_are_apart_and_leave_one_by_one() -> None:
    async with listening() as (app, port):
        async with dial(port) as first, dial(port) as second:
            await call(first, HELLO)
            assert (await call(second, {"id": "x", "method": "thread/list", "params": {}}))["error"]["message"] == (
                "Not initialized"
            )
            await first.close()
            with anyio.fail_after(10):
                while len(app.server.clients.all()) > 1:
                    await anyio.sleep(0.001)
            assert (await call(second, HELLO))["id"] == 1
        async with dial(port) as third:
            assert (await call(third, HELLO))["id"] == 1


async def test_a_long_message_each_way() -> None:
    async with listening() as (_, port), dial(port, max_size=None) as client:
        version = "9" * 5_000_000
        message = {**HELLO, "params": {"clientInfo": {"name": "x", "version": version}}}
        assert version in (await call(client, message))["result"]["userAgent"]


async def test_a_client_that_does_not_read_is_cut_off_and_never_holds_up_another() -> None:
    async def talk(ctx: Context, params: object) -> Reply:
        for _ in range(20):
            app.host.sink.publish(Notification("noise", {"text": "x" * 65536}, Everyone()))
        return Reply({})

    async with listening({"thread/list": talk}, outbox_limit=2 << 20) as (app, port), dial(port) as reader:
        await call(reader, HELLO)
        sleeper = await dial(port, max_queue=1)
        await call(sleeper, HELLO)
        heard = 0
        with anyio.fail_after(30):
            while len(app.server.clients.all()) > 1:
                await reader.send(json.dumps({"id": 2, "method": "thread/list", "params": {}}))
                while "id" not in json.loads(await reader.recv()):
                    heard += 1
                assert all(c.outbox.size <= 2 << 20 for c in app.server.clients.all())
        assert heard % 20 == 0
        with pytest.raises(ConnectionClosed), anyio.fail_after(10):
            while True:
                await sleeper.recv()


async def test_clients_are_told_when_the_server_ends() -> None:
    async with listening() as (app, port), dial(port) as client:
        await call(client, HELLO)
        app.host.sink.publish(Notification("turn/completed", {}, Everyone()))
        app.server.stop()
        with anyio.fail_after(10):
            assert json.loads(await client.recv())["method"] == "turn/completed"
            with pytest.raises(ConnectionClosed) as ended:
                await client.recv()
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1001


async def test_an_address_in_use() -> None:
    async with listening() as (_, port):
        with pytest.raises(StartupError, match=r"Address already in use \(os error 98\)"):
            Websocket("127.0.0.1", port, nobody_refused)


def test_the_banner_of_a_process_and_its_end_by_signals(tmp_path: Path) -> None:
    with started(tmp_path, ["app-server", "--listen", "ws://127.0.0.1:0"], FAKE_TURN="1") as server:
        await_stderr(server, "codex app-server (WebSockets)")
        address = await_stderr(server, "listening on: ws://127.0.0.1:").split("ws://")[1].strip()
        assert not address.endswith(":0")
        assert await_stderr(server, "readyz:").split() == ["readyz:", f"http://{address}/readyz"]
        assert await_stderr(server, "healthz:").split() == ["healthz:", f"http://{address}/healthz"]
        await_stderr(server, "note: binds localhost only")
        server.send_signal(signal.SIGINT)
        await_stderr(server, "draining")
        assert server.poll() is None
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
        assert server.stdout
        assert server.stdout.read() == b""
