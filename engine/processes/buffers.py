"""Bytes of a command's output on their way: cut at character boundaries, kept within bounds.

Pure. Output is bytes until somebody shows it; a text is made of it by `text`, the way the reference does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

CHUNK_BYTES = 8192
"""Largest piece of output that is handed on at once (spec tools 2)."""
CAP_BYTES = 1024 * 1024
"""How much of a command's output is kept: half of it from the start, half from the end (spec tools 9)."""

MAX_CHUNKS = 10_000
MAX_SHOWN_BYTES = 8 * 1024 * 1024


def text(data: bytes) -> str:
    """Output as text; what is not UTF-8 becomes U+FFFD."""
    return data.decode("utf-8", errors="replace")


def guessed_text(data: bytes) -> str:
    """Output of programs that may write in a Western legacy encoding. What is neither that nor UTF-8 becomes U+FFFD.

    The reference guesses among all encodings for the `shell` tools and for commands of users (observed for this one).
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        lossy = data.decode("utf-8", errors="replace")
    if any(char > "\x7f" and char != "\ufffd" for char in lossy):
        return lossy  # mostly UTF-8 after all
    return "".join(_WINDOWS_1252.get(byte, chr(byte)) for byte in data)


_WINDOWS_1252 = {
    byte: char for byte in range(0x80, 0xA0) if (char := bytes([byte]).decode("windows-1252", errors="ignore"))
}
"""Where the encoding is not that of ISO 8859-1; its five holes are the control characters there."""


class Utf8Chunks:
    """Cuts a stream of bytes into chunks that do not tear characters apart.

    The start of a character at the end of the input waits for its rest. Bytes that are no UTF-8 stay where they are.
    """

    def __init__(self, limit: int = CHUNK_BYTES) -> None:
        self._limit = limit
        self._torn = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Chunks of at most `limit` bytes that are complete now."""
        data = self._torn + data
        self._torn = b""
        start = 0
        while len(data) - start > self._limit:
            cut = _boundary(data, start, start + self._limit)
            yield data[start:cut]
            start = cut
        cut = _boundary(data, start, len(data)) if _awaits_more(data, start) else len(data)
        self._torn = data[cut:]
        if cut > start:
            yield data[start:cut]

    def flush(self) -> Iterator[bytes]:
        """The torn character at the end, if there is one."""
        if self._torn:
            yield self._torn
        self._torn = b""


def _lead(data: bytes, start: int, end: int) -> int | None:
    """Where the character begins whose bytes are the last before `end`; None for no start of one in reach."""
    for at in range(end - 1, max(start, end - 4) - 1, -1):
        if data[at] & 0xC0 != 0x80:
            return at
    return None


def _length(lead: int) -> int:
    """Bytes of a character that starts with this byte; 1 for bytes that start none."""
    if 0xC2 <= lead <= 0xDF:
        return 2
    if 0xE0 <= lead <= 0xEF:
        return 3
    return 4 if 0xF0 <= lead <= 0xF4 else 1


def _awaits_more(data: bytes, start: int) -> bool:
    at = _lead(data, start, len(data))
    return at is not None and at + _length(data[at]) > len(data)


def _boundary(data: bytes, start: int, end: int) -> int:
    """The last place at or before `end` that is not inside a character; `end` itself rather than no progress."""
    at = _lead(data, start, end)
    if at is None or at + _length(data[at]) <= end:
        return end
    return at if at > start or end == len(data) else end


class HeadTail:
    """The beginning and the end of a stream; what lies between is dropped once the two are full.

    :param cap: bytes that are kept, half of them from the start.
    """

    def __init__(self, cap: int = CAP_BYTES) -> None:
        self._head_room = cap // 2
        self._tail_room = cap - self._head_room
        self._head: list[bytes] = []
        self._tail: deque[bytes] = deque()
        self._tail_size = 0

    def push(self, data: bytes) -> None:
        """Take more of the stream."""
        first, rest = data[: self._head_room], data[self._head_room :]
        if first:
            self._head.append(first)
            self._head_room -= len(first)
        if rest:
            self._tail.append(rest)
            self._tail_size += len(rest)
            self._shrink()

    def _shrink(self) -> None:
        excess = self._tail_size - self._tail_room
        while excess > 0:
            oldest = self._tail.popleft()
            gone = oldest[:excess]
            if len(gone) < len(oldest):
                self._tail.appendleft(oldest[excess:])
            self._tail_size -= len(gone)
            excess -= len(gone)

    def data(self) -> bytes:
        """What is kept."""
        return b"".join([*self._head, *self._tail])


class Live:
    """What clients are shown of one command's output as it comes, so that a flood cannot overrun a slow reader.

    At the end they get it as it is kept. The reference stops at the same number of pieces (observed).
    """

    def __init__(self) -> None:
        self._chunks = 0
        self._bytes = 0

    def takes(self, chunk: bytes) -> bool:
        """Whether a piece is still shown."""
        if self._chunks == MAX_CHUNKS or self._bytes >= MAX_SHOWN_BYTES:
            return False
        self._chunks += 1
        self._bytes += len(chunk)
        return True
