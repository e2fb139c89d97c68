"""stdio: one message per line, nothing else on stdout, a clean end with the input."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tty
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from engine.appserver.dispatch import Context, Reply
from engine.appserver.transports.stdio import Stdio, lines
from engine.errors import Internal
from engine.notes import Everyone, Notification
from tests.appserver.fake_host import serving
from tests.appserver.processes import HELLO, PROGRAM, await_stderr, environment, receive, run, send, started

pytestmark = pytest.mark.anyio

TALK = {"id": 2, "method": "thread/list", "params": {}}


def requests(*messages: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


def read_messages(fd: int, count: int) -> list[Any]:
    text = b""
    while text.count(b"\n") < count:
        text += os.read(fd, 3_000)
    return [json.loads(line) for line in text.splitlines()]


def fill(fd: int) -> int:
    """Write until there is no room for a single byte; how much that was."""
    written = 0
    for size in (4096, 1):
        with contextlib.suppress(BlockingIOError):
            while True:
                written += os.write(fd, b"." * size)
    return written


def test_all_that_was_asked_before_the_end_of_input_is_answered(tmp_path: Path) -> None:
    asked = [HELLO, {"id": 2, "method": "initialize", "params": {}}, {"id": 3, "method": "nope"}]
    done = run(tmp_path, "app-server", stdin="\r\n".join(map(json.dumps, asked)).encode())
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [a["id"] for a in answers] == [1, 2, 3]
    assert answers[0]["result"]["codexHome"] == str(tmp_path)
    assert done.stdout.endswith(b"\n")
    assert (done.returncode, done.stderr.split()) == (0, [b"closed"])


def test_input_from_a_file_and_output_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "in").write_text(json.dumps(HELLO) + "\n")
    with (tmp_path / "in").open("rb") as stdin, (tmp_path / "out").open("wb") as stdout:
        subprocess.run(
            [*PROGRAM, "app-server"],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.DEVNULL,
            env=environment(tmp_path),
            timeout=30,
            check=True,
        )
    assert json.loads((tmp_path / "out").read_bytes())["id"] == 1


def test_a_client_that_stops_reading_and_leaves_ends_the_server_too(tmp_path: Path) -> None:
    with started(tmp_path, ["app-server"]) as server:
        assert server.stdout
        assert server.stdin
        server.stdout.close()
        send(server, HELLO)
        assert server.wait(20) == 0


def test_a_long_line_arrives_whole(tmp_path: Path) -> None:
    version = "9" * 3_000_000
    with started(tmp_path, ["app-server"]) as server:
        send(server, {**HELLO, "params": {"clientInfo": {"name": "test", "version": version}}})
        assert receive(server)["result"]["userAgent"].endswith(f"({version})")


def test_the_first_signal_lets_turns_finish_and_requests_are_still_served(tmp_path: Path) -> None:
    with started(tmp_path, ["app-server"], FAKE_TURN="1") as server:
        send(server, HELLO)
        receive(server)
        server.send_signal(signal.SIGTERM)
        await_stderr(server, "draining")
        send(server, {"id": 2, "method": "nope"})
        assert receive(server)["id"] == 2
        server.send_signal(signal.SIGINT)
        await_stderr(server, "closed")
        assert server.wait(20) == 0


def test_a_signal_without_turns_ends_the_server(tmp_path: Path) -> None:
    with started(tmp_path, ["app-server"]) as server:
        send(server, HELLO)
        receive(server)
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0


async def test_a_client_that_does_not_read_ends_the_server_with_a_reason() -> None:
    async def flood(ctx: Context, params: object) -> Reply:
        for _ in range(64):
            ctx.connection.notify("noise", {"text": "x" * 65536})
        return Reply({})

    stdin, to_stdin = os.pipe()
    from_stdout, stdout = os.pipe()
    os.write(to_stdin, requests(HELLO, TALK))
    with pytest.raises(ExceptionGroup) as ended:
        async with serving({"thread/list": flood}, Stdio(stdin, stdout), outbox_limit=1 << 20) as app:
            with anyio.fail_after(10):
                await app.server.stopping.wait()
    assert ended.group_contains(Internal, match="the client does not read its messages; 1 MiB were waiting")
    os.close(to_stdin)
    os.close(from_stdout)


def sockets() -> tuple[int, int]:
    """What to read from and what to write to, as parents that use sockets for pipes make them."""
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


def terminal() -> tuple[int, int]:
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    return ours, theirs


@pytest.mark.parametrize("connect", [os.pipe, sockets, terminal])
async def test_a_slow_reader_gets_everything_in_order(connect: Callable[[], tuple[int, int]]) -> None:
    sizes = [number * 53 % 9_000 for number in range(150)]

    async def talk(ctx: Context, params: object) -> Reply:
        for size in sizes:
            ctx.connection.notify("noise", {"text": "x" * size})
            await anyio.lowlevel.checkpoint()
        return Reply({})

    stdin, to_stdin = os.pipe()
    from_stdout, stdout = connect()
    os.write(to_stdin, requests(HELLO, TALK))
    async with serving({"thread/list": talk}, Stdio(stdin, stdout)):
        told = await anyio.to_thread.run_sync(read_messages, from_stdout, len(sizes) + 2)
    assert [len(message["params"]["text"]) for message in told if "method" in message] == sizes
    for fd in (to_stdin, stdout, from_stdout):
        os.close(fd)


@pytest.mark.parametrize("connect", [os.pipe, sockets])
async def test_output_that_others_have_filled_holds_up_nothing(connect: Callable[[], tuple[int, int]]) -> None:
    heard = anyio.Event()

    async def listen(ctx: Context, params: object) -> Reply:
        heard.set()
        return Reply({})

    stdin, to_stdin = os.pipe()
    from_stdout, stdout = connect()
    os.set_blocking(stdout, False)
    filled = fill(stdout)
    os.set_blocking(stdout, True)
    os.write(to_stdin, requests(HELLO, TALK))
    async with serving({"thread/list": listen}, Stdio(stdin, stdout)):
        with anyio.fail_after(10):
            await heard.wait()
        assert os.get_blocking(stdout)
        assert len(os.read(from_stdout, filled)) == filled
        told = await anyio.to_thread.run_sync(read_messages, from_stdout, 2)
    assert [message["id"] for message in told] == [1, 2]
    for fd in (to_stdin, stdout, from_stdout):
        os.close(fd)


@pytest.mark.parametrize("size", [100, 1 << 20])
async def test_a_message_that_was_written_is_let_go(size: int) -> None:
    stdin, to_stdin = os.pipe()
    from_stdout, stdout = os.pipe()
    message = json.dumps({"method": "noise", "params": "x" * size}).encode()
    async with serving({}, Stdio(stdin, stdout)) as app:
        (connection,) = app.server.clients.all()
        held = sys.getrefcount(message)
        connection.send(message)
        assert await anyio.to_thread.run_sync(read_messages, from_stdout, 1) == [json.loads(message)]
        with anyio.fail_after(10):
            while connection.outbox.size:
                await anyio.sleep(0.001)
        assert sys.getrefcount(message) == held
    for fd in (to_stdin, stdout, from_stdout):
        os.close(fd)


async def test_the_last_messages_of_the_engine_are_written_before_the_end() -> None:
    stdin, to_stdin = os.pipe()
    from_stdout, stdout = os.pipe()
    os.write(to_stdin, json.dumps(HELLO).encode() + b"\n")
    async with serving({}, Stdio(stdin, stdout)) as app:
        with anyio.fail_after(10):
            while not any(c.initialized for c in app.server.clients.all()):
                await anyio.sleep(0.001)
        app.host.sink.publish(Notification("turn/completed", {"text": "x" * 50_000}, Everyone()))
    os.close(to_stdin)
    os.close(stdout)
    with os.fdopen(from_stdout, "rb") as read:
        assert [json.loads(line).get("method") for line in read] == [None, "turn/completed"]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b"a\nb\n"], [b"a", b"b"]),
        ([b"a", b"b", b"\n", b"c"], [b"ab", b"c"]),
        ([b"\n\n"], [b"", b""]),
        ([], []),
        ([b"a\r\n", b"b"], [b"a\r", b"b"]),
        ([b"x" * 10, b"y\nz" * 3], [b"x" * 10 + b"y", b"zy", b"zy", b"z"]),
    ],
)
async def test_lines_of_chunks(chunks: list[bytes], expected: list[bytes]) -> None:
    async def arriving() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    assert [line async for line in lines(arriving())] == expected
