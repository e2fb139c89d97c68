"""An incremental parser of server-sent events: bytes of any chunking in, complete `data` payloads out. It
keeps at most one unfinished event, bounded by `limit`, and knows nothing of what the payloads mean.

Why not `httpx2.EventSource`: it insists on a `text/event-stream` content type, which some providers do not
send, and pulls from a response object, while tests and the replay of a recorded stream want to push bytes.
Field names other than `data` are of no use to the Responses API (its payloads name their own type)."""

import re
from typing import Final

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_BOM: Final = b"\xef\xbb\xbf"
EVENT_LIMIT: Final = 64 * 1024 * 1024


class EventTooLarge(Exception):
    """One event outgrew the limit (`limit` in bytes)."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"event larger than {limit} bytes")
        self.limit = limit


class SseParser:
    """Feed it chunks; it returns the payloads they complete, several `data` lines joined by a newline."""

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self._limit = limit
        self._partial: list[bytes] = []
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._first = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """The payloads completed by `chunk`. Raises `EventTooLarge`."""
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        if not chunk:
            return []
        self._after_cr = chunk.endswith(b"\r")
        *ends, rest = _LINE_END.split(chunk) if b"\r" in chunk else chunk.split(b"\n")
        done: list[bytes] = []
        for end in ends:
            self._grow(end)
            line = b"".join(self._partial)
            self._partial.clear()
            if self._first:
                line, self._first = line.removeprefix(_BOM), False
            self._line(line, done)
        self._grow(rest)
        return done

    def finish(self) -> list[bytes]:
        """The payload of a last event that the end of the stream cut off before its empty line, if any."""
        done = self.feed(b"\n\n") if self._partial or self._data else []
        return [payload for payload in done if payload]

    def _grow(self, piece: bytes) -> None:
        if piece:
            self._partial.append(piece)
            self._size += len(piece)
            if self._size > self._limit:
                raise EventTooLarge(self._limit)

    def _line(self, line: bytes, done: list[bytes]) -> None:
        if not line:
            if self._data:
                done.append(b"\n".join(self._data))
                self._data.clear()
            self._size = 0
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        else:
            self._size -= len(line)
