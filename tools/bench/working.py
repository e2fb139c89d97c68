"""An engine at work, for measuring: in this process or as a server of its own, with the local provider as its model."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
from msgspec import Struct

from engine.host import Host, open_host
from engine.notes import Nobody, Notification
from engine.threads import Client
from projections import protocol as p
from tools import client
from tools.bench.provider import Provider, configured

_CLIENT: Final = Client(0, "bench")
_SERVER: Final = (sys.executable, "-c", "from engine.cli import main; main()", "app-server")
_WORDS: Final = "Say some words, please."


class WentWrong(Exception):
    """A turn did not complete; what was measured means nothing."""


class Inside:
    """An engine in this process."""

    def __init__(self, host: Host, ends: Ends) -> None:
        self._host = host
        self._ends = ends

    async def thread(self) -> str:
        """The id of a new thread."""
        return (await self._host.threads.start(p.ThreadStartParams(), _CLIENT)).thread_id

    async def turn(self, thread_id: str) -> None:
        """Run a turn to its end.

        :raises WentWrong: it failed.
        """
        params = p.TurnStartParams(thread_id=thread_id, input=[p.TextUserInput(text=_WORDS)])
        turn_id, begin = self._host.turns.start(params)
        over = self._ends.expect(turn_id)
        begin()
        await over.wait()
        self._ends.check(turn_id)


class Ends(Nobody):
    """A sink that hears of the ends of turns and of nothing else."""

    def __init__(self) -> None:
        self._expected: dict[str, anyio.Event] = {}
        self._failed: dict[str, str] = {}

    def expect(self, turn_id: str) -> anyio.Event:
        """Set when the turn is over."""
        return self._expected.setdefault(turn_id, anyio.Event())

    def check(self, turn_id: str) -> None:
        """:raises WentWrong: the turn failed."""
        if turn_id in self._failed:
            raise WentWrong(self._failed[turn_id])

    def publish(self, note: Notification) -> None:
        if isinstance(note.params, p.TurnCompletedNotification):
            turn = note.params.turn
            if turn.status != "completed":
                self._failed[turn.id] = f"turn {turn.id} is {turn.status}: {turn.error}"
            self._expected.pop(turn.id).set()


@asynccontextmanager
async def inside(home: Path, provider: Provider) -> AsyncIterator[Inside]:
    """An engine in this process."""
    ends = Ends()
    async with open_host(home, configured(provider.base_url), cwd=home)(ends) as host:
        yield Inside(host, ends)


class Outside(Struct, frozen=True):
    """A server, and a client of it on its standard streams."""

    client: client.Client
    pid: int

    async def thread(self) -> str:
        """The id of a new thread."""
        answer = await self.client.request("thread/start")
        return str(answer["thread"]["id"])

    async def turn(self, thread_id: str) -> None:
        """Run a turn to its end.

        :raises WentWrong: it failed.
        """
        await self.client.request("turn/start", threadId=thread_id, input=[{"type": "text", "text": _WORDS}])
        turn = (await self.client.until("turn/completed", threadId=thread_id))[-1]["params"]["turn"]
        if turn["status"] != "completed":
            raise WentWrong(f"turn {turn['id']} is {turn['status']}: {turn['error']}")


@asynccontextmanager
async def outside(
    home: Path, provider: Provider, observer: Callable[..., None] | None = None
) -> AsyncIterator[Outside]:
    """A server process over this home."""
    home.mkdir(parents=True, exist_ok=True)
    flags = (text for key, value in configured(provider.base_url).items() for text in ("-c", f'{key}="{value}"'))
    env = {**os.environ, "CODEX_HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    async with client.stdio([*_SERVER, *flags], env=env, cwd=home, observer=observer) as one:
        await one.initialize("bench")
        assert one.process is not None
        yield Outside(one, one.process.pid)
