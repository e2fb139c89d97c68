"""Requests to an MCP server under a stored login: the token is added, and renewed when it is too old."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import httpx2
import msgspec

from engine.mcp import credentials
from engine.mcp.credentials import Credentials
from engine.mcp.discovery import authorization_server

RENEW_BEFORE_SECONDS = 30.0

logger = logging.getLogger(__name__)


class _Renewed(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: float | None = None
    refresh_token: str | None = None


class StoredLogin(httpx2.Auth):
    """Signs requests. Without a token that works they go out as they are, and the server says what it wants."""

    requires_response_body = False

    def __init__(self, home: Path, known: Credentials) -> None:
        self._home = home
        self._known = known
        self._token_endpoint: str | None = None
        self._lock = anyio.Lock()

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """One request, or two if the token turns out to be too old."""
        async with self._lock:
            if _old(self._known):
                await self._renew()
        used = self._known
        request.headers["Authorization"] = f"Bearer {used.access_token}"
        response = yield request
        if response.status_code != 401:
            return
        async with self._lock:
            fresh = self._known is not used or await self._renew()
        if fresh:
            request.headers["Authorization"] = f"Bearer {self._known.access_token}"
            yield request

    async def _renew(self) -> bool:
        """Take what another connection has kept meanwhile, else exchange the refresh token, which may count only once;
        whether that gave a new access token."""
        before = self._known
        kept = await anyio.to_thread.run_sync(credentials.load, self._home, before.server_name, before.server_url)
        known = kept or before
        if known.access_token != before.access_token and not _old(known):
            self._known = known
            return True
        if known.refresh_token is None:
            return False
        if self._token_endpoint is None:
            found = await authorization_server(known.server_url)
            if found is None:
                return False
            self._token_endpoint = found.token_endpoint
        asked = {"grant_type": "refresh_token", "refresh_token": known.refresh_token, "client_id": known.client_id}
        if isinstance(known.client_secret, str):
            asked["client_secret"] = known.client_secret
        try:
            async with httpx2.AsyncClient() as client:
                response = await client.post(self._token_endpoint, data=asked)
            renewed = msgspec.json.decode(response.content, type=_Renewed)
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
            return False
        self._known = msgspec.structs.replace(
            known,
            access_token=renewed.access_token,
            expires_at=credentials.expiry(renewed.expires_in),
            refresh_token=renewed.refresh_token or known.refresh_token,
        )
        try:
            await anyio.to_thread.run_sync(credentials.save, self._home, self._known)
        except (OSError, ValueError) as error:
            logger.warning("the login to MCP server %s is good for this connection only: %s", known.server_name, error)
        return True


def _old(known: Credentials) -> bool:
    left = known.seconds_left
    return left is not None and left < RENEW_BEFORE_SECONDS


def stored_login(home: Path, name: str, url: str) -> StoredLogin | None:
    """The login for a server, if somebody has made one."""
    known = credentials.load(home, name, url)
    return None if known is None else StoredLogin(home, known)
