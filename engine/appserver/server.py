"""The app-server: one engine, any number of connections, from start to a clean end.

Owns the life cycle and nothing else: it starts the engine through a factory, hands received messages to the
dispatcher, and on the way out lets the engine abort what runs and the clients read what was queued. Transports bring
bytes in and out and know no JSON.
"""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import anyio
from anyio.abc import TaskGroup, TaskStatus
from msgspec import UnsetType

from engine.appserver import messages
from engine.appserver.connection import Connection
from engine.appserver.dispatch import Dispatcher, Method
from engine.appserver.outbox import DEFAULT_LIMIT, Outbox
from engine.appserver.subscriptions import Clients
from engine.asks import ANSWER_TYPES, Asks
from engine.errors import EngineError, Overloaded
from engine.notes import Sink

#: Requests of one connection that may be open; the next one is refused.
MAX_OPEN_REQUESTS = 128

#: Seconds that answers under way get when a client has stopped sending.
SETTLE = 1.0

#: Seconds that clients get to read the last messages at the end.
LAST_WORDS = 2.0


class Host(Protocol):
    """What the server itself asks of the engine; handlers see the whole of it as ``ctx.engine``."""

    @property
    def home(self) -> Path:
        """CODEX_HOME."""

    def introduce(self, name: str, version: str) -> str:
        """A client said who it is: the user agent of this process for it. The first one names the originator."""

    def client_gone(self, connection_id: int) -> None:
        """A connection was closed: what belongs to it alone (watches, its processes) ends."""

    def listeners_changed(self, thread_id: str, count: int) -> None:
        """A thread has gained or lost a subscriber; at 0 it may be unloaded after a while."""

    async def drain(self) -> None:
        """Return when no turn runs any more."""


#: Leaving the context aborts running turns and flushes their logs.
HostFactory = Callable[[Sink], AbstractAsyncContextManager[Host]]


class Server:
    """Connections and the way of a message through them; made by :func:`run`."""

    def __init__(self, tasks: TaskGroup, methods: Mapping[str, Method], outbox_limit: int) -> None:
        self.stopping = anyio.Event()
        self.clients = Clients(Asks(ANSWER_TYPES), lambda thread, n: self._host.listeners_changed(thread, n))
        self._tasks = tasks
        self._methods = methods
        self._outbox_limit = outbox_limit
        self._next_connection = 0
        self._closed = False
        self.failure: EngineError | None = None
        self._host: Host
        self._dispatcher: Dispatcher

    def start(self, host: Host) -> None:
        """Take requests from now on."""
        self._host = host
        self._dispatcher = Dispatcher(self._methods, self.clients, host)

    def stop(self, failure: EngineError | None = None) -> None:
        """End the server; ``failure`` says why when it is not for a good reason."""
        self.failure = self.failure or failure
        self.stopping.set()

    def connect(self, *, local: bool) -> Connection:
        """A client has come; ``local`` when only this user could."""
        connection = Connection(self._next_connection, Outbox(self._outbox_limit), local)
        self._next_connection += 1
        self.clients.add(connection)
        return connection

    def disconnect(self, connection: Connection) -> None:
        """A client has left. Its threads and turns go on; its open requests end unheard."""
        connection.outbox.abandon()
        if not self._closed:
            self.clients.remove(connection)
            self._host.client_gone(connection.id)

    async def receive(self, connection: Connection, raw: bytes | str) -> None:
        """Take one message of a client; what is none, or answers nothing, is dropped. So is `initialized`, the one
        notification that clients send: nothing waits for it (observed).

        Yields once, so that a burst of cheap requests is served as it comes and only slow ones pile up.
        """
        message = messages.decode(raw)
        if message is None or self._closed:
            return
        if isinstance(message.method, str):
            if not isinstance(message.id, UnsetType):
                self._requested(connection, message, message.id)
                await anyio.lowlevel.checkpoint()
        elif not isinstance(message.result, UnsetType):
            self.clients.answered(connection, message.id, bytes(message.result))
        elif not isinstance(message.error, UnsetType):
            self.clients.answered(connection, message.id, None)

    def _requested(self, connection: Connection, message: messages.Incoming, request_id: messages.RequestId) -> None:
        context = self._dispatcher.begin(connection, request_id)
        if connection.open_requests > MAX_OPEN_REQUESTS:
            context.responder.fail(Overloaded())
        else:
            self._tasks.start_soon(self._dispatcher.serve, context, message)

    async def settle(self, connection: Connection) -> None:
        """Wait a moment for the requests of a client that has stopped sending."""
        with anyio.move_on_after(SETTLE):
            while connection.open_requests:
                await anyio.sleep(0.01)

    async def flush(self) -> None:
        """The engine is gone: take no more, let every client read what waits for it, but not for ever."""
        self._closed = True
        with anyio.move_on_after(LAST_WORDS):
            for connection in self.clients.all():
                connection.outbox.close()
            for connection in self.clients.all():
                await connection.outbox.drained.wait()


class Listener(Protocol):
    """A transport whose address is bound already."""

    async def __call__(self, server: Server, *, task_status: TaskStatus[None]) -> None:
        """Serve until cancelled; report once clients are accepted. Calls ``server.stop`` to end the server."""


async def run(
    factory: HostFactory,
    listener: Listener,
    methods: Mapping[str, Method],
    outbox_limit: int = DEFAULT_LIMIT,
) -> None:
    """Serve until the listener's client leaves or the process is told to stop.

    :param listener: the transport, bound already.
    :param outbox_limit: bytes that may wait for one client.
    :raises EngineError: when the server ended because it could not go on.
    """
    async with anyio.create_task_group() as tasks:
        server = Server(tasks, methods, outbox_limit)
        async with factory(server.clients) as host:
            server.start(host)
            gc.freeze()
            await tasks.start(_obey_signals, server, host)
            await tasks.start(listener, server)
            await server.stopping.wait()
        await server.flush()
        tasks.cancel_scope.cancel()
    if server.failure:
        raise server.failure


async def _obey_signals(server: Server, host: Host, *, task_status: TaskStatus[None]) -> None:
    """The first SIGINT or SIGTERM lets running turns finish, the second ends the server at once."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        await anext(signals)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_drain, server, host)
            await anext(signals)
            server.stop()
            tasks.cancel_scope.cancel()


async def _drain(server: Server, host: Host) -> None:
    await host.drain()
    server.stop()
