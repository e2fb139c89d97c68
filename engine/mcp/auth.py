"""Requests to an MCP server under a stored login: the token is added, and renewed when it is too old."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import msgspec

from engine.mcp import credentials
from engine.mcp.credentials import Credentials
from engine.mcp.discovery import authorization_server

LOCK_SECONDS = 0.02
"""Between two looks whether somebody else has renewed a token by now."""
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
        known = await self._kept()
        if self._take(known):
            return True
        if known.refresh_token is None:
            return False
        if self._token_endpoint is None:
            found = await authorization_server(known.server_url)
            if found is None:
                return False
            self._token_endpoint = found.token_endpoint
        async with _alone(self._home):
            known = await self._kept()
            return self._take(known) or await self._exchange(known, self._token_endpoint)

    async def _kept(self) -> Credentials:
        """The login as it is kept now, or as it was known before."""
        known = self._known
        kept = await anyio.to_thread.run_sync(credentials.load, self._home, known.server_name, known.server_url)
        return kept or known

    def _take(self, kept: Credentials) -> bool:
        """Go on with a token that another connection has got, if it has."""
        new = kept.access_token != self._known.access_token and not _old(kept)
        if new:
            self._known = kept
        return new

    async def _exchange(self, known: Credentials, token_endpoint: str) -> bool:
        if known.refresh_token is None:
            return False
        asked = {"grant_type": "refresh_token", "refresh_token": known.refresh_token, "client_id": known.client_id}
        if isinstance(known.client_secret, str):
            asked["client_secret"] = known.client_secret
        try:
            async with httpx2.AsyncClient() as client:
                response = await client.post(token_endpoint, data=asked)
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


@asynccontextmanager
async def _alone(home: Path) -> AsyncIterator[None]:
    """No other connection of any process renews a token meanwhile: a refresh token that is shown twice may cost the
    whole login. The lock is on the file of the logins, which every change replaces; without a file there is none."""
    file = await _locked(home / credentials.FILE)
    try:
        yield
    finally:
        if file is not None:
            os.close(file)


async def _locked(path: Path) -> int | None:
    """The open file with the lock on it, as soon as nobody else has that; None if there is no file."""
    while True:
        try:
            file = os.open(path, os.O_RDONLY)
        except OSError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(file, path):
                return file
        except BlockingIOError:
            pass
        except OSError:  # no locks on this file system
            return file
        os.close(file)
        await anyio.sleep(LOCK_SECONDS)


def _is_at(file: int, path: Path) -> bool:
    """Whether an open file was not replaced or removed meanwhile."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _old(known: Credentials) -> bool:
    left = known.seconds_left
    return left is not None and left < RENEW_BEFORE_SECONDS


def stored_login(home: Path, name: str, url: str) -> StoredLogin | None:
    """The login for a server, if somebody has made one."""
    known = credentials.load(home, name, url)
    return None if known is None else StoredLogin(home, known)
