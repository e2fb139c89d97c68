"""The websocket transport of a thread's model requests (turns 4.4): one connection serves request after
request, and each sends only what the server's last response has not seen. A `WebsocketSession` belongs to one
thread and takes the place of a `ModelClient` for it; when the server does not want websockets it goes on over
HTTP.

It keeps no history: what the server has seen is remembered as a count and a digest. A connection that did not
end its reply (failure, cancellation, somebody stopped reading) is aborted, never reused."""

import hashlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final

import anyio
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from engine.model import status
from engine.model.client import ModelClient
from engine.model.endpoint import Endpoint
from engine.model.errors import disconnected
from engine.model.request import METADATA_HEADER, WINDOW_HEADER, Body, ModelRequest
from engine.model.sse import EVENT_LIMIT
from engine.model.stream import decode, reply_headers
from engine.turn.replies import Completed, Headers, ItemDone, ModelFailure, StreamEvent
from rollouts import codec

BETA: Final = "responses_websockets=2026-02-06"
_UPGRADE_HEADERS: Final = frozenset(
    {
        "originator",
        "session_id",
        "x-client-request-id",
        "x-codex-turn-state",
        "x-openai-subagent",
        METADATA_HEADER,
        WINDOW_HEADER,
    }
)
_UPGRADE_REQUIRED: Final = 426
_BAD_REQUEST: Final = 400
"""The first status whose answers say what is wrong."""


class _Seen(msgspec.Struct, frozen=True):
    """What the server knows after a response: its id, and how much of which history under which settings."""

    response_id: str
    settings: bytes
    count: int
    digest: bytes


class _ErrorCode(msgspec.Struct, frozen=True):
    code: str | None = None
    message: str | None = None


class _ErrorFrame(msgspec.Struct, frozen=True):
    type: str
    status: int | None = None
    status_code: int | None = None
    error: _ErrorCode | None = None
    headers: Mapping[str, Any] | None = None


class WebsocketSession:
    """The model connection of one thread. `http` serves what websockets do not; `clock` is for error texts.

    Failures carry `fallback = True` while HTTP is still to be tried: the turn keeps quiet about the first
    retry and calls `fall_back` instead of giving up."""

    def __init__(self, http: ModelClient, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._http = http
        self._clock = clock
        self._connection: ClientConnection | None = None
        self._seen: _Seen | None = None
        self._turns = anyio.Semaphore(1)
        self.http_only = False
        """Is HTTP used for the rest of the session?"""

    async def prewarm(self, request: ModelRequest, endpoint: Endpoint) -> None:
        """Connect and let the server prepare for `request` (whose input is empty) before the first turn, unless
        that has begun already.
        Clients hear nothing of it; a failure is left for the first request to meet again."""
        try:
            async with self._turns:
                if self._connection is not None or self.http_only:
                    return
                async with aclosing(self._exchange(request, endpoint, warm=True)) as events:
                    async for _ in events:
                        pass
        except ModelFailure:
            self._drop()

    async def stream(self, request: ModelRequest, endpoint: Endpoint) -> AsyncGenerator[StreamEvent, None]:
        """One attempt, as `ModelClient.stream`. `Headers` come only from a new connection and without
        limits."""
        if not self.http_only:
            async with self._turns, aclosing(self._exchange(request, endpoint)) as events:
                async for event in events:
                    yield event
        if self.http_only:
            async with aclosing(self._http.stream(request, endpoint)) as events:
                async for event in events:
                    yield event

    def fall_back(self) -> None:
        """Use HTTP for the rest of the session."""
        self.http_only = True
        self._drop()

    async def aclose(self) -> None:
        """Close the connection, politely if the server is quick."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with anyio.move_on_after(1, shield=True):
                await connection.close()
            connection.transport.abort()

    async def _exchange(
        self, request: ModelRequest, endpoint: Endpoint, warm: bool = False
    ) -> AsyncGenerator[StreamEvent, None]:
        """Send one frame and yield what comes back; ends silently if the server asks for HTTP instead."""
        whole = False
        if self.http_only:
            return  # who went before us has found out
        try:
            headers = await self._connected(request, endpoint)
            if self._connection is None:
                return
            if headers is not None:
                yield headers
            base = self._base(request.body)
            await self._connection.send(frame(request, base, warm=warm), text=True)
            told: list[bytes] = []
            async with aclosing(_events(self._connection, endpoint, self._clock)) as events:
                async for event in events:
                    if isinstance(event, ItemDone):
                        told.append(codec.encode_item(event.item))
                    elif isinstance(event, Completed):
                        self._seen = _seen(request.body, told, event.response_id)
                        whole = True
                    yield event
        except ConnectionClosed as error:
            raise _fallible(disconnected(_CLOSED if error.rcvd else _RESET)) from error
        except ModelFailure as failure:
            raise _fallible(failure) from failure.__cause__
        finally:
            if not whole:
                self._drop()

    async def _connected(self, request: ModelRequest, endpoint: Endpoint) -> Headers | None:
        """Make sure of a connection; what its answer said if it is new. After a 426 there is none."""
        if self._connection is not None and self._connection.close_code is None:
            return None
        self._drop()
        url = endpoint.url("responses").replace("http", "ws", 1)
        own = [("openai-beta", BETA), *(header for header in request.headers if header[0] in _UPGRADE_HEADERS)]
        try:
            self._connection = await connect(
                url,
                additional_headers=endpoint.joined(own),
                user_agent_header=None,
                open_timeout=endpoint.connect_timeout,
                ping_interval=None,
                max_size=EVENT_LIMIT,
            )
        except InvalidStatus as error:
            if error.response.status_code == _UPGRADE_REQUIRED:
                self.http_only = True
                return None
            raise self._refused(error, url) from error
        except (OSError, WebSocketException) as error:
            raise disconnected(f"failed to connect to websocket: {error or type(error).__name__}") from error
        told = reply_headers(_lower(self._connection.response.headers.raw_items()))  # type: ignore[union-attr]
        return msgspec.structs.replace(told, rate_limits=())

    def _refused(self, error: InvalidStatus, url: str) -> ModelFailure:
        answer = error.response
        headers = _lower(answer.headers.raw_items())
        told = bytes(answer.body or b"") if answer.status_code >= _BAD_REQUEST else b""
        return status.failure(answer.status_code, headers, told, url, now=self._clock())

    def _base(self, body: Body) -> _Seen | None:
        """What the server has seen, if the new request only adds to it."""
        seen = self._seen
        if seen is None or len(body.input) < seen.count or seen.settings != _settings(body):
            return None
        return seen if _digest(body.input[: seen.count]) == seen.digest else None

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.transport.abort()
        self._connection = self._seen = None


def frame(request: ModelRequest, base: _Seen | None = None, *, warm: bool = False) -> bytes:
    """The text frame that asks for a reply: the body, or what it adds to `base`, with the headers of an HTTP
    request that matter as `client_metadata`."""
    headers = dict(request.headers)
    fields: dict[str, object] = {"type": "response.create"}
    for name, value in msgspec.structs.asdict(request.body).items():
        if name == "input" and base is not None:
            fields["previous_response_id"] = base.response_id
            value = value[base.count :]
        elif name == "client_metadata":
            if warm:
                fields["generate"] = False
            value = {**value, **{key: headers[key] for key in (WINDOW_HEADER, METADATA_HEADER)}}
        if value is not msgspec.UNSET:
            fields[name] = value
    return msgspec.json.encode(fields)


_CLOSED: Final = "websocket closed by server before response.completed"
_RESET: Final = "WebSocket protocol error: Connection reset without closing handshake"


async def _events(
    connection: ClientConnection, endpoint: Endpoint, clock: Callable[[], datetime]
) -> AsyncGenerator[StreamEvent, None]:
    event: StreamEvent | None = None
    while not isinstance(event, Completed):
        try:
            with anyio.fail_after(endpoint.idle_timeout):
                payload = await connection.recv()
        except TimeoutError:
            raise disconnected("idle timeout waiting for websocket") from None
        failure = _error(payload, endpoint, clock)
        if failure is not None:
            raise failure
        event = decode(payload)
        if event is not None:
            yield event


def _error(payload: str | bytes, endpoint: Endpoint, clock: Callable[[], datetime]) -> ModelFailure | None:
    """The failure told by a frame of type `error`: an HTTP answer in disguise, or the end of the
    connection."""
    try:
        told = msgspec.json.decode(payload, type=_ErrorFrame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    code = told.status or told.status_code
    if told.type != "error":
        return None
    if told.error is not None and told.error.code == "websocket_connection_limit_reached":
        return disconnected(told.error.message or "websocket connection limit reached")
    if code is None or 200 <= code < 300:
        return None
    headers = {name.lower(): str(value) for name, value in (told.headers or {}).items()}
    body = payload.encode() if isinstance(payload, str) else payload
    return status.failure(code, headers, body, endpoint.url("responses"), now=clock())


def _fallible(failure: ModelFailure) -> ModelFailure:
    failure.fallback = True
    return failure


def _seen(body: Body, told: Sequence[bytes], response_id: str) -> _Seen:
    return _Seen(response_id, _settings(body), len(body.input) + len(told), _digest([*body.input, *told]))


def _settings(body: Body) -> bytes:
    """All of a request but its history and who asks."""
    return _digest([msgspec.json.encode(msgspec.structs.replace(body, input=(), client_metadata={}))])


def _digest(parts: Sequence[bytes | msgspec.Raw]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = bytes(part)
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.digest()


def _lower(items: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in items}
