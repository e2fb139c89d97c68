"""The unix socket: frames from the first byte on, a private file, and the proxy to it."""

from __future__ import annotations

import json
import os
import socket
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, OPEN, Protocol

from engine.appserver.dispatch import Context, Handler, Reply
from engine.appserver.transports import unix
from engine.appserver.transports.control import default_path
from engine.appserver.transports.unix import UnixSocket
from engine.errors import StartupError
from engine.notes import Everyone, Notification
from tests.appserver.fake_host import Running, serving
from tests.appserver.processes import HELLO, started

pytestmark = pytest.mark.anyio


class FrameClient:
    """A client that speaks websocket frames over a byte stream without a handshake."""

    def __init__(self, stream: SocketStream) -> None:
        self.stream = stream
        self.frames = Protocol(CLIENT, state=OPEN, max_size=None)
        self.arrived: list[Frame] = []

    async def flush(self) -> None:
        for data in self.frames.data_to_send():
            await self.stream.send(data)

    async def send(self, message: object) -> None:
        self.frames.send_text(json.dumps(message).encode())
        await self.flush()

    async def frame(self) -> Frame:
        with anyio.fail_after(10):
            while not self.arrived:
                self.frames.receive_data(await self.stream.receive())
                self.arrived += [e for e in self.frames.events_received() if isinstance(e, Frame)]
        return self.arrived.pop(0)

    async def call(self, message: object) -> Any:
        await self.send(message)
        return json.loads(bytes((await self.frame()).data))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return default_path(tmp_path)


@asynccontextmanager
async def listening(path: Path, handlers: dict[str, Handler] | None = None, **more: Any) -> AsyncIterator[Running]:
    async with serving(handlers, UnixSocket(path), **more) as app:
        yield app


@asynccontextmanager
async def dial(path: Path) -> AsyncIterator[FrameClient]:
    async with await anyio.connect_unix(path) as stream:
        yield FrameClient(stream)


async def test_frames_without_a_handshake(path: Path) -> None:
    async with listening(path), dial(path) as client:
        assert (await client.call(HELLO))["result"]["codexHome"] == "/home"
        assert (await client.call({"id": "x", "method": "nope"}))["id"] == "x"


async def test_fragments_binary_frames_garbage_and_pings(path: Path) -> None:
    async with listening(path), dial(path) as client:
        await client.call(HELLO)
        client.frames.send_text(b'{"id":2,', fin=False)
        client.frames.send_continuation(b'"method":"nope"}', fin=True)
        await client.flush()
        assert json.loads(bytes((await client.frame()).data))["id"] == 2
        client.frames.send_binary(b'{"id":3,"method":"nope"}')
        client.frames.send_text(b"garbage \xff")
        client.frames.send_ping(b"hello")
        await client.flush()
        pong = await client.frame()
        assert (pong.opcode, pong.data) == (Opcode.PONG, b"hello")
        assert (await client.call({"id": 4, "method": "nope"}))["id"] == 4


@pytest.mark.parametrize(
    "first", [b'{"id":1,"method":"initialize"}\n', b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"]
)
async def test_bytes_that_are_no_masked_frame_end_the_connection(path: Path, first: bytes) -> None:
    async with listening(path) as app:
        async with await anyio.connect_unix(path) as stream:
            await stream.send(first)
            with anyio.fail_after(10), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                while True:
                    await stream.receive()
        async with dial(path) as client:
            assert (await client.call(HELLO))["id"] == 1
        assert app.host.calls[0] == ("gone", 0)


async def test_a_client_that_closes_properly_is_answered(path: Path) -> None:
    async with listening(path), dial(path) as client:
        await client.call(HELLO)
        client.frames.send_close(1000)
        await client.flush()
        assert (await client.frame()).opcode is Opcode.CLOSE


async def test_long_messages_each_way(path: Path) -> None:
    async with listening(path), dial(path) as client:
        version = "9" * 3_000_000
        answer = await client.call({**HELLO, "params": {"clientInfo": {"name": "x", "version": version}}})
        assert version in answer["result"]["userAgent"]


async def test_a_client_that_does_not_read_is_cut_off(path: Path) -> None:
    async def talk(ctx: Context, params: object) -> Reply:
        app.host.sink.publish(Notification("noise", {"text": "x" * 65536}, Everyone()))
        return Reply({})

    async with listening(path, {"thread/list": talk}, outbox_limit=1 << 20) as app, dial(path) as reader:
        await reader.call(HELLO)
        async with dial(path) as sleeper:
            await sleeper.call(HELLO)
            with anyio.fail_after(30):
                while len(app.server.clients.all()) > 1:
                    assert (await reader.call({"id": 2, "method": "thread/list", "params": {}}))["method"] == "noise"
                    assert json.loads(bytes((await reader.frame()).data))["id"] == 2


async def test_the_socket_is_private_and_removed_at_the_end(path: Path) -> None:
    async with listening(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.exists()


async def test_a_socket_left_by_a_killed_server_is_replaced(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with listening(path), dial(path) as client:
        assert (await client.call(HELLO))["id"] == 1


async def test_a_server_that_has_too_many_files_open_accepts_clients_later(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    accept = socket.socket.accept
    failures = [OSError(24, "Too many open files")] * 2

    def refuse_at_first(listener: socket.socket) -> Any:
        accepted = accept(listener)
        if failures:
            accepted[0].close()
            raise failures.pop()
        return accepted

    monkeypatch.setattr(socket.socket, "accept", refuse_at_first)
    monkeypatch.setattr(unix, "RETRY", 0)
    async with listening(path):
        for _ in range(2):
            async with await anyio.connect_unix(path) as lost:
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await lost.receive()
        async with dial(path) as client:
            assert (await client.call(HELLO))["id"] == 1
    assert "Too many open files" in caplog.text


async def test_a_path_that_is_taken(path: Path, tmp_path: Path) -> None:
    async with listening(path):
        with pytest.raises(StartupError) as refused:
            UnixSocket(path)
        assert refused.value.message == f"app-server control socket is already in use at {path}"
    plain = tmp_path / "plain"
    plain.write_text("precious")
    with pytest.raises(StartupError) as refused:
        UnixSocket(plain)
    assert refused.value.message == f"app-server control socket path exists and is not a socket: {plain}"
    assert plain.read_text() == "precious"


async def test_the_socket_of_a_later_server_is_left_alone(path: Path) -> None:
    async with listening(path):
        path.unlink()
        later = UnixSocket(path)
    assert path.exists()
    del later


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x/y/z.sock", r"^No such file or directory \(os error 2\)$"),
        ("/dev/null/x.sock", r"^File exists \(os error 17\)$"),
        ("x" * 200, "^AF_UNIX path too long$"),
    ],
)
async def test_a_path_that_cannot_be_a_socket(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(StartupError, match=reason):
        UnixSocket(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_process_on_the_default_path_and_a_proxy_to_it(tmp_path: Path, path: Path) -> None:
    client = Protocol(CLIENT, state=OPEN)
    client.send_text(json.dumps(HELLO).encode())
    with started(tmp_path, ["app-server", "--listen", "unix://"]) as server:
        while not path.exists():
            assert server.poll() is None
            time.sleep(0.01)
        with started(tmp_path, ["app-server", "proxy"]) as proxy:
            assert proxy.stdin
            assert proxy.stdout
            proxy.stdin.write(b"".join(client.data_to_send()))
            proxy.stdin.flush()
            while not (frames := client.events_received()):
                client.receive_data(os.read(proxy.stdout.fileno(), 65536))
            assert isinstance(frames[0], Frame)
            assert json.loads(bytes(frames[0].data))["result"]["codexHome"] == str(tmp_path)
            proxy.stdin.close()
            assert proxy.wait(20) == 0
        assert server.poll() is None
        server.terminate()
        assert server.wait(20) == 0
    assert not path.exists()
