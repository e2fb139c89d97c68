"""Lines of a file of text, found from either end in blocks.

Sans I/O: the bytes come from a function like `os.pread`. Memory is one block plus the line at hand, and
every byte is looked at once, however long a line is. Nothing here knows what a line means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec

from rollouts.errors import Conflict, LogError

BLOCK = 1 << 20
"""Bytes read at a time, at most."""

_FIRST = 1 << 15
"""Bytes read at first: often the answer is in the first or last few lines. Each next block is four times as long."""

Pread: TypeAlias = Callable[[int, int], bytes]
"""`(size, offset) -> bytes`: exactly `size` bytes, fewer only where the text ends."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One line of a log: `data` without its line break, `offset` where it begins, `end` where the next one
    begins.

    `torn` marks a last line that has no line break (yet): a crash, or a writer in the middle of its write;
    whoever keeps a position for later keeps its `offset`, not its `end`. `cut` marks a line longer than the
    limit given to the read, of which `data` holds only the head.
    """

    offset: int
    data: bytes
    end: int
    torn: bool = False
    cut: bool = False


def _record(offset: int, length: int, data: bytes, limit: int | None, torn: bool = False) -> Record:
    end = offset + length + (not torn)
    if limit is not None and length > limit:
        return Record(offset, data[:limit], end, torn, True)
    return Record(offset, data, end, torn)


def forward(
    pread: Pread, start: int, end: int | None = None, *, block: int = BLOCK, limit: int | None = None
) -> Iterator[Record]:
    """Yield the lines of [start, end), oldest first; `end` None reads up to the end of the text.

    The text counts as ending at `end`: bytes behind its last line break are a torn line. `limit` is the
    most bytes kept of one line.
    """
    position = offset = start
    parts: list[bytes] = []
    carried = 0
    step = min(block, _FIRST)
    while end is None or position < end:
        data = pread(step if end is None else min(step, end - position), position)
        if not data:
            break
        step = min(block, step * 4)
        position += len(data)
        pieces = data.split(b"\n")
        rest = pieces.pop()
        if pieces and carried:
            parts.append(pieces[0])
            length = carried + len(pieces[0])
            yield _record(offset, length, b"".join(parts), limit)
            offset += length + 1
            parts, carried = [], 0
            del pieces[0]
        for piece in pieces:
            end_of_line = offset + len(piece) + 1
            cut = limit is not None and len(piece) > limit
            yield Record(offset, piece[:limit] if cut else piece, end_of_line, False, cut)
            offset = end_of_line
        if rest:
            if limit is None or carried < limit:
                parts.append(rest)
            carried += len(rest)
    if carried:
        yield _record(offset, carried, b"".join(parts), limit, torn=True)


def backward(pread: Pread, end: int, *, block: int = BLOCK, limit: int | None = None) -> Iterator[Record]:
    """Yield the lines of [0, end), newest first: what `forward` yields, in reverse."""
    block = max(block, limit or 0)  # so that one whole block is enough of a long line's head
    position = edge = end
    parts: list[bytes] = []
    carried = 0
    torn = True
    step = min(block, _FIRST)
    while position > 0:
        size = min(step, position)
        step = min(block, step * 4)
        position -= size
        data = pread(size, position)
        pieces = data.split(b"\n")
        while len(pieces) > 1:
            piece = pieces.pop()
            length = carried + len(piece)
            if parts:
                piece = b"".join((piece, *reversed(parts)))
                parts, carried = [], 0
            offset = edge - length - (not torn)
            if length or not torn:
                yield _record(offset, length, piece, limit, torn)
            edge, torn = offset, False
        if limit is not None and len(pieces[0]) >= limit:
            parts.clear()
        parts.append(pieces[0])
        carried += len(pieces[0])
    if carried or not torn:
        yield _record(0, carried, b"".join(reversed(parts)), limit, torn)


def terminated(lines: Sequence[bytes]) -> list[bytes]:
    """The lines, each with its line break; raises ValueError for a line break inside one."""
    result = []
    for line in lines:
        at = line.find(b"\n")
        if at != -1 and at != len(line) - 1:
            raise ValueError(f"a line break inside a line, at byte {at}")
        result.append(line if at != -1 else line + b"\n")
    return result


def placed(lines: Sequence[bytes], end: int) -> list[Record]:
    """`Log.appended` where positions are bytes."""
    records = []
    for text in reversed(terminated(lines)):
        records.append(Record(end - len(text), text[:-1], end))
        end -= len(text)
    return records[::-1]


def indexed(lines: Sequence[bytes], end: int) -> list[Record]:
    """`Log.appended` where positions are indexes."""
    first = end - len(lines)
    return [
        Record(index, line[:-1], index + 1)
        for index, line in enumerate(terminated(lines), first)
    ]  # fmt: skip


def check_end(expected: int, actual: int) -> int:
    """Return where the log ends; raises Conflict if an append expects another end."""
    if expected != actual:
        raise Conflict(expected, actual)
    return actual


def check_range(path: Path | str | None, start: int, end: int, size: int) -> int:
    """Return `end`; raises LogError unless 0 <= start <= end <= size."""
    if not 0 <= start <= end <= size:
        raise LogError(path, f"cannot read {start} to {end}, the log ends at {size}", offset=size)
    return end
