"""A log whose middle is the beginning of another one: what a fork by reference reads like.

Positions run through: first the head of the own log, then the other log up to where it was when the fork was made,
then what was written since. A stretch of the own log stands in for the other one, for readers that know only a single
file; it is passed over. Appends go to the own log. What a line means is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rollouts.errors import Conflict, LogError, Moved
from rollouts.lines import Record, check_range
from rollouts.log import Log


class SplicedLog:
    """`own` up to `head`, `other` up to `end_of_other`, `own` from `tail` on.

    :param find: opens the other log anew when it was moved; None: it is gone.
    :param keep: says by the head of a line of the other log whether it belongs here; others read as blank lines, so
        that positions stay what they are whoever looks.
    """

    def __init__(
        self,
        own: Log,
        head: int,
        tail: int,
        other: Log,
        end_of_other: int,
        *,
        find: Callable[[], Log | None],
        keep: Callable[[bytes], bool],
    ) -> None:
        self.own = own
        self.other = other
        self.end_of_other = end_of_other
        self.head = head
        self.shift = head + end_of_other - tail
        """What is added to a position of the own log behind the stand-in."""
        self._tail = tail
        self._find = find
        self._keep = keep

    @property
    def path(self) -> Path | str | None:
        return self.own.path

    @property
    def bytes_read(self) -> int:
        return self.own.bytes_read + self.other.bytes_read

    @property
    def lines_read(self) -> int:
        return self.own.lines_read + self.other.lines_read

    def end(self) -> int:
        return self.own.end() + self.shift

    def append(self, lines: Sequence[bytes], *, expected_end: int) -> int:
        try:
            return self.own.append(lines, expected_end=expected_end - self.shift) + self.shift
        except Conflict as conflict:
            raise Conflict(conflict.expected + self.shift, conflict.actual + self.shift) from None

    def appended(self, lines: Sequence[bytes], end: int) -> list[Record]:
        return [_moved(record, self.shift) for record in self.own.appended(lines, end - self.shift)]

    def sync(self) -> None:
        self.own.sync()

    def read(self, start: int = 0, end: int | None = None, *, limit: int | None = None) -> Iterator[Record]:
        stop = check_range(self.path, start, self.end() if end is None else end, self.end())
        middle, tail = self.head, self.head + self.end_of_other
        if start < middle:
            yield from self.own.read(start, min(stop, middle), limit=limit)
        if start < tail and stop > middle:
            records = self._other().read(max(start - middle, 0), min(stop, tail) - middle, limit=limit)
            yield from (self._joined(record) for record in records)
        if stop > tail:
            records = self.own.read(max(start, tail) - self.shift, stop - self.shift, limit=limit)
            yield from (_moved(record, self.shift) for record in records)

    def read_back(self, end: int | None = None, *, limit: int | None = None) -> Iterator[Record]:
        stop = check_range(self.path, 0, self.end() if end is None else end, self.end())
        middle, tail = self.head, self.head + self.end_of_other
        if stop > tail:
            for record in self.own.read_back(stop - self.shift, limit=limit):
                if record.offset < self._tail:
                    break
                yield _moved(record, self.shift)
        if stop > middle:
            records = self._other().read_back(min(stop, tail) - middle, limit=limit)
            yield from (self._joined(record) for record in records)
        yield from self.own.read_back(min(stop, middle), limit=limit)

    def exists(self) -> bool:
        return self.own.exists()

    def close(self) -> None:
        self.own.close()
        self.other.close()

    def at_home(self, record: Record) -> Record:
        """A record of the own log with its position there."""
        return _moved(record, -self.shift)

    def _joined(self, record: Record) -> Record:
        """A record of the other log, whose torn last line is followed by others here."""
        offset, end = record.offset + self.head, record.end + self.head
        if not self._keep(record.data):
            return Record(offset, b"", end)
        return Record(offset, record.data, end, False, record.cut)

    def _other(self) -> Log:
        """The other log, found again if its file was moved."""
        try:
            self.other.end()
        except Moved:
            found = self._find()
            if found is None:
                raise LogError(self.path, f"{self.other.path}, which it goes on from, is gone") from None
            self.other.close()
            self.other = found
        return self.other


def _moved(record: Record, by: int) -> Record:
    return Record(record.offset + by, record.data, record.end + by, record.torn, record.cut)
