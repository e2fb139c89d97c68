"""What clients ask of MCP servers outside of turns: how they are, their resources, single calls, a login (spec mcp)."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskGroup
from msgspec import UNSET

from engine.catalogs import Catalogs
from engine.errors import BadRequest, Internal, os_reason
from engine.inbox import Answer
from engine.mcp import config, credentials
from engine.mcp.config import ServerConfig
from engine.mcp.errors import McpFailed
from engine.mcp.servers import Servers, started
from engine.notes import Everyone, Notification, Sink
from engine.paging import offset
from engine.threads import Threads
from projections import protocol as p

logger = logging.getLogger(__name__)

LOGIN_SECONDS = 300
"""How long a login waits for the user."""


class McpMethods:
    """Commands about MCP servers, with a thread or without."""

    def __init__(self, threads: Threads, catalogs: Catalogs, cwd: Path, sink: Sink, tasks: TaskGroup) -> None:
        self._threads = threads
        self._sink = sink
        self._tasks = tasks
        self._catalogs = catalogs
        self._cwd = cwd

    def configured(self) -> dict[str, ServerConfig]:
        """The servers of the server's own folder.

        :raises Internal: the configuration cannot be used
        """
        return config.servers(self._catalogs.load(self._cwd))

    async def status(self, params: p.ListMcpServerStatusParams) -> p.ListMcpServerStatusResponse:
        """A page of the configured servers; they are started for it.

        :raises BadRequest: a cursor that leads nowhere
        """
        full = params.detail != "toolsAndAuthOnly"
        configs = self.configured()
        names = sorted(configs)
        start = offset(params.cursor, len(names), "MCP servers")
        wanted = len(names) if params.limit is None else max(params.limit, 1)
        end = min(start + wanted, len(names))
        chosen = {name: configs[name] for name in names[start:end]}
        async with started(chosen, self._threads.layout.path) as servers:
            statuses = await self._auth_statuses(chosen)
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
                    resources=msgspec.convert(resources.get(name, []), list[p.Resource]),
                    resource_templates=msgspec.convert(templates.get(name, []), list[p.ResourceTemplate]),
                    auth_status=statuses[name],
                )
                for name in chosen
            ]
        return p.ListMcpServerStatusResponse(data=data, next_cursor=str(end) if end < len(names) else None)

    async def _auth_statuses(self, servers: Mapping[str, ServerConfig]) -> dict[str, p.McpAuthStatus]:
        found: dict[str, p.McpAuthStatus] = {}

        async def ask(server: ServerConfig) -> None:
            found[server.name] = await auth_status(server, self._threads.layout.path)

        async with anyio.create_task_group() as tasks:
            for server in servers.values():
                tasks.start_soon(ask, server)
        return found

    async def read(self, params: p.McpResourceReadParams) -> p.McpResourceReadResponse:
        """Read a resource, through the servers of a thread or through one that is started for it.

        :raises BadRequest: no such thread
        :raises Internal: no such server, or it failed
        """
        async with self._servers(params.thread_id, params.server) as servers:
            try:
                found = await servers.read(params.server, params.uri)
            except McpFailed as error:
                raise Internal(error.text) from error
        return msgspec.convert(found, p.McpResourceReadResponse)

    async def call(self, params: p.McpServerToolCallParams) -> p.McpServerToolCallResponse:
        """Call a tool through the servers of a thread; nothing of it is in the thread's log.

        :raises BadRequest: no such thread
        :raises Internal: no such server or tool, or it failed
        """
        thread = self._threads.get(params.thread_id)
        arguments = None if params.arguments is None else msgspec.Raw(msgspec.json.encode(params.arguments))
        if params.meta is not None and not isinstance(params.meta, dict):
            given = msgspec.json.encode(params.meta).decode()
            why = f"MCP tool request _meta must be a JSON object, got {given}"
            raise Internal(f"tool call failed for `{params.server}/{params.tool}`: {why}")
        meta = {**(params.meta or {}), "threadId": thread.id}
        try:
            found = await thread.mcp.call(params.server, params.tool, arguments, meta, lambda message: None)
        except McpFailed as error:
            raise Internal(error.text) from error
        return msgspec.convert(found, p.McpServerToolCallResponse)

    def reload(self) -> None:
        """Let every loaded thread have its servers anew from its next turn on, as they are configured then.

        :raises Internal: the configuration cannot be used
        """
        self._catalogs.load(self._cwd)
        loaded = [thread for each in self._threads.ids() if (thread := self._threads.loaded(each)) is not None]
        fresh = [(thread, config.servers(self._catalogs.load(thread.settings.cwd))) for thread in loaded]
        for thread, servers in fresh:
            thread.mcp.replace_later(servers)

    async def login(self, params: p.McpServerOauthLoginParams) -> p.McpServerOauthLoginResponse:
        """Begin a login; clients hear how it ends.

        :raises BadRequest: no such server, or none that one could log in to
        :raises Internal: the configuration cannot be used, or the server knows no login or refuses to begin one
        """
        catalog = self._catalogs.load(self._cwd)
        server = config.servers(catalog).get(params.name)
        if server is None:
            raise BadRequest(f"No MCP server named '{params.name}' found.")
        if server.url is None:
            raise BadRequest("OAuth login is only supported for streamable HTTP servers.")
        address: Answer[str] = Answer()
        port = catalog.get("mcp_oauth_callback_port", 0)
        self._tasks.start_soon(self._log_in, server, server.url, params, port, address)
        return p.McpServerOauthLoginResponse(authorization_url=await address.wait())

    async def _log_in(
        self, server: ServerConfig, url: str, params: p.McpServerOauthLoginParams, port: int, address: Answer[str]
    ) -> None:
        told = False
        limit = LOGIN_SECONDS if params.timeout_secs is None else max(params.timeout_secs, 1)

        def show(found: str) -> None:
            nonlocal told
            told = True
            scope.deadline = anyio.current_time() + limit  # the user's time begins
            address.set(found)

        failure: str | None = None
        with anyio.move_on_after(LOGIN_SECONDS) as scope:
            try:
                await _login(self._threads.layout.path, server, url, params.scopes, port, show)
            except McpFailed as error:
                failure = error.text
            except OSError as error:
                failure = os_reason(error)
            except Exception as error:  # whoever asked is told, and nobody else is harmed
                logger.exception("MCP server %s: the login failed", server.name)
                failure = str(error) or type(error).__name__
        if scope.cancelled_caught:
            failure = "timed out waiting for OAuth callback"
        if not told:
            address.fail(Internal(f"failed to login to MCP server '{server.name}': {failure}"))
            return
        done = p.McpServerOauthLoginCompletedNotification(
            name=server.name, success=failure is None, error=UNSET if failure is None else failure
        )
        self._sink.publish(Notification("mcpServer/oauthLogin/completed", done, Everyone()))

    @asynccontextmanager
    async def _servers(self, thread_id: str | None, name: str) -> AsyncIterator[Servers]:
        if thread_id is not None:
            yield self._threads.get(thread_id).mcp
            return
        configs = self.configured()
        async with started({name: configs[name]} if name in configs else {}, self._threads.layout.path) as servers:
            yield servers


async def _login(
    home: Path, server: ServerConfig, url: str, scopes: list[str] | None, port: int, show: Callable[[str], None]
) -> None:
    from engine.mcp.discovery import authorization_server  # HTTP and the SDK: only for those who need them

    if await authorization_server(url, server.headers(os.environ)) is None:
        raise McpFailed("No authorization support detected")
    login = await anyio.to_thread.run_sync(_import_login)
    asked = scopes or (None if server.scopes is None else list(server.scopes))
    await login(home, server, url, asked, port, show)


def _import_login() -> Callable[..., Awaitable[None]]:
    from engine.mcp.login import login

    return login


async def auth_status(server: ServerConfig, home: Path) -> p.McpAuthStatus:
    """How requests to a server are authorised."""
    if server.url is None:
        return "unsupported"
    headers = server.headers(os.environ)
    if server.bearer_token_env_var is not None or "authorization" in map(str.lower, headers):
        return "bearerToken"
    if not server.enabled:
        return "unsupported"
    if credentials.load(home, server.name, server.url) is not None:
        return "oAuth"
    from engine.mcp.discovery import authorization_server

    return "unsupported" if await authorization_server(server.url, headers) is None else "notLoggedIn"


def _tools(servers: Servers, name: str) -> dict[str, p.Tool]:
    server = servers.server(name)
    if server is None:
        return {}
    return {tool.name: tool for tool in server.tools if server.config.offers(tool.name)}
