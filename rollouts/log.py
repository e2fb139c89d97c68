"""The log of one thread: append whole lines, read a range, read from the end, follow.

The engine sees the `Log` protocol only. Here are the JSONL file, the list in memory of an ephemeral thread,
and `open_log`, which picks the right one for a path; `archive.py` and `recorded.py` have the others. What a
line means is not known here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import anyio

from rollouts.errors import Conflict, LogError, Moved
from rollouts.file import FileLog
from rollouts.lines import BLOCK, Record, check_end, check_range, indexed, terminated

__all__ = [
    "BLOCK",
    "Conflict",
    "FileLog",
    "Log",
    "LogError",
    "MemoryLog",
    "Moved",
    "Record",
    "follow",
    "open_log",
]


class Log(Protocol):
    """An append-only sequence of lines.

    Positions are byte offsets of (uncompressed) text for files, record indexes for stores and memory;
    either way the log begins at 0, and a record's `end` is the next one's `offset`. All methods raise
    `LogError` when the log cannot be used.
    """

    @property
    def path(self) -> Path | str | None:
        """Where the log is, for messages; None in memory."""
        ...

    @property
    def bytes_read(self) -> int:
        """Bytes read so far, for tests of what an answer costs."""
        ...

    @property
    def lines_read(self) -> int:
        """Lines yielded so far."""
        ...

    def end(self) -> int:
        """Where the log ends now; 0 when nothing was ever written."""
        ...

    def append(self, lines: Sequence[bytes], *, expected_end: int) -> int:
        """Write all lines (with or without their line break) or none, and return the new end.

        The first line of a new log creates it. What was appended is `appended(lines, end)`; if that does
        not begin at `expected_end`, a line break was repaired or a foreign line slipped in: fold
        `read(expected_end, end)` instead.

        :raises Conflict: the log ends elsewhere, nothing was written.
        :raises LogError: nothing was written (disk full with another writer behind us: a part was, which the
            next append will name as a Conflict).
        :raises ValueError: a line break inside a line.
        """
        ...

    def appended(self, lines: Sequence[bytes], end: int) -> list[Record]:
        """The records of an append of `lines` that returned `end`, without reading them."""
        ...

    def sync(self) -> None:
        """Return when everything appended so far survives a power cut."""
        ...

    def read(self, start: int = 0, end: int | None = None, *, limit: int | None = None) -> Iterator[Record]:
        """Yield the lines of [start, end), oldest first; None is the end at the first step.

        `limit` cuts longer lines to so many bytes (`Record.cut`), so that a huge line that is only looked
        at by its head costs no memory; a store may give the whole line all the same.
        """
        ...

    def read_back(self, end: int | None = None, *, limit: int | None = None) -> Iterator[Record]:
        """Yield the lines before `end`, newest first: what `read(0, end)` yields, in reverse."""
        ...

    def exists(self) -> bool:
        """Whether anything was ever written."""
        ...

    def close(self) -> None:
        """Give back what the log holds open."""
        ...


class MemoryLog:
    """A log without a file, for ephemeral threads; it lives as long as the object."""

    path: None = None

    def __init__(self) -> None:
        self.bytes_read = 0
        self.lines_read = 0
        self._lines: list[bytes] = []

    def end(self) -> int:
        return len(self._lines)

    def append(self, lines: Sequence[bytes], *, expected_end: int) -> int:
        new = [line[:-1] for line in terminated(lines)]
        check_end(expected_end, len(self._lines))
        self._lines += new
        return len(self._lines)

    def appended(self, lines: Sequence[bytes], end: int) -> list[Record]:
        return indexed(lines, end)

    def sync(self) -> None:
        """Nothing survives the process, by design."""

    def read(self, start: int = 0, end: int | None = None, *, limit: int | None = None) -> Iterator[Record]:
        yield from self._records(range(start, self._checked(start, end)), limit)

    def read_back(self, end: int | None = None, *, limit: int | None = None) -> Iterator[Record]:
        yield from self._records(range(self._checked(0, end) - 1, -1, -1), limit)

    def exists(self) -> bool:
        return bool(self._lines)

    def close(self) -> None:
        """The lines stay; there is nothing to give back."""

    def _checked(self, start: int, end: int | None) -> int:
        size = len(self._lines)
        return check_range(None, start, size if end is None else end, size)

    def _records(self, indexes: range, limit: int | None) -> Iterator[Record]:
        for index in indexes:
            data = self._lines[index]
            self.bytes_read += len(data) + 1
            self.lines_read += 1
            cut = limit is not None and len(data) > limit
            yield Record(index, data[:limit] if cut else data, index + 1, cut=cut)


def open_log(path: Path) -> Log:
    """The log at `path`, be it there or not yet.

    `.jsonl` and `.jsonl.zst` name the same thread; where both files are, the plain one is the thread (spec
    rollout-format 11).
    """
    plain = path.with_suffix("") if path.suffix == ".zst" else path
    packed = Path(f"{plain}.zst")
    if plain.exists() or not packed.exists():
        return FileLog(plain)
    from rollouts.archive import ArchiveLog  # zstandard is loaded by the few who meet an archive

    return ArchiveLog(packed)


async def follow(log: Log, start: int = 0, *, interval: float = 0.05) -> AsyncGenerator[Record, None]:
    """Yield the records from `start` on and then, for ever, those that are appended, by whomever.

    A torn line is given when its line break is there. `interval` is in seconds. Raises LogError when the
    log is moved or cut.
    """
    position = looked = start
    while True:
        end = log.end()
        if end < looked:
            raise LogError(log.path, f"the log was cut from {looked} to {end}", offset=end)
        if end > looked:
            for record in log.read(position, end):
                if record.torn:
                    break
                position = record.end
                yield record
        looked = end
        await anyio.sleep(interval)
