"""From the byte of a model to the byte of a client: how long a delta is on its way through a server on stdio.

The provider writes into each delta when it was sent, the client looks at the clock when it has read it. The bare side
is a process that passes on what comes, through the same kinds of sockets and pipes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import anyio

from engine.appserver.transports.stdio import lines
from tools.bench.figures import Figure
from tools.bench.provider import Provider, serving
from tools.bench.working import outside

_ECHO: Final = Path(__file__).with_name("echo.py")
_LATE: Final = 0.95


async def of_deltas(home: Path, count: int, pace: float = 0.003) -> list[Figure]:
    """The median and the nearly worst of `count` deltas that are sent `pace` seconds from each other."""
    async with serving(Provider([""] * count, pace=pace)) as provider:
        ours = await _through_server(home, provider)
        bare = await _through_echo(provider)
    return [
        Figure("a delta from model to client, median", "us", _at(bare, 0.5), _at(ours, 0.5)),
        Figure(f"a delta from model to client, {_LATE:.0%} are faster", "us", _at(bare, _LATE), _at(ours, _LATE)),
    ]


async def _through_server(home: Path, provider: Provider) -> list[float]:
    heard: list[float] = []

    def observe(direction: str, message: Any) -> None:
        if message.get("method") == "item/agentMessage/delta":
            heard.append(_age(message["params"]["delta"]))

    async with outside(home, provider, observe) as server:
        thread_id = await server.thread()
        await server.turn(thread_id)
        heard.clear()
        await server.turn(thread_id)
    return heard


async def _through_echo(provider: Provider) -> list[float]:
    command = [sys.executable, str(_ECHO), provider.base_url]
    async with await anyio.open_process(command, stdin=subprocess.DEVNULL, stderr=None) as process:
        assert process.stdout is not None
        return [age async for age in _ages(lines(process.stdout))]


async def _ages(events: AsyncIterator[bytes]) -> AsyncIterator[float]:
    async for line in events:
        if line.startswith(b"data: "):
            event = json.loads(line.removeprefix(b"data: "))
            if event["type"] == "response.output_text.delta":
                yield _age(event["delta"])


def _age(stamp: str) -> float:
    """Microseconds since it was made."""
    return (time.monotonic_ns() - int(stamp)) / 1e3


def _at(values: list[float], share: float) -> float | None:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] if values else None
