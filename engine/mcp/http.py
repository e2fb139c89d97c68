"""Requests to an MCP server over HTTP: failed ones become JSON-RPC errors that say what failed.

The SDK would end the whole session when a server cannot be reached for a moment, and drop the status of answers. Like
`connection`, this module imports the SDK.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import anyio
import httpx2
import mcp_types
import msgspec

from engine.calls.json_reader import NotJson, position, read
from engine.mcp.errors import CLOSED

GOODBYE_SECONDS = 2.0
"""How long the end of a session may take to be told; a server may not hold up its own end."""
HTTP_STATUS = "http_status"
"""Member of an error's data: the status behind an error that was made here."""
LAST_PORT = 65535
PREVIEW_BYTES = 8192
"""What an error shows of a body."""
SESSION_HEADER = "mcp-session-id"
WORKER = (
    "rmcp::transport::worker::WorkerTransport<rmcp::transport::streamable_http_client::StreamableHttpClientWorker<"
    "codex_rmcp_client::http_client_adapter::StreamableHttpClientAdapter>>"
)
"""What the reference's texts name as the cause of what goes wrong over HTTP; clients show and search them."""
_FAILED = "Client error: HTTP request failed: http/request"
_STRANGE = "Deserialize error: data did not match any variant of untagged enum JsonRpcMessage"
_MESSAGE_MEMBERS = ("result", "error", "method")


class Client(httpx2.AsyncClient):
    """Makes the requests of one connection."""

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send; what failed comes back as a JSON-RPC error with an HTTP status of its own."""
        if (request.url.port or 0) > LAST_PORT:
            return _explained(request, 503, _no_address(request.url))
        try:
            if request.method == "DELETE":
                with anyio.fail_after(GOODBYE_SECONDS):
                    return await super().send(request, **options)
            response = await super().send(request, **options)
        except httpx2.UnsupportedProtocol:
            return _explained(request, 503, _no_address(request.url))
        except httpx2.TransportError:
            return _explained(request, 503, f"{_FAILED} failed: error sending request for url ({request.url})")
        if request.method != "POST" or not (_asks(request) or response.status_code >= 400):
            return response
        return await _checked(request, response)


async def _checked(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    """A response as it is, if it is an answer or begins a stream of them."""
    kind, status = response.headers.get("content-type", ""), response.status_code
    if status < 400 and (kind.startswith("text/event-stream") or response.has_redirect_location):
        return response
    body = b""
    with suppress(httpx2.HTTPError):
        body = await response.aread()
    if status in (202, 204):
        return _explained(request, 503, CLOSED)
    code = _error_code(body) if status >= 400 else None
    lost = status == 404 and SESSION_HEADER in request.headers
    if code is not None and (not lost or code == mcp_types.METHOD_NOT_FOUND):
        return response
    if lost:
        return _explained(request, status, "Client error: streamable HTTP session expired with 404 Not Found")
    fault = _fault(kind, body)
    if fault is None and status < 400:
        return response
    return _explained(request, max(status, 400), fault or _STRANGE, response.headers.get("www-authenticate"))


def _fault(kind: str, body: bytes) -> str | None:
    """Why this is no message, in the words of the reference; None if it is one."""
    if not kind.startswith("application/json"):
        shown = msgspec.json.encode(f"{kind or 'missing-content-type'}; body: {_preview(body)}").decode()
        return f"Unexpected content type: Some({shown})"
    try:
        read(body)
    except NotJson as broken:
        return f"Deserialize error: {broken.message} at {position(body, broken.at)}"
    members = _members(body)
    return None if "jsonrpc" in members and any(name in members for name in _MESSAGE_MEMBERS) else _STRANGE


def _preview(body: bytes) -> str:
    """A body, but not more of it than anybody wants to read."""
    if len(body) <= PREVIEW_BYTES:
        return body.decode(errors="replace")
    begun = body[:PREVIEW_BYTES].decode(errors="ignore")
    return f"{begun}... (truncated {len(body) - len(begun.encode())} bytes)"


def _asks(request: httpx2.Request) -> bool:
    """Whether this is a request of the protocol, which has an answer."""
    members = _members(request.content)
    return "id" in members and "method" in members


def _error_code(body: bytes) -> int | None:
    """The code if this is a JSON-RPC error, which some servers send with a status of their own."""
    members = _members(body)
    if "jsonrpc" not in members or "error" not in members:
        return None
    code = _members(members["error"]).get("code", msgspec.Raw(b"0"))
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(code, type=int)
    return None


def _members(body: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _no_address(url: httpx2.URL) -> str:
    if (url.port or 0) > LAST_PORT:
        return f"{_FAILED} url is invalid: invalid port number"
    why = f"only supports http and https URLs, got {url.scheme}" if url.scheme else None
    return f"{_FAILED} {why or 'url is invalid: relative URL without a base'}"


def _explained(request: httpx2.Request, status: int, message: str, challenge: str | None = None) -> httpx2.Response:
    data = {HTTP_STATUS: status, "challenge": challenge}
    error = {"code": mcp_types.INTERNAL_ERROR, "message": message, "data": data}
    answer = {"jsonrpc": "2.0", "id": None, "error": error}
    return httpx2.Response(status, headers={"content-type": "application/json"}, json=answer, request=request)
