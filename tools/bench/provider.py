"""A model endpoint for measurements: it answers every request with the same words, as fast as sockets allow.

One class of `asyncio.Protocol` without a framework, so that what it costs, which is measured along on both sides, is
next to nothing. It reads of a request what it must to find its end, and keeps the last one for a bare client to send
again.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_END: Final = b"0\r\n\r\n"
_UNSENT: Final = (b"host:", b"content-length:")
"""Headers that a client makes itself."""

WORDS: Final = tuple(f"word {number} " for number in range(20))
USAGE: Final = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 10},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 120,
}


class Provider:
    """What all connections share.

    :param words: the deltas of every reply; their text is its message.
    :param hold: seconds before a reply begins.
    :param pace: seconds before each delta; the deltas are then the time at which they were sent (`stamp`).
    """

    def __init__(self, words: Sequence[str] = WORDS, *, hold: float = 0.0, pace: float = 0.0) -> None:
        self.words = words
        self.hold = hold
        self.pace = pace
        self.requests = 0
        self.headers: list[tuple[bytes, bytes]] = []
        """Headers of the last request, but for those every client makes itself."""
        self.body = b""
        """Body of the last request."""
        self.base_url = ""
        self._numbers = itertools.count(1)

    def taken(self, head: bytes, body: bytes) -> None:
        """Note a request."""
        self.requests += 1
        lines = head.split(b"\r\n")[1:]
        self.headers = [_pair(line) for line in lines if line and not line.lower().startswith(_UNSENT)]
        self.body = body

    async def reply(self, write: Callable[[bytes], None]) -> None:
        """Answer one request."""
        if self.hold:
            await asyncio.sleep(self.hold)
        number = next(self._numbers)
        before, deltas, after = _events(f"msg_{number}", f"resp_{number}", self.words)
        if not self.pace:
            write(_HEAD + b"".join(map(_chunk, (*before, *deltas, *after))) + _END)
            return
        write(_HEAD + b"".join(map(_chunk, before)))
        for _ in self.words:
            await asyncio.sleep(self.pace)
            write(_chunk(_delta(f"msg_{number}", stamp())))
        write(b"".join(map(_chunk, after)) + _END)


@asynccontextmanager
async def serving(provider: Provider) -> AsyncIterator[Provider]:
    """Serve on a local port of its own."""
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(provider), "127.0.0.1", 0, backlog=512)
    provider.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield provider
    finally:
        server.close()


def configured(base_url: str) -> dict[str, object]:
    """The flags with which an engine asks this endpoint."""
    settings = {"name": "bench", "base_url": base_url, "wire_api": "responses"}
    table = {f"model_providers.bench.{key}": value for key, value in settings.items()}
    return {"model": "gpt-5.1-codex", "model_provider": "bench", **table}


def stamp() -> str:
    """The time as text: ns of a clock that all processes of a machine share."""
    return f"{time.monotonic_ns()} "


class _Connection(asyncio.Protocol):
    """Requests come one after another; each is answered before the next."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self._answering: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answering is not None:
            self._answering.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        length = _length(head)
        if found and len(rest) >= length and self._transport is not None:
            self._received = rest[length:]
            self._provider.taken(head, rest[:length])
            self._answering = asyncio.create_task(self._provider.reply(self._transport.write))


def _length(head: bytes) -> int:
    values = (value for name, value in map(_pair, head.split(b"\r\n")[1:]) if name.lower() == b"content-length")
    return int(next(values, b"0"))


def _pair(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name, value.strip()


def _events(item_id: str, response_id: str, words: Sequence[str]) -> tuple[list[bytes], Iterator[bytes], list[bytes]]:
    item = {"type": "message", "role": "assistant", "id": item_id}
    text = {"type": "output_text", "text": "".join(words)}
    before = [
        _sse("response.created", response={"id": response_id}),
        _sse("response.output_item.added", item={**item, "content": []}),
    ]
    after = [
        _sse("response.output_item.done", item={**item, "content": [text]}),
        _sse("response.completed", response={"id": response_id, "usage": USAGE}),
    ]
    return before, (_delta(item_id, word) for word in words), after


def _delta(item_id: str, text: str) -> bytes:
    return _sse("response.output_text.delta", item_id=item_id, delta=text)


def _sse(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
