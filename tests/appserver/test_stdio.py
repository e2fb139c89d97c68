"""stdio: one message per line, nothing else on stdout, a clean end with the input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from engine.appserver.dispatch import Context, Reply
from engine.appserver.transports.stdio import Stdio, lines
from engine.errors import Internal
from engine.notes import Everyone, Notification
from tests.appserver.fake_host import serving
from tests.appserver.processes import HELLO, PROGRAM, await_stderr, environment, receive, run, send, started

pytestmark = pytest.mark.anyio


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

    requests = b"".join(
        json.dumps(m).encode() + b"\n" for m in (HELLO, {"id": 2, "method": "thread/list", "params": {}})
    )
    stdin, to_stdin = os.pipe()
    from_stdout, stdout = os.pipe()
    os.write(to_stdin, requests)
    with pytest.raises(ExceptionGroup) as ended:
        async with serving({"thread/list": flood}, Stdio(stdin, stdout), outbox_limit=1 << 20) as app:
            with anyio.fail_after(10):
                await app.server.stopping.wait()
    assert ended.group_contains(Internal, match="the client does not read its messages; 1 MiB were waiting")
    os.close(to_stdin)
    os.close(from_stdout)


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
