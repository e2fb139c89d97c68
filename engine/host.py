"""The engine of one process: everything that threads share, made once and ended together.

What an embedder gets: `open_host(home, ...)` is an async context manager whose value has `threads` and the small
areas beside them. The app-server is one embedder among others.
"""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import anyio
from anyio.abc import TaskGroup

from engine.catalogs import Catalogs
from engine.clock import Clock, SystemClock
from engine.edits import Edits
from engine.errors import StartupError, os_reason
from engine.filing import Filing
from engine.identity import user_agent
from engine.index import Index
from engine.mcp_methods import McpMethods
from engine.notes import Notification, Only, Sink
from engine.operations import Operations
from engine.processes.command_exec import Commands
from engine.reading import Reading
from engine.reviews import Reviews
from engine.storage import StorageFactory, open_storage
from engine.threads import Threads
from engine.turns import Turns
from rollouts.layout import Home

UNLOAD_AFTER = 30 * 60.0
"""Seconds an idle thread stays loaded without subscribers (spec thread-lifecycle 8)."""


class Host:
    """One engine: its home, its flags, its threads."""

    def __init__(
        self,
        home: Path,
        flags: Mapping[str, object],
        sink: Sink,
        tasks: TaskGroup,
        clock: Clock,
        cwd: Path,
        storage: StorageFactory | None = None,
    ) -> None:
        self.home = home
        self.flags = flags
        self.cwd = cwd
        self._clients: tuple[str, str, str] = ("rollout-engine", "rollout-engine", "0")
        self._introduced = False
        self._timers: dict[str, anyio.CancelScope] = {}
        self._tasks = tasks
        self.sink = sink
        layout = Home(home)
        self.index = Index(layout)
        self.storage = (storage or functools.partial(open_storage, os.environ))(layout, self.index, clock)
        self.operations = Operations(installation_id(home), lambda: self.originator, self._user_agent)
        self.threads = Threads(
            layout=layout,
            index=self.index,
            storage=self.storage,
            operations=self.operations,
            sink=sink,
            clock=clock,
            tasks=tasks,
            flags=flags,
            cwd=cwd,
        )

        self.catalogs = Catalogs(home, flags, cwd, self._user_agent)
        self.turns = Turns(self.threads, clock)
        self.reviews = Reviews(self.threads, clock)
        self.reading = Reading(self.threads)
        self.edits = Edits(self.threads, clock)
        self.filing = Filing(self.threads, clock)
        self.mcp = McpMethods(self.threads, self.catalogs, cwd, sink, tasks)
        self.commands = Commands(self.catalogs.in_force, cwd)

    @property
    def originator(self) -> str:
        """Name of the first client of this process."""
        return self._clients[0]

    def _user_agent(self) -> str:
        """How this process names itself to providers and to the account's backend."""
        return user_agent(*self._clients, os.environ)

    def introduce(self, name: str, version: str) -> str:
        """A client said who it is: the user agent of this process for it. The first one names the originator."""
        if not self._introduced:
            self._clients = (name, name, version)
            self._introduced = True
        return user_agent(self.originator, name, version, os.environ)

    def client_ready(self, connection_id: int) -> None:
        """A client has introduced itself: it hears what is wrong with the configuration."""
        for warning in self.catalogs.config_warnings():
            self.sink.publish(Notification("configWarning", warning, Only(connection_id)))

    def client_gone(self, connection_id: int) -> None:
        """A connection was closed; its threads stay loaded and their turns run on, its own commands end."""
        self.commands.client_gone(connection_id)

    def listeners_changed(self, thread_id: str, count: int) -> None:
        """Without listeners a loaded thread is unloaded after a while."""
        timer = self._timers.pop(thread_id, None)
        if timer is not None:
            timer.cancel()
        if count == 0 and self.threads.loaded(thread_id) is not None:
            scope = self._timers[thread_id] = anyio.CancelScope()
            self._tasks.start_soon(self._unload_later, scope, thread_id)

    async def _unload_later(self, scope: anyio.CancelScope, thread_id: str) -> None:
        with scope:
            await anyio.sleep(UNLOAD_AFTER)
            while (thread := self.threads.loaded(thread_id)) is not None and thread.running:
                await anyio.sleep(1)
            self._timers.pop(thread_id, None)
            await self.threads.unload(thread_id)

    async def drain(self) -> None:
        """Return when no turn runs any more."""
        await self.threads.drain()


def open_host(
    home: Path,
    flags: Mapping[str, object] | None = None,
    *,
    clock: Clock | None = None,
    cwd: Path | None = None,
    storage: StorageFactory | None = None,
) -> Callable[[Sink], AbstractAsyncContextManager[Host]]:
    """A factory of engines for this CODEX_HOME.

    :param flags: dotted configuration keys that lie above config.toml, as `-c` gives them.
    :param cwd: where relative paths start; by default the process's folder.
    :param storage: makes the storage of the threads; by default what the environment chooses.
    """

    @asynccontextmanager
    async def opened(sink: Sink) -> AsyncIterator[Host]:
        home.mkdir(parents=True, exist_ok=True)
        with ExitStack() as last:
            async with anyio.create_task_group() as tasks:
                host = Host(home, flags or {}, sink, tasks, clock or SystemClock(), cwd or Path.cwd(), storage)
                last.callback(host.index.close)  # once no task reads it any more
                last.callback(host.storage.close)
                tasks.start_soon(host.index.keep_fresh)
                try:
                    yield host
                finally:
                    with anyio.CancelScope(shield=True):
                        await host.threads.close()
                        await host.operations.aclose()
                    tasks.cancel_scope.cancel()

    return opened


def installation_id(home: Path) -> str:
    """The id in CODEX_HOME/installation_id, made when there is none.

    :raises StartupError: it cannot be read or written.
    """
    path = home / "installation_id"
    try:
        found = path.read_text().strip()
    except (FileNotFoundError, UnicodeDecodeError):
        found = ""
    except OSError as error:
        raise StartupError(f"failed to read {path}: {os_reason(error)}") from error
    if not found:
        found = str(uuid4())
        try:
            path.write_text(found)
        except OSError as error:
            raise StartupError(f"failed to write {path}: {os_reason(error)}") from error
    return found
