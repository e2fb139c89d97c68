"""An engine that does nothing but remember, and the few methods the adapter's tests call on it.

Run as a program it is the command line of the app-server over that engine: real processes, real sockets.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from engine.appserver.server import HostFactory
from engine.notes import Sink


class FakeHost:
    """Remembers what the server told it; a turn runs while `busy` is set and not `idle`."""

    def __init__(self, home: Path, overrides: Mapping[str, object], sink: Sink) -> None:
        self.home = home
        self.overrides = overrides
        self.sink = sink
        self.calls: list[tuple[object, ...]] = []
        self.idle = anyio.Event()
        self.idle.set()

    def introduce(self, name: str, version: str) -> str:
        self.calls.append(("introduce", name, version))
        return f"{name}/0.0.0 ({version})"

    def client_ready(self, connection_id: int) -> None:
        self.calls.append(("ready", connection_id))

    def client_gone(self, connection_id: int) -> None:
        self.calls.append(("gone", connection_id))

    def listeners_changed(self, thread_id: str, count: int) -> None:
        self.calls.append(("listeners", thread_id, count))

    async def drain(self) -> None:
        await self.idle.wait()


def open_fake(home: Path, overrides: Mapping[str, object]) -> HostFactory:
    @asynccontextmanager
    async def factory(sink: Sink) -> AsyncIterator[FakeHost]:
        yield FakeHost(home, overrides, sink)

    return factory


if __name__ == "__main__":
    from engine.cli import main

    main(sys.argv[1:], open_fake)
