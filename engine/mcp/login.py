"""Logging in to an MCP server: the SDK's OAuth flow, with the user's browser sent back to a port of ours.

Like `connection`, this module imports the SDK and is itself imported when it is needed.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

import anyio
import httpx2
import msgspec
from anyio.abc import SocketAttribute, SocketStream
from mcp.client.auth import OAuthClientProvider, OAuthFlowError
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from pydantic import AnyUrl

from engine.mcp import credentials
from engine.mcp.config import ServerConfig
from engine.mcp.credentials import Credentials
from engine.mcp.errors import McpFailed

CALLBACK_PATH = "/callback"
CLIENT_NAME = "Codex"
"""Some servers register known clients only, by name."""
DONE = "Authentication complete. You may close this window."
NOT_HANDLED = "failed to handle OAuth callback"
"""All that clients hear of a login that fails once the browser is back; the log has the reason."""
_HEAD_BYTES = 1 << 14
_MOST_REQUESTS = 40

logger = logging.getLogger(__name__)


async def login(
    home: Path, server: ServerConfig, url: str, scopes: list[str] | None, port: int, told: Callable[[str], None]
) -> None:
    """Log in and keep the tokens. Takes as long as the user does; a limit is the caller's business.

    :param port: where the browser is sent back to; 0 for any
    :param told: is given the address that the user has to open
    :raises McpFailed: the server refused, or the user did
    """
    async with _callback(port) as (redirect, returned):
        metadata = OAuthClientMetadata(
            redirect_uris=[AnyUrl(redirect)],
            token_endpoint_auth_method="none",
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            client_name=CLIENT_NAME,
        )

        shown = False

        async def show(address: str) -> None:
            nonlocal shown
            shown = True
            told(_with_scopes(address, scopes))

        storage = _Storage()
        provider = OAuthClientProvider(url, metadata, storage, show, returned)
        try:
            await _drive(provider, url)
        except (OAuthFlowError, httpx2.HTTPError, ValueError) as error:
            logger.warning("MCP server %s: the login failed: %s", server.name, error)
            raise McpFailed(NOT_HANDLED if shown else str(error)) from error
        await anyio.to_thread.run_sync(credentials.save, home, storage.credentials(server.name, url))


async def _drive(provider: OAuthClientProvider, url: str) -> None:
    """Run the provider's flow. It begins with a refused request; a server that lets everybody in is taken to refuse."""
    request = httpx2.Request("POST", url, headers={MCP_PROTOCOL_VERSION_HEADER: "2025-06-18"})
    flow = provider.async_auth_flow(request)
    async with httpx2.AsyncClient() as client:
        try:
            asked = await anext(flow)
            refused = False
            for _ in range(_MOST_REQUESTS):
                if asked is request and refused:
                    return  # it would be sent again, signed now; that is for the server's own connection
                response = await client.send(asked)
                await response.aread()
                if asked is request:
                    refused = True
                    if response.status_code != HTTPStatus.UNAUTHORIZED:
                        response = httpx2.Response(HTTPStatus.UNAUTHORIZED, request=request)
                asked = await flow.asend(response)
        finally:
            await flow.aclose()
    raise McpFailed("the server's login does not come to an end")


def _with_scopes(address: str, scopes: list[str] | None) -> str:
    """The address, asking for these scopes instead of all that the server has."""
    if scopes is None:
        return address
    parts = urlsplit(address)
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name != "scope"]
    query = httpx2.QueryParams([*kept, ("scope", " ".join(scopes))])
    return parts._replace(query=str(query)).geturl()


class _Storage:
    """Holds what the flow finds out until it is through."""

    def __init__(self) -> None:
        self._tokens: OAuthToken | None = None
        self._client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self._tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._client = client_info

    def credentials(self, name: str, url: str) -> Credentials:
        tokens, client = self._tokens, self._client
        if tokens is None or client is None or client.client_id is None:
            raise McpFailed("the server gave no tokens")
        found = Credentials(
            server_name=name,
            server_url=url,
            client_id=client.client_id,
            access_token=tokens.access_token,
            expires_at=credentials.expiry(tokens.expires_in),
            refresh_token=tokens.refresh_token,
            scopes=tuple((tokens.scope or "").split()),
        )
        if client.client_secret is None:
            return found
        return msgspec.structs.replace(found, client_secret=client.client_secret)


@asynccontextmanager
async def _callback(port: int) -> AsyncIterator[tuple[str, Callable[[], Awaitable[AuthorizationCodeResult]]]]:
    """A port that waits for the browser: its address, and a function that waits for what the browser brings."""
    send, receive = anyio.create_memory_object_stream[dict[str, str]](1)

    async def serve(stream: SocketStream) -> None:
        async with stream:
            target = await _target(stream)
            given = dict(parse_qsl(target.query))
            if target.path != CALLBACK_PATH or not ({"code", "error"} & set(given)):
                await _answer(stream, HTTPStatus.BAD_REQUEST, "Invalid OAuth callback")
                return
            refusal = _refusal(given)
            await _answer(stream, HTTPStatus.BAD_REQUEST if refusal else HTTPStatus.OK, refusal or DONE)
            with anyio.move_on_after(1):
                await send.send(given)

    async def returned() -> AuthorizationCodeResult:
        given = await receive.receive()
        if refusal := _refusal(given):
            raise McpFailed(refusal)
        return AuthorizationCodeResult(code=given["code"], state=given.get("state"), iss=given.get("iss"))

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    async with listener, send, receive, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        bound = listener.extra(SocketAttribute.local_port)
        failed: McpFailed | None = None
        try:
            yield f"http://127.0.0.1:{bound}{CALLBACK_PATH}", returned
        except McpFailed as error:  # to leave as it is, not in a group
            failed = error
        tasks.cancel_scope.cancel()
    if failed is not None:
        raise failed


def _refusal(given: dict[str, str]) -> str | None:
    if "error" not in given:
        return None
    described = given.get("error_description")
    return f"OAuth provider returned `{given['error']}`" + (f": {described}" if described else "")


async def _target(stream: SocketStream) -> SplitResult:
    """The target of the one request on a connection; empty if there is none worth the name."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _HEAD_BYTES:
        try:
            head += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            break
    words = head.split(b"\r\n", 1)[0].decode(errors="replace").split()
    try:
        return urlsplit(words[1] if len(words) == 3 and words[0] == "GET" else "")
    except ValueError:
        return urlsplit("")


async def _answer(stream: SocketStream, status: HTTPStatus, text: str) -> None:
    """Answer the one request on a connection; whoever made it may be gone."""
    body = text.encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: text/plain; charset=UTF-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with suppress(anyio.BrokenResourceError):
        await stream.send(head.encode() + body)
