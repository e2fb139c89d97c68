"""Tokens of MCP servers, in the reference's `CODEX_HOME/.credentials.json`, so that a login counts for both engines.

Knows the file only; the login is made by `login`, requests are signed by `auth`. The reference may keep tokens in the
system's keyring instead; those are not seen here.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from pathlib import Path

import msgspec
from msgspec import UNSET, UnsetType

FILE = ".credentials.json"


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What a login gave. `expires_at` in milliseconds since 1970, None if the token does not say."""

    server_name: str
    server_url: str
    client_id: str
    access_token: str
    expires_at: int | None = None
    refresh_token: str | None = None
    scopes: tuple[str, ...] = ()
    client_secret: str | UnsetType = UNSET
    """Of servers that insist on one; the reference has no such member and leaves it alone."""

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the access token expires; None if that is not known."""
        return None if self.expires_at is None else self.expires_at / 1000 - time.time()


def expiry(seconds: float | None) -> int | None:
    """When a token expires that is good for this many seconds from now."""
    return None if seconds is None else round((time.time() + seconds) * 1000)


def load(home: Path, name: str, url: str) -> Credentials | None:
    """The tokens for a server at this address, if there are any that can be read."""
    try:
        entry = _entries(home / FILE).get(_key(name, url))
        return None if entry is None else msgspec.json.decode(entry, type=Credentials)
    except (OSError, ValueError):
        return None


def save(home: Path, credentials: Credentials) -> None:
    """Keep tokens; those of other servers stay as they are, also when several are kept at once. Only the user may read
    the file.

    :raises OSError: it cannot be read or written
    :raises ValueError: what is there is no such file, and is left as it is
    """
    file = home / FILE
    folder = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        entries = _entries(file)
        entries[_key(credentials.server_name, credentials.server_url)] = msgspec.Raw(msgspec.json.encode(credentials))
        fresh = file.with_name(f"{FILE}.{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(msgspec.json.encode(entries))
        fresh.replace(file)
    finally:
        os.close(folder)


def _entries(file: Path) -> dict[str, msgspec.Raw]:
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return {}
    return msgspec.json.decode(text, type=dict[str, msgspec.Raw]) if text else {}


def _key(name: str, url: str) -> str:
    """Observed: the name, and a hash of the address as the reference writes it."""
    identity = json.dumps({"type": "http", "url": url, "headers": {}}, separators=(",", ":"), ensure_ascii=False)
    return f"{name}|{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
