"""Requests to an MCP server under a stored login: the token is added, and renewed when it is too old."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import httpx2
import msgspec

from engine.mcp import credentials
from engine.mcp.credentials import Credentials
from engine.mcp.discovery import authorization_server

RENEW_BEFORE_SECONDS = 30.0


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
            left = self._known.seconds_left
            if left is not None and left < RENEW_BEFORE_SECONDS:
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
        """Exchange the refresh token; whether that gave a new access token."""
        known = self._known
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
        except (httpx2.HTTPError, msgspec.DecodeError):
            return False
        self._known = msgspec.structs.replace(
            known,
            access_token=renewed.access_token,
            expires_at=credentials.expiry(renewed.expires_in),
            refresh_token=renewed.refresh_token or known.refresh_token,
        )
        await anyio.to_thread.run_sync(credentials.save, self._home, self._known)
        return True


def stored_login(home: Path, name: str, url: str) -> StoredLogin | None:
    """The login for a server, if somebody has made one."""
    known = credentials.load(home, name, url)
    return None if known is None else StoredLogin(home, known)
