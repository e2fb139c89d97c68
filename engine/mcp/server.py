"""One MCP server of a thread: started beside it, asked for its tools, asked for answers, ended with it.

`run()` owns the connection, as its scopes must be left by the task that entered them; everybody else waits for
`settled` and sends requests. Knows no SDK: the connection is imported, in a worker thread, when `run()` begins.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import anyio
import anyio.to_thread
import msgspec

from engine.errors import os_reason
from engine.mcp.config import ServerConfig
from engine.mcp.errors import CLOSED, McpFailed, cause, seconds
from projections import protocol as p

if TYPE_CHECKING:
    from engine.mcp.connection import Connection, OnProgress

MAX_PAGES = 100
"""Pages of one listing that are asked for; a server that never ends one is cut off."""
logger = logging.getLogger(__name__)
_NAME = re.compile(r"[a-zA-Z0-9_-]+")

Status = Literal["starting", "ready", "failed", "cancelled"]
Connect = Callable[..., AbstractAsyncContextManager["Connection"]]


class Watcher(Protocol):
    """Whom a server belongs to."""

    def status(self, name: str, status: Status, error: str | None) -> None:
        """A server starts, is ready, or is not going to be."""

    async def elicit(self, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """A server asks the user; the result of its `elicitation/create`."""


class Server:
    """One server; made for each start."""

    def __init__(self, config: ServerConfig, environment: Mapping[str, str], home: Path, watcher: Watcher) -> None:
        self.config = config
        self.settled = anyio.Event()
        """Set once it is known whether the server works."""
        self.failure: McpFailed | None = None
        """Why it does not."""
        self.tools: list[p.Tool] = []
        """What it offers, in its order; also what the configuration hides."""
        self.instructions: str | None = None
        self._environment = environment
        self._home = home
        self._watcher = watcher
        self._connection: Connection | None = None
        self._scope = anyio.CancelScope()
        self._announced = False
        self._again = anyio.Event()
        self._changed = anyio.Event()
        self._limits: set[_Limit] = set()

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self.config.name

    def stop(self) -> None:
        """End it; `run()` returns once the process is gone."""
        self._scope.cancel()

    async def run(self) -> None:
        """Start the server and stay with it until it ends or is stopped."""
        self._watcher.status(self.name, "starting", None)
        try:
            with self._scope:
                await self._live()
            self._settle(McpFailed("startup cancelled"), "cancelled")
        except anyio.get_cancelled_exc_class():
            self._settle(McpFailed("startup cancelled"), "cancelled")
            raise
        except Exception as error:
            self._settle(_failure(error))
        finally:
            self._connection = None

    async def _live(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise McpFailed(f"Invalid MCP server name '{self.name}': must match pattern ^[a-zA-Z0-9_-]+$")
        if self.config.elsewhere is not None:
            raise McpFailed(self.config.elsewhere)
        connect = await anyio.to_thread.run_sync(_import_connect)
        while True:
            self._again = anyio.Event()
            failure: McpFailed | None = None
            async with connect(self.config, self._environment, self._home, self) as connection:
                try:
                    await self._begin(connection)
                    await self._stay(connection)
                except McpFailed as error:  # not to be wrapped by the task groups of the connection
                    failure = error
                    self._settle(error)  # now: its process may take its time to end
            if failure is not None:
                raise failure
            if not self._again.is_set():
                return

    async def _begin(self, connection: Connection) -> None:
        await connection.handshake()
        self.instructions = connection.instructions
        self.tools = await self._list_tools(connection)
        self._connection = connection
        self._settle(None, "ready")

    async def _stay(self, connection: Connection) -> None:
        """Until the connection ends or has to be made anew; lists the tools again when they have changed."""

        async def replaced() -> None:
            await self._again.wait()
            tasks.cancel_scope.cancel()

        async def changed() -> None:
            while True:
                await self._changed.wait()
                self._changed = anyio.Event()
                try:
                    self.tools = await self._list_tools(connection)
                except McpFailed as error:
                    logger.warning("MCP server %s: its tools stay as they were: %s", self.name, error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(replaced)
            tasks.start_soon(changed)
            await connection.closed.wait()
            tasks.cancel_scope.cancel()

    def _settle(self, failure: McpFailed | None, status: Status = "failed") -> None:
        if self.settled.is_set():
            return
        self.failure = failure
        self.settled.set()
        if not self._announced:
            self._announced = True
            why = startup_error(self.config, failure) if failure is not None and status == "failed" else None
            self._watcher.status(self.name, status, why)

    async def _list_tools(self, connection: Connection) -> list[p.Tool]:
        limit = self.config.startup_seconds
        try:
            with anyio.fail_after(limit):
                found = await _pages(connection, "tools/list", "tools", keep=True)
        except TimeoutError:
            raise McpFailed(f"timed out awaiting tools/list after {seconds(limit)}") from None
        return list({tool.name: tool for tool in reversed(msgspec.convert(found, list[p.Tool]))}.values())[::-1]

    # -- what others ask of it

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, on_progress: OnProgress | None = None
    ) -> dict[str, Any]:
        """Ask the server, once it runs. Time in which it waits for the user does not count against its limit.

        :raises McpFailed: it did not start, is gone, refused, or took too long
        """
        connection = await self._ready()
        try:
            return await self._ask(connection, method, params, on_progress)
        except McpFailed as error:
            if not error.lost:
                raise
            if self._connection is connection:
                self._reconnect()
            return await self._ask(await self._ready(), method, params, on_progress)

    async def _ask(
        self, connection: Connection, method: str, params: Mapping[str, Any] | None, on_progress: OnProgress | None
    ) -> dict[str, Any]:
        limit = _Limit(self.config.tool_seconds)
        self._limits.add(limit)
        try:
            with limit.scope:
                return await connection.request(method, params, on_progress)
            raise McpFailed(f"timed out awaiting {method} after {seconds(self.config.tool_seconds)}")
        finally:
            self._limits.discard(limit)

    async def started(self) -> None:
        """Return when it runs.

        :raises McpFailed: it did not start
        """
        await self.settled.wait()
        if self.failure is not None:
            raise McpFailed(f"failed to get client: MCP startup failed: {self.failure.text}")

    async def list_all(self, method: str, member: str) -> list[Any]:
        """A whole listing.

        :raises McpFailed: as `request`
        """
        return await _pages(self, method, member)

    async def _ready(self) -> Connection:
        await self.started()
        if self._connection is None:
            raise McpFailed(CLOSED)
        return self._connection

    def _reconnect(self) -> None:
        """The server has lost our session: begin a new one."""
        self.settled, self._connection = anyio.Event(), None
        self._again.set()

    # -- what it asks of us

    async def elicit(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the user for it; meanwhile its time stands still."""
        held = list(self._limits)  # those of calls that begin meanwhile are not its business
        for limit in held:
            limit.pause()
        try:
            return await self._watcher.elicit(self.name, params)
        finally:
            for limit in held:
                limit.resume()

    def tools_changed(self) -> None:
        """It offers other tools now."""
        self._changed.set()


class _Limit:
    """A limit in time that can stand still; several may hold it at once."""

    def __init__(self, seconds: float) -> None:
        self.scope = anyio.CancelScope(deadline=anyio.current_time() + seconds)
        self._left = seconds
        self._holds = 0

    def pause(self) -> None:
        """Let no time pass any more."""
        if self._holds == 0:
            self._left = self.scope.deadline - anyio.current_time()
            self.scope.deadline = float("inf")
        self._holds += 1

    def resume(self) -> None:
        """Let it pass again, once for each time it was held."""
        self._holds -= 1
        if self._holds == 0:
            self.scope.deadline = anyio.current_time() + self._left


class _Lister(Protocol):
    async def request(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]: ...


async def _pages(lister: _Lister, method: str, member: str, *, keep: bool = False) -> list[Any]:
    """All entries of a paged listing.

    :param keep: what came before a page that is no good is the listing
    :raises McpFailed: a page fails, is no listing, or names a cursor that was there before
    """
    found: list[Any] = []
    cursors: set[str] = set()
    params: dict[str, Any] | None = None
    for _ in range(MAX_PAGES):
        try:
            page = await lister.request(method, params)
        except McpFailed as error:
            if not keep or not cursors:
                raise
            logger.warning("%s: the pages before the one that failed are all there is: %s", method, error)
            break
        found.extend(page[member])
        cursor = page.get("nextCursor")
        if cursor is None or (keep and cursor in cursors):
            break
        if cursor in cursors:
            raise McpFailed(f"{method} returned duplicate cursor")
        cursors.add(cursor)
        params = {"cursor": cursor}
    return found


def startup_error(config: ServerConfig, failure: McpFailed) -> str:
    """What clients hear of a server that did not start."""
    if failure.login:
        return f"The {config.name} MCP server is not logged in. Run `codex mcp login {config.name}`."
    if failure.late:
        return (
            f"MCP client for `{config.name}` timed out after {int(config.startup_seconds)} seconds. "
            "Add or adjust `startup_timeout_sec` in your config.toml:\n"
            f"[mcp_servers.{config.name}]\nstartup_timeout_sec = XX"
        )
    return f"MCP client for `{config.name}` failed to start: MCP startup failed: {failure.text}"


def _failure(error: Exception) -> McpFailed:
    found = cause(error)
    match found:
        case McpFailed():
            return found
        case OSError():
            return McpFailed(os_reason(found))
    return McpFailed(str(found) or type(found).__name__)


def _import_connect() -> Connect:
    from engine.mcp.connection import connect

    return connect
