"""The connection to one MCP server: the SDK's transports and JSON-RPC, with our handshake and plain JSON results.

Imports the SDK, which takes longer than all the rest; `engine.mcp.server` imports this module in a worker thread once
a server has to be started. Results are not decoded into the SDK's types, which hold less: `wire` says what of them
reaches clients and the model.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Protocol, cast

import anyio
import anyio.abc
import httpx2
import mcp_types
import msgspec
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.dispatcher import CallOptions, DispatchContext
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.transport_context import TransportContext

from engine.headers import sendable
from engine.mcp.auth import stored_login
from engine.mcp.config import ServerConfig
from engine.mcp.errors import CLOSED, UNEXPECTED, McpFailed, seconds
from engine.mcp.http import HTTP_STATUS, WORKER, Client
from engine.mcp.incoming import ODD, Incoming
from engine.mcp.wire import answer, introduction, strange_start

PROTOCOL_VERSION = "2025-06-18"
CLIENT_NAME = "codex-mcp-client"
"""Servers know the reference by this name, some by nothing else."""
CLIENT_VERSION = "0.125.0"
CONNECT_SECONDS = 30.0
_STDERR_CHUNK = 1 << 16
_INHERITED = ("LANG", "LC_ALL", "TMPDIR", "TZ", "__CF_USER_TEXT_ENCODING")
"""Variables that servers get beside those the SDK passes on anyway."""
_HANDSHAKE = "handshaking with MCP server failed: "
_GONE = (mcp_types.CONNECTION_CLOSED, "Connection closed")
"""How the SDK says that the server is gone; servers use the same code for errors of their own."""

logger = logging.getLogger(__name__)

OnProgress = Callable[[str | None], None]
Streams = tuple[Any, Any]


class Inbound(Protocol):
    """What a server may ask of us."""

    async def elicit(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the user; the result of `elicitation/create`.

        :raises McpFailed: that cannot be asked
        """

    def tools_changed(self) -> None:
        """The server offers other tools now."""


class Connection:
    """An open connection. Requests may run at the same time; all fail once the server is gone."""

    def __init__(self, config: ServerConfig, dispatcher: JSONRPCDispatcher[TransportContext]) -> None:
        self.closed = anyio.Event()
        self.instructions: str | None = None
        self._config = config
        self._dispatcher = dispatcher
        self._headers: dict[str, str] = {}
        self._ids = count()
        self._tokens = count()
        self._reporters: dict[int, OnProgress] = {}
        """By the token of the request whose progress they are told."""

    async def handshake(self) -> None:
        """Introduce ourselves and take note of what the server says of itself.

        :raises McpFailed: it refused, went away or took too long
        """
        params = {
            "protocolVersion": PROTOCOL_VERSION,
            "capabilities": {"elicitation": {"form": {}}},
            "clientInfo": {"name": CLIENT_NAME, "title": "Codex", "version": CLIENT_VERSION},
        }
        limit = self._config.startup_seconds
        options: CallOptions = {"cancel_on_abandon": False, "request_id": next(self._ids)}
        try:
            with anyio.fail_after(limit):
                about = introduction(await self._dispatcher.send_raw_request("initialize", params, options))
                self._headers = {MCP_PROTOCOL_VERSION_HEADER: about["protocolVersion"]}
                self.instructions = about.get("instructions")
                await self._dispatcher.notify("notifications/initialized", None, {"headers": self._headers})
        except TimeoutError:
            raise McpFailed(f"timed out handshaking with MCP server after {seconds(limit)}", late=True) from None
        except MCPError as error:
            raise _handshake_failed(error) from error
        except McpFailed as strange:
            raise McpFailed(f"{_HANDSHAKE}{strange.text}") from strange

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, on_progress: OnProgress | None = None
    ) -> dict[str, Any]:
        """Send a request; the result in order (`wire`). A cancelled caller cancels the request.

        :raises McpFailed: the server refused it, gave no answer to it, or is gone
        """
        token = next(self._tokens)
        told = dict(params or {})
        told["_meta"] = {"progressToken": token, **told.get("_meta", {})}
        if on_progress is not None:
            self._reporters[token] = on_progress
        try:
            options: CallOptions = {"headers": self._headers, "request_id": next(self._ids)}
            return answer(method, await self._dispatcher.send_raw_request(method, told, options))
        except MCPError as error:
            raise _failed(error) from error
        finally:
            self._reporters.pop(token, None)

    def progressed(self, params: Mapping[str, Any]) -> None:
        """A server says how far it is with a request."""
        token, message = params.get("progressToken"), params.get("message")
        reporter = self._reporters.get(token) if isinstance(token, int) else None
        if reporter is not None:
            reporter(message if isinstance(message, str) else None)


@asynccontextmanager
async def connect(
    config: ServerConfig, environment: Mapping[str, str], home: Path, inbound: Inbound
) -> AsyncIterator[Connection]:
    """Start or reach a server and talk to it; on exit its process is gone.

    :param environment: variables of this process, of which the server gets those it is meant to have
    :param home: where logins are kept
    :raises McpFailed: the configuration cannot work
    :raises OSError: the program does not start
    """
    async with AsyncExitStack() as stack:
        if config.url is None:
            streams = await stack.enter_async_context(_stdio(config, environment))
        else:
            streams = await stack.enter_async_context(_http(config, config.url, environment, home))
        dispatcher: JSONRPCDispatcher[TransportContext] = JSONRPCDispatcher(*streams)
        connection = Connection(config, dispatcher)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        await tasks.start(_pump, connection, dispatcher, inbound)
        try:
            yield connection
        finally:
            tasks.cancel_scope.cancel()


async def _pump(
    connection: Connection,
    dispatcher: JSONRPCDispatcher[TransportContext],
    inbound: Inbound,
    *,
    task_status: anyio.abc.TaskStatus[None],
) -> None:
    async def on_request(
        context: DispatchContext[TransportContext], method: str, params: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        match method:
            case "ping":
                return {}
            case "roots/list":
                return {"roots": []}
            case "elicitation/create":
                with suppress(McpFailed):
                    return await inbound.elicit(params or {})
        raise MCPError(code=mcp_types.METHOD_NOT_FOUND, message=method)

    async def on_notify(
        context: DispatchContext[TransportContext], method: str, params: Mapping[str, Any] | None
    ) -> None:
        match method:
            case "notifications/tools/list_changed":
                inbound.tools_changed()
            case "notifications/progress":
                connection.progressed(params or {})

    try:
        await dispatcher.run(on_request, on_notify, task_status=task_status)
    finally:
        connection.closed.set()


def _handshake_failed(error: MCPError) -> McpFailed:
    known = _failed(error)
    if known.text == CLOSED:
        return McpFailed(f"{_HANDSHAKE}connection closed: initialize response")
    if isinstance(error.data, dict) and ODD in error.data:
        return McpFailed(_HANDSHAKE + strange_start(error.data[ODD]))
    if _status(error):
        text = f"Send message error Transport [{WORKER}] error: {error.message}, when send initialize request"
    else:
        text = f"JSON-RPC error: {_said(error)}"
    return McpFailed(f"{_HANDSHAKE}{text}", login=known.login)


def _failed(error: MCPError) -> McpFailed:
    status = _status(error)
    if status and error.message != CLOSED:
        text = f"Transport send error: Transport [{WORKER}] error: {error.message}"
        return McpFailed(text, login=bool(error.data.get("challenge")), lost=status == 404)
    if status or (error.code, error.message) == _GONE or _broke_off(error):
        return McpFailed(CLOSED)
    if (isinstance(error.data, dict) and ODD in error.data) or _unparsed(error):
        return McpFailed(UNEXPECTED)
    return McpFailed(f"Mcp error: {_said(error)}")


def _said(error: MCPError) -> str:
    """An error of a server, with what it gave along."""
    data = "" if error.data is None else f"({msgspec.json.encode(error.data).decode()})"
    return f"{error.code}: {error.message}{data}"


def _broke_off(error: MCPError) -> bool:
    """Whether the stream of answers over HTTP ended before the one that was asked for."""
    return error.code == mcp_types.CONNECTION_CLOSED and error.message.startswith("SSE stream ended ")


def _unparsed(error: MCPError) -> bool:
    """Whether the SDK could not read an answer over HTTP; servers use the same code for errors of their own."""
    return error.code == mcp_types.PARSE_ERROR and error.message.startswith("Failed to parse ")


def _status(error: MCPError) -> int:
    """The HTTP status behind an error that `http` made; 0 for errors of the server itself."""
    return error.data.get(HTTP_STATUS, 0) if isinstance(error.data, dict) else 0


# -- transports


@asynccontextmanager
async def _stdio(config: ServerConfig, environment: Mapping[str, str]) -> AsyncIterator[Streams]:
    passed_on = {name: environment[name] for name in (*_INHERITED, *config.env_vars) if name in environment}
    program = StdioServerParameters(
        command=config.command or "",
        args=list(config.args),
        env={**passed_on, **config.env},
        cwd=config.cwd,
        encoding_error_handler="replace",
    )
    ours, theirs = os.pipe()
    async with AsyncExitStack() as stack:
        stack.callback(os.close, ours)
        with os.fdopen(theirs, "w") as stderr:
            streams = await stack.enter_async_context(stdio_client(program, errlog=stderr))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_log_lines, config.name, ours)
            incoming, outgoing = streams
            yield Incoming(incoming), outgoing
            tasks.cancel_scope.cancel()


async def _log_lines(name: str, pipe: int) -> None:
    """Pass on what the server says on stderr, line by line; very long lines in pieces."""
    os.set_blocking(pipe, False)
    rest = b""
    while True:
        await anyio.wait_readable(pipe)
        data = os.read(pipe, _STDERR_CHUNK)
        *lines, rest = (rest + data).split(b"\n")
        if not data or len(rest) > _STDERR_CHUNK:
            lines, rest = [*lines, rest], b""
        for line in filter(None, lines):
            logger.info("MCP server %s: %s", name, line.decode(errors="replace"))
        if not data:
            return


@asynccontextmanager
async def _http(config: ServerConfig, url: str, environment: Mapping[str, str], home: Path) -> AsyncIterator[Streams]:
    known = headers(config, environment)
    auth = None if "authorization" in map(str.lower, known) else stored_login(home, config.name, url)
    timeout = httpx2.Timeout(CONNECT_SECONDS, read=None)  # how long an answer may take is said for each request
    async with (
        Client(headers=known, timeout=timeout, auth=auth) as client,
        streamable_http_client(url, http_client=client) as streams,
    ):
        yield cast("Streams", streams)


def headers(config: ServerConfig, environment: Mapping[str, str]) -> dict[str, str]:
    """The configured headers of requests to a server; those that are not ASCII only go along when it is asked whether
    it knows OAuth (observed).

    :raises McpFailed: the variable of the bearer token is not there
    """
    known = config.headers(environment)
    if config.bearer_token_env_var is not None:
        token = environment.get(config.bearer_token_env_var)
        if not token:
            wrong = "not set" if token is None else "empty"
            variable = config.bearer_token_env_var
            raise McpFailed(f"Environment variable {variable} for MCP server '{config.name}' is {wrong}")
        known |= sendable({"Authorization": f"Bearer {token}"})
    return {name: value for name, value in known.items() if value.isascii()}
