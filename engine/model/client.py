"""The HTTP client of model endpoints: one request in, a stream of `StreamEvent`s out, or a `ModelFailure`. It
owns the connection pool and the silent retries of requests that were never answered properly; retries of a
stream that broke off are the turn's decision. It keeps no history and no session, and holds at most one
unfinished event in memory.

Closing the stream (or cancelling its task) closes the connection at once."""

import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Final, Protocol

import anyio
import httpx2
import zstandard

from engine.model import status
from engine.model.endpoint import Endpoint
from engine.model.errors import backoff, disconnected
from engine.model.request import ModelRequest
from engine.model.sse import EventTooLarge, SseParser
from engine.model.stream import decode, reply_headers
from engine.turn.replies import OTHER, Completed, ModelFailure, RateLimits, StreamEvent

ERROR_BODY_LIMIT: Final = 1 << 20
"""Bytes of an error answer that are read; the rest says nothing new."""

_LAST_PORT: Final = 65535
_REDIRECTS: Final = 10

_LAST_BYTES: Final = 0.02
"""Seconds that a complete reply gets to end its body as well, so that its connection can be used again."""


class Sampler(Protocol):
    """Whatever answers requests: an HTTP endpoint, a websocket, the embedded demo."""

    def stream(self, request: ModelRequest, endpoint: Endpoint) -> AsyncGenerator[StreamEvent, None]:
        """One attempt; ends after `Completed` or raises `ModelFailure`. Close it when leaving it early."""
        ...


class ModelClient:
    """A pooled HTTP/1.1 client, to be shared by all threads of a process and closed at its end.

    `clock` and `jitter` are for tests: the time that error texts compare with, and a factor from 0.9 to
    1.1."""

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = lambda: random.uniform(0.9, 1.1),
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._clock = clock
        self._jitter = jitter
        self._http = httpx2.AsyncClient(
            timeout=None,
            transport=transport,
            limits=httpx2.Limits(max_connections=None),
            follow_redirects=True,
            max_redirects=_REDIRECTS,
            headers={"accept-encoding": "identity"},
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def stream(self, request: ModelRequest, endpoint: Endpoint) -> AsyncGenerator[StreamEvent, None]:
        """Send `request` to `{base}/responses` and yield what comes back: `Headers` first, `Completed` last.

        Raises `ModelFailure` by the table of turns 7. A silence longer than `endpoint.idle_timeout` is
        one."""
        body, headers = _encoded(request, endpoint)
        async with self._answered(endpoint, "responses", body, headers) as response:
            yield reply_headers(response.headers)
            # The headers may take as long as they want; a timeout of the connection's own costs a tenth of one for each
            # chunk, of which there may be thousands.
            response.request.extensions["timeout"]["read"] = endpoint.idle_timeout
            async with aclosing(_events(response, endpoint.idle_timeout)) as events:
                async for event in events:
                    yield event

    async def post(self, request: bytes, headers: tuple[tuple[str, str], ...], endpoint: Endpoint, path: str) -> bytes:
        """Send a request that is answered as a whole, such as `responses/compact`; same retries and
        failures."""
        own = [*headers, ("content-type", "application/json"), ("accept", "application/json")]
        async with self._answered(endpoint, path, request, own) as response:
            try:
                return await response.aread()
            except httpx2.TransportError as error:
                raise _broken(error) from error

    @asynccontextmanager
    async def _answered(
        self, endpoint: Endpoint, path: str, body: bytes, headers: list[tuple[str, str]]
    ) -> AsyncIterator[httpx2.Response]:
        """A response with a good status, after up to `request_max_retries` silent retries."""
        url = endpoint.url(path)
        merged = {name.encode(): value.encode() for name, value in endpoint.joined(headers).items()}
        try:
            request = self._http.build_request("POST", url, content=body, headers=merged)
            if (request.url.port or 0) > _LAST_PORT:
                raise httpx2.InvalidURL("invalid port number")
        except httpx2.InvalidURL as error:
            raise ModelFailure(f"invalid provider URL {url}: {error}", OTHER, kind="config") from error
        for attempt in range(1, endpoint.request_max_retries + 2):
            try:
                response = await self._http.send(request, stream=True)
            except httpx2.RequestError as error:
                failure = disconnected(f"error sending request for url ({url})", kind="transport")
                failure.__cause__ = error
            else:
                if response.is_success:
                    try:
                        yield response
                    finally:
                        with anyio.CancelScope(shield=True):
                            await response.aclose()
                    return
                failure = await self._failure(response, url)
                if response.status_code < 500:
                    raise failure
            if attempt <= endpoint.request_max_retries:
                await anyio.sleep(backoff(attempt, self._jitter()))
        raise failure

    async def _failure(self, response: httpx2.Response, url: str) -> ModelFailure:
        body = bytearray()
        with suppress(httpx2.HTTPError):  # a broken error answer still has its status
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > ERROR_BODY_LIMIT:
                    break
        await response.aclose()
        return status.failure(
            response.status_code, response.headers, bytes(body[:ERROR_BODY_LIMIT]), url, now=self._clock()
        )


async def _events(response: httpx2.Response, timeout: float) -> AsyncGenerator[StreamEvent, None]:
    """The events of a reply's body. Only events count as signs of life, comments and parts of events do not.

    A reply that says it failed may go on, and even complete after all; what it said counts when it ends."""
    parser = SseParser()
    chunks = response.aiter_bytes()
    told: ModelFailure | None = None
    ended = False
    heard = anyio.current_time()
    while not ended:
        try:
            chunk = await anext(chunks, None)
            payloads = parser.finish() if chunk is None else parser.feed(chunk)
            if not payloads and chunk is not None:
                chunk, payloads = await _next_event(chunks, parser, heard + timeout)
            ended = chunk is None
            heard = anyio.current_time()
        except (httpx2.ReadTimeout, TimeoutError):
            raise told or disconnected("idle timeout waiting for SSE") from None
        except EventTooLarge as error:
            raise disconnected(str(error)) from error
        except httpx2.HTTPError as error:
            raise told or _broken(error) from error
        for payload in payloads:
            try:
                event = decode(payload)
            except ModelFailure as failure:
                told = failure
                continue
            if event is None or isinstance(event, RateLimits):
                continue
            yield event
            if isinstance(event, Completed):
                await _run_out(chunks)
                return
    raise told or disconnected("stream closed before response.completed")


async def _next_event(
    chunks: AsyncIterator[bytes], parser: SseParser, deadline: float
) -> tuple[bytes | None, list[bytes]]:
    """The chunk that completes the next event, with what it completes, after one that completed none; no chunk at the
    end of the body.

    :raises TimeoutError: it did not come by `deadline`, a time of the event loop."""
    with anyio.fail_after(deadline - anyio.current_time()):
        async for chunk in chunks:
            if payloads := parser.feed(chunk):
                return chunk, payloads
    return None, parser.finish()


async def _run_out(chunks: AsyncIterator[bytes]) -> None:
    """Read what follows a complete reply, which is nothing but the end of its body; one that takes longer is closed."""
    with anyio.move_on_after(_LAST_BYTES), suppress(httpx2.HTTPError):
        async for _ in chunks:
            pass


def _broken(error: httpx2.HTTPError) -> ModelFailure:
    failure = disconnected("Transport error: network error: error decoding response body", kind="transport")
    failure.__cause__ = error
    return failure


def _encoded(request: ModelRequest, endpoint: Endpoint) -> tuple[bytes, list[tuple[str, str]]]:
    headers = [*request.headers, ("accept", "text/event-stream"), ("content-type", "application/json")]
    body = request.encode()
    if not endpoint.compress:
        return body, headers
    return zstandard.ZstdCompressor(level=3).compress(body), [*headers, ("content-encoding", "zstd")]
