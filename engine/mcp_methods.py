"""What clients ask of MCP servers outside of turns: how they are, their resources, single calls, a login (spec mcp)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from engine.catalogs import Catalogs
from engine.errors import BadRequest, Internal
from engine.mcp import config
from engine.mcp.config import ServerConfig
from engine.mcp.errors import McpFailed
from engine.mcp.results import present
from engine.mcp.servers import Servers, started
from engine.threads import Threads
from projections import protocol as p


class McpMethods:
    """Commands about MCP servers, with a thread or without."""

    def __init__(self, threads: Threads, catalogs: Catalogs, cwd: Path) -> None:
        self._threads = threads
        self._catalogs = catalogs
        self._cwd = cwd

    def configured(self) -> dict[str, ServerConfig]:
        """The servers of the server's own folder.

        :raises BadRequest: the configuration cannot be used
        """
        return config.servers(self._catalogs.load(self._cwd))

    async def status(self, params: p.ListMcpServerStatusParams) -> p.ListMcpServerStatusResponse:
        """A page of the configured servers; they are started for it.

        :raises BadRequest: a cursor that leads nowhere
        """
        full = params.detail != "toolsAndAuthOnly"
        configs = self.configured()
        names = sorted(configs)
        start = _start(params.cursor, len(names))
        wanted = len(names) if params.limit is None else max(params.limit, 1)
        end = min(start + wanted, len(names))
        chosen = {name: configs[name] for name in names[start:end]}
        async with started(chosen) as servers:
            await servers.settled()
            resources: dict[str, list[Any]] = {}
            templates: dict[str, list[Any]] = {}
            if full:
                resources = await servers.list_all("resources/list", "resources")
                templates = await servers.list_all("resources/templates/list", "resourceTemplates")
            data = [
                p.McpServerStatus(
                    name=name,
                    tools=_tools(servers, name),
                    resources=_typed(resources.get(name, ()), p.Resource),
                    resource_templates=_typed(templates.get(name, ()), p.ResourceTemplate),
                    auth_status=auth_status(each),
                )
                for name, each in chosen.items()
            ]
        return p.ListMcpServerStatusResponse(data=data, next_cursor=str(end) if end < len(names) else None)

    async def read(self, params: p.McpResourceReadParams) -> p.McpResourceReadResponse:
        """Read a resource, through the servers of a thread or through one that is started for it.

        :raises BadRequest: no such thread
        :raises Internal: no such server, or it failed
        """
        async with self._servers(params.thread_id, params.server) as servers:
            try:
                found = await servers.read(params.server, params.uri)
                return msgspec.convert(found, p.McpResourceReadResponse)
            except McpFailed as error:
                raise Internal(error.text) from error
            except msgspec.ValidationError as error:
                raise Internal(
                    f"resources/read failed for `{params.server}` ({params.uri}): Unexpected response type"
                ) from error

    async def call(self, params: p.McpServerToolCallParams) -> p.McpServerToolCallResponse:
        """Call a tool through the servers of a thread; nothing of it is in the thread's log.

        :raises BadRequest: no such thread
        :raises Internal: no such server or tool, or it failed
        """
        thread = self._threads.get(params.thread_id)
        arguments = None if params.arguments is None else msgspec.Raw(msgspec.json.encode(params.arguments))
        meta = {**(params.meta if isinstance(params.meta, dict) else {}), "threadId": thread.id}
        try:
            found = await thread.mcp.call(params.server, params.tool, arguments, meta, lambda message: None)
        except McpFailed as error:
            raise Internal(error.text) from error
        try:
            return msgspec.convert(present(found), p.McpServerToolCallResponse)
        except msgspec.ValidationError as error:
            raise Internal(f"tool call failed for `{params.server}/{params.tool}`: Unexpected response type") from error

    def reload(self) -> None:
        """Let every loaded thread have its servers anew from its next turn on, as they are configured then.

        :raises BadRequest: the configuration cannot be used
        """
        loaded = [thread for each in self._threads.ids() if (thread := self._threads.loaded(each)) is not None]
        fresh = [(thread, config.servers(self._catalogs.load(thread.settings.cwd))) for thread in loaded]
        for thread, servers in fresh:
            thread.mcp.replace_later(servers)

    def login(self, params: p.McpServerOauthLoginParams) -> p.McpServerOauthLoginResponse:
        """Begin a login.

        :raises BadRequest: no such server, or none that one could log in to
        :raises Internal: the server knows no login
        """
        server = self.configured().get(params.name)
        if server is None:
            raise BadRequest(f"No MCP server named '{params.name}' found.")
        if server.url is None:
            raise BadRequest("OAuth login is only supported for streamable HTTP servers.")
        raise Internal(f"failed to login to MCP server '{params.name}': No authorization support detected")

    @asynccontextmanager
    async def _servers(self, thread_id: str | None, name: str) -> AsyncIterator[Servers]:
        if thread_id is not None:
            yield self._threads.get(thread_id).mcp
            return
        configs = self.configured()
        async with started({name: configs[name]} if name in configs else {}) as servers:
            yield servers


def auth_status(server: ServerConfig) -> p.McpAuthStatus:
    """How requests to a server are authorised."""
    if server.bearer_token_env_var is not None or "authorization" in map(str.lower, server.http_headers):
        return "bearerToken"
    return "unsupported"


def _start(cursor: str | None, count: int) -> int:
    """The offset that a cursor is.

    :raises BadRequest: it is none, or behind the last server
    """
    if cursor is None:
        return 0
    if not cursor.isascii() or not cursor.isdigit():
        raise BadRequest(f"invalid cursor: {cursor}")
    if int(cursor) > count:
        raise BadRequest(f"cursor {cursor} exceeds total MCP servers {count}")
    return int(cursor)


def _tools(servers: Servers, name: str) -> dict[str, p.Tool]:
    server = servers.server(name)
    if server is None:
        return {}
    return {tool.name: tool for tool in server.tools if server.config.offers(tool.name)}


def _typed(entries: Any, kind: type[Any]) -> list[Any]:
    """The entries that are what they should be; members that are null are left out."""
    typed = []
    for entry in entries:
        try:
            typed.append(msgspec.convert(present(entry), kind))
        except msgspec.ValidationError:
            continue
    return typed
