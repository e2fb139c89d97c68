"""Does an MCP server over HTTP know OAuth, and where: its metadata, looked for where the reference looks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec

TIMEOUT_SECONDS = 5.0
_HEADERS = {"mcp-protocol-version": "2024-11-05"}

# Documents, and where they are looked for: the path of the URL behind their name or before it, or no path.
_BEHIND, _BEFORE, _WITHOUT = "{origin}{known}{path}", "{origin}{path}{known}", "{origin}{known}"
_SERVER = ("oauth-authorization-server", (_BEHIND, _BEFORE, _WITHOUT))
_OPENID = ("openid-configuration", (_BEHIND, _BEFORE))
_RESOURCE = ("oauth-protected-resource", (_BEHIND, _WITHOUT))


class Metadata(msgspec.Struct, frozen=True):
    """The part of an authorisation server's metadata (RFC 8414) that is needed."""

    authorization_endpoint: str
    token_endpoint: str


async def authorization_server(url: str, headers: dict[str, str] | None = None) -> Metadata | None:
    """The authorisation server of an MCP server; None if it tells of none, or nothing in time.

    A server that names another one for its protected resource (RFC 9728) is believed.
    """
    limits = httpx2.Timeout(TIMEOUT_SECONDS)
    sent = {name.encode(): value.encode() for name, value in {**(headers or {}), **_HEADERS}.items()}
    async with httpx2.AsyncClient(headers=sent, timeout=limits) as client:
        for place in _places(url, *_SERVER):
            if found := _metadata(await _get(client, place)):
                return found
        for place in _places(url, *_RESOURCE):
            for issuer in _issuers(await _get(client, place)):
                for known in (*_places(issuer, *_SERVER), *_places(issuer, *_OPENID)):
                    if found := _metadata(await _get(client, known)):
                        return found
    return None


async def _get(client: httpx2.AsyncClient, url: str) -> Any:
    """The JSON at an address; None for anything else."""
    try:
        response = await client.get(url)
        return msgspec.json.decode(response.content) if response.status_code == 200 else None
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, RecursionError):
        return None


def _metadata(document: Any) -> Metadata | None:
    try:
        return msgspec.convert(document, Metadata)
    except msgspec.ValidationError:
        return None


def _issuers(document: Any) -> list[str]:
    named = document.get("authorization_servers") if isinstance(document, dict) else None
    return [each for each in named if isinstance(each, str)] if isinstance(named, list) else []


def _places(url: str, document: str, forms: Iterable[str]) -> Iterable[str]:
    """Where a document about a URL may be, each place once; nowhere if it is no URL."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # refuses a number that is none of a port
    except ValueError:
        return ()
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    known = f"/.well-known/{document}"
    return dict.fromkeys(form.format(origin=origin, path=path, known=known) for form in forms)
