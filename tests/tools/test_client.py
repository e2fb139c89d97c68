"""The small client of the tools, against real server processes on both transports."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import client as clients
from tools.client import Message, RpcError, ServerGone, stdio, websocket
from tools.demo.story import CONFIG, SERVER


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "config.toml").write_text(CONFIG)
    return {**os.environ, "CODEX_HOME": str(tmp_path)}


@pytest.mark.anyio
async def test_on_standard_streams_it_sees_everything_in_wire_order(env: dict[str, str]) -> None:
    seen: list[str] = []

    def observe(direction: str, message: Message) -> None:
        seen.append(f"{direction} {message.get('method', 'answer')}")

    async with stdio(SERVER, env=env, observer=observe) as client:
        await client.initialize()
        await client.request("thread/start")
        notes = await client.until("thread/started")
    assert [note["method"] for note in notes] == ["thread/started"]
    assert seen == [
        "sent initialize",
        "received answer",
        "sent initialized",
        "sent thread/start",
        "received answer",
        "received thread/started",
    ]


@pytest.mark.anyio
async def test_a_server_ends_when_its_client_leaves(env: dict[str, str]) -> None:
    async with stdio(SERVER, env=env) as client:
        await client.initialize()
    assert client.process is not None
    assert client.process.returncode == 0


@pytest.mark.anyio
async def test_a_refusal_is_an_error_with_the_words_of_the_server(env: dict[str, str]) -> None:
    async with stdio(SERVER, env=env) as client:
        await client.initialize()
        with pytest.raises(RpcError, match="invalid thread id") as refused:
            await client.request("thread/read", threadId="nobody")
        assert refused.value.code == -32600


@pytest.mark.anyio
async def test_waiting_for_a_killed_server_ends_at_once(env: dict[str, str]) -> None:
    async with stdio(SERVER, env=env) as client:
        await client.initialize()
        await client.kill()
        with pytest.raises(ServerGone, match="before turn/completed"):
            await client.until("turn/completed")


@pytest.mark.anyio
async def test_waiting_in_vain_says_for_what(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    async with stdio(SERVER, env=env) as client:
        await client.initialize()
        monkeypatch.setattr(clients, "PATIENCE", 0.0)
        with pytest.raises(TimeoutError, match="no sign of turn/completed"):
            await client.until("turn/completed")
        monkeypatch.undo()


@pytest.mark.anyio
async def test_requests_of_the_server_are_answered_or_refused() -> None:
    server = (
        "import sys, json\n"
        "for method in ('known', 'unknown'):\n"
        "    print(json.dumps({'id': method, 'method': method, 'params': {'n': 1}}), flush=True)\n"
        "    print(json.dumps({'method': 'echo', 'params': json.loads(input())}), flush=True)\n"
        "input()\n"
    )
    answers = {"known": lambda params: {"n": params["n"] + 1}}
    async with stdio([sys.executable, "-c", server], answers=answers) as client:
        first = await client.until("echo")
        second = await client.until("echo")
        assert client.process is not None
        client.process.terminate()
    assert first[-1]["params"] == {"id": "known", "result": {"n": 2}}
    assert second[-1]["params"]["error"]["code"] == clients.NOT_FOUND


@pytest.fixture
def url(env: dict[str, str]) -> Iterator[str]:
    """Where a server process listens."""
    command = [*SERVER, "--listen", "ws://127.0.0.1:0"]
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        found = (re.search(r"ws://127\.0\.0\.1:\d+", line) for line in process.stderr)
        yield next(match.group() for match in found if match)
        process.kill()


@pytest.mark.anyio
async def test_two_clients_share_a_server_over_websockets(url: str) -> None:
    async with websocket(url) as first, websocket(url) as second:
        await first.initialize("first")
        await second.initialize("second")
        started = await first.request("thread/start")
        told = await second.until("thread/started")
        assert told[-1]["params"]["thread"]["id"] == started["thread"]["id"]
