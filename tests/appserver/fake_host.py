"""An engine that does nothing but remember, a few methods on it, and ways to serve it.

`serving` runs the real server in the test's own process; run as a program, this module is the command line of the
app-server over the same engine, for tests of processes and signals.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskStatus

from engine.appserver.dispatch import Handler
from engine.appserver.handlers import methods
from engine.appserver.handlers.initialize import HANDLERS
from engine.appserver.outbox import DEFAULT_LIMIT
from engine.appserver.server import HostFactory, Listener, Server, run
from engine.notes import Sink


class FakeHost:
    """Remembers what the server told it; turns run until `idle` is set."""

    def __init__(self, home: Path, overrides: Mapping[str, object], sink: Sink) -> None:
        self.home = home
        self.overrides = overrides
        self.sink = sink
        self.calls: list[tuple[object, ...]] = []
        self.idle = anyio.Event()
        if "FAKE_TURN" not in os.environ:
            self.idle.set()

    def introduce(self, name: str, version: str) -> str:
        return f"{name}/0.125.0 (overrides {json.dumps(self.overrides)}) ({version})"

    def client_ready(self, connection_id: int) -> None:
        self.calls.append(("ready", connection_id))

    def client_gone(self, connection_id: int) -> None:
        self.calls.append(("gone", connection_id))

    def listeners_changed(self, thread_id: str, count: int) -> None:
        self.calls.append(("listeners", thread_id, count))

    async def drain(self) -> None:
        print("draining", file=sys.stderr, flush=True)
        await self.idle.wait()


def open_fake(home: Path, overrides: Mapping[str, object]) -> HostFactory:
    @asynccontextmanager
    async def factory(sink: Sink) -> AsyncIterator[FakeHost]:
        yield FakeHost(home, overrides, sink)
        print("closed", file=sys.stderr, flush=True)

    return factory


class Client:
    """One connection of a test to a server in the same process, below any transport."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.connection = server.connect(local=True)
        self._received: list[Any] = []

    async def send(self, message: object) -> None:
        raw = message if isinstance(message, str) else json.dumps(message)
        await self.server.receive(self.connection, raw)

    async def receive(self) -> Any:
        """The next message; fails when none comes."""
        if not self._received:
            with anyio.fail_after(5):
                batch = await self.connection.outbox.take()
            assert batch is not None, "the connection was closed"
            self._received = [json.loads(message) for message in batch]
        return self._received.pop(0)

    async def call(self, method: str, params: object = None) -> Any:
        """Send a request with id 1 and return the next message."""
        await self.send({"id": 1, "method": method, "params": params if params is not None else {}})
        return await self.receive()

    async def error(self, method: str, params: object = None) -> str:
        """The message of the error that answers a request."""
        return str((await self.call(method, params))["error"]["message"])

    async def initialize(self, *, experimental: bool = True, mute: list[str] | None = None) -> Client:
        capabilities = {"experimentalApi": experimental, "optOutNotificationMethods": mute}
        info = {"name": "test", "version": "1"}
        answer = await self.call("initialize", {"clientInfo": info, "capabilities": capabilities})
        assert "result" in answer
        return self

    async def quiet(self) -> bool:
        """Whether nothing is left to read once all that is under way has run."""
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        return not self._received and self.connection.outbox.waiting == 0


class Running:
    """A server in this process."""

    def __init__(self, server: Server, host: FakeHost) -> None:
        self.server = server
        self.host = host

    def connect(self) -> Client:
        return Client(self.server)

    async def client(self, *, experimental: bool = True, mute: list[str] | None = None) -> Client:
        return await self.connect().initialize(experimental=experimental, mute=mute)


@asynccontextmanager
async def serving(
    handlers: Mapping[str, Handler] | None = None,
    listener: Listener | None = None,
    outbox_limit: int = DEFAULT_LIMIT,
) -> AsyncIterator[Running]:
    """The real server over a fake engine; ends cleanly with the block."""
    started = anyio.Event()
    found: list[Server] = []
    hosts: list[FakeHost] = []

    @asynccontextmanager
    async def factory(sink: Sink) -> AsyncIterator[FakeHost]:
        hosts.append(FakeHost(Path("/home"), {}, sink))
        yield hosts[0]

    async def listen(server: Server, *, task_status: TaskStatus[None]) -> None:
        found.append(server)
        started.set()
        if listener:
            await listener(server, task_status=task_status)
        else:
            task_status.started()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, factory, listen, methods({**HANDLERS, **(handlers or {})}), outbox_limit)
        with anyio.fail_after(5):
            await started.wait()
        yield Running(found[0], hosts[0])
        if listener is None:
            for connection in found[0].clients.all():
                connection.outbox.abandon()
        found[0].stop()


if __name__ == "__main__":
    from engine.cli import main

    main(sys.argv[1:], (open_fake, HANDLERS))
