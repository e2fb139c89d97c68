"""The MCP servers of one thread: all start at once beside it, end with it, and are made anew when somebody asks.

Also used on its own, for clients that ask about servers without a thread (`started`).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
from anyio.abc import TaskGroup
from msgspec import UnsetType

from engine.mcp.config import ServerConfig
from engine.mcp.errors import McpFailed
from engine.mcp.naming import qualify
from engine.mcp.server import Server, Status, Watcher
from engine.mcp.specs import namespaces
from engine.mcp.tools import Hints, Tool, resource_uri
from projections import protocol as p


class Servers:
    """The servers of a thread.

    :param configs: all configured servers, those that are switched off too
    :param home: where logins are kept
    """

    def __init__(self, configs: Mapping[str, ServerConfig], home: Path, watcher: Watcher) -> None:
        self.configs = configs
        self.remembered: set[tuple[str, str]] = set()
        """Tools, as (server, tool), that the user allowed for the rest of the session."""
        self._home = home
        self._watcher = watcher
        self._running = self._made()
        self._tasks: TaskGroup | None = None
        self._next: Mapping[str, ServerConfig] | None = None

    # -- their life

    def start(self, tasks: TaskGroup) -> None:
        """Start all that are switched on; they end with the task group."""
        self._tasks = tasks
        for server in self:
            tasks.start_soon(server.run)

    def replace_later(self, configs: Mapping[str, ServerConfig]) -> None:
        """Have other servers, and those that stay anew, from the next `refresh` on."""
        self._next = configs

    def refresh(self) -> None:
        """Do what `replace_later` asked for, if anything."""
        if self._next is None or self._tasks is None:
            return
        for server in self:
            server.stop()
        self.configs, self._next = self._next, None
        self._running = self._made()
        self.start(self._tasks)

    def _made(self) -> dict[str, Server]:
        switched_on = [config for config in self.configs.values() if config.enabled]
        return {config.name: Server(config, os.environ, self._home, self._watcher) for config in switched_on}

    async def settled(self) -> None:
        """Return when it is known of all servers whether they work."""
        for server in list(self):
            await server.settled.wait()

    async def required(self) -> None:
        """Wait for the servers that the thread cannot do without.

        :raises McpFailed: naming those that failed
        """
        needed = [server for server in self if server.config.required]
        for server in needed:
            await server.settled.wait()
        failed = [f"{server.name}: {server.failure.text}" for server in needed if server.failure is not None]
        if failed:
            raise McpFailed(f"required MCP servers failed to initialize: {'; '.join(failed)}")

    # -- what they offer

    def __iter__(self) -> Iterator[Server]:
        """All that are switched on, in name order."""
        return iter(self._running.values())

    @property
    def any(self) -> bool:
        """Whether there are servers at all."""
        return bool(self._running)

    def tools(self) -> list[Tool]:
        """The tools the model may call now, sorted by the names it uses."""
        known = {
            (server.name, tool.name): (server, tool)
            for server in self
            for tool in server.tools
            if server.config.offers(tool.name)
        }
        return [_tool(*known[named.server, named.tool], named) for named in qualify(known)]

    def find(self, namespace: str | None, name: str) -> Tool | None:
        """The tool the model means."""
        if namespace is None:
            return None
        return next(
            (tool for tool in self.tools() if (tool.named.namespace, tool.named.name) == (namespace, name)), None
        )

    def specs(self) -> list[msgspec.Raw]:
        """The tools as a request lists them."""
        instructions = {server.name: server.instructions or "" for server in self}
        return namespaces(self.tools(), instructions)

    def server(self, name: str) -> Server | None:
        """A server that is switched on."""
        return self._running.get(name)

    # -- what is asked of them

    async def call(
        self,
        name: str,
        tool: str,
        arguments: msgspec.Raw | None,
        meta: Mapping[str, Any],
        on_progress: Callable[[str | None], None],
    ) -> dict[str, Any]:
        """Call a tool; the server's result.

        :raises McpFailed: no such server, or the call failed; `CallFailure` if it came to the call
        """
        server = self._known(name)
        if not server.config.offers(tool):
            raise McpFailed(f"tool '{tool}' is disabled for MCP server '{name}'")
        await server.started()
        params: dict[str, Any] = {"name": tool, "_meta": meta}
        if arguments is not None:
            decoded = msgspec.json.decode(arguments)
            if not isinstance(decoded, dict):
                shown = msgspec.json.encode(decoded).decode()
                raise CallFailure(name, tool, f"MCP tool arguments must be a JSON object, got {shown}")
            params["arguments"] = decoded
        try:
            return await server.request("tools/call", params, on_progress)
        except McpFailed as error:
            raise CallFailure(name, tool, error.text) from error

    async def read(self, name: str, uri: str) -> dict[str, Any]:
        """Read a resource; the server's result.

        :raises McpFailed: no such server, or it cannot read it
        """
        server = self._known(name)
        await server.started()
        try:
            return await server.request("resources/read", {"uri": uri})
        except McpFailed as error:
            raise McpFailed(f"resources/read failed for `{name}` ({uri}): {error.text}") from error

    async def list_one(self, name: str, method: str, cursor: str | None) -> dict[str, Any]:
        """One page of what a server lists.

        :raises McpFailed: no such server, or it cannot list them
        """
        server = self._known(name)
        await server.started()
        try:
            return await server.request(method, None if cursor is None else {"cursor": cursor})
        except McpFailed as error:
            raise McpFailed(f"{method} failed for `{name}`: {error.text}") from error

    async def list_all(self, method: str, member: str) -> dict[str, list[Any]]:
        """What all servers list, by server in name order; those that fail are left out."""
        found: dict[str, list[Any]] = {}

        async def ask(server: Server) -> None:
            try:
                found[server.name] = await server.list_all(method, member)
            except McpFailed:
                found.pop(server.name, None)

        async with anyio.create_task_group() as tasks:
            for server in self:
                tasks.start_soon(ask, server)
        return {name: found[name] for name in sorted(found)}

    def _known(self, name: str) -> Server:
        server = self._running.get(name)
        if server is None:
            raise McpFailed(f"unknown MCP server '{name}'")
        return server


class CallFailure(McpFailed):
    """A call came as far as the server and failed; `why` is the reason alone."""

    def __init__(self, server: str, tool: str, why: str) -> None:
        super().__init__(f"tool call failed for `{server}/{tool}`: {why}")
        self.summary = f"tool call failed for `{server}/{tool}`"
        self.why = why


@asynccontextmanager
async def started(configs: Mapping[str, ServerConfig], home: Path) -> AsyncIterator[Servers]:
    """Servers that belong to no thread: they start here and are gone afterwards."""
    servers = Servers(configs, home, _Nobody())
    failed: Exception | None = None
    async with anyio.create_task_group() as tasks:
        servers.start(tasks)
        try:
            yield servers
        except Exception as error:  # to leave as it is, not in a group
            failed = error
        finally:
            tasks.cancel_scope.cancel()
    if failed is not None:
        raise failed


class _Nobody:
    """Watches servers for nobody: whatever they ask is declined."""

    def status(self, name: str, status: Status, error: str | None) -> None:
        """Not told to anyone."""

    async def elicit(self, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """There is no user to ask."""
        return {"action": "decline"}


def _tool(server: Server, tool: p.Tool, named: Any) -> Tool:
    return Tool(
        named=named,
        title=_given(tool.title),
        description=_given(tool.description),
        input_schema=tool.input_schema,
        hints=_hints(tool.annotations),
        resource_uri=resource_uri(tool.meta),
        mode=server.config.mode(tool.name),
        parallel=server.config.supports_parallel_tool_calls,
    )


def _given(text: str | UnsetType) -> str | None:
    return None if isinstance(text, UnsetType) else text


def _hints(annotations: object) -> Hints:
    try:
        return msgspec.convert(annotations, Hints) if isinstance(annotations, dict) else Hints()
    except msgspec.ValidationError:
        return Hints()
