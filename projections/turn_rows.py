"""Rows of the turn table: what is kept of a turn so that it can be built again from its own lines.

A row holds no item. It knows the number of its first item, how many items it has, which ids of their own they carry
(as hashes), and the spans of exactly the lines folded into it, also late ones. Rows are small values: they encode to
some tens of bytes for the index file and decode to an equal row.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from typing import Protocol

import msgspec

from projections import protocol as p

_NUMBERED = "item-"

IMPLICIT = "rollout-"
"""Begins the id of a turn that no line names; the index of the line that opened it follows."""


class Slots(msgspec.Struct, dict=False):
    """The ids of a turn's items without the items.

    Numbered items (`item-<k>`) are consecutive from `first`; `named` holds a hash for each item with an id of its
    own. `last` is the hash of the last item's id, or minus its number; `reasoning` says whether that item takes
    further reasoning text.
    """

    first: int
    numbered: int = 0
    named: array[int] = msgspec.field(default_factory=lambda: array("Q"))
    last: int = 0
    reasoning: bool = False

    def __len__(self) -> int:
        return self.numbered + len(self.named)

    def number(self, *, reasoning: bool) -> str:
        """Add a numbered item at the end and return its id."""
        k = self.first + self.numbered
        self.numbered += 1
        self.last = -k
        self.reasoning = reasoning
        return f"{_NUMBERED}{k}"

    def put(self, item_id: str, *, reasoning: bool) -> bool:
        """Add an item with its own id at the end, or replace the first that has it; True if it was added."""
        key = _hash(item_id)
        if key not in self.named:
            number = self._number_of(item_id)
            if number is None:
                self.named.append(key)
                self.last, self.reasoning = key, reasoning
                return True
            key = -number
        if key == self.last:
            self.reasoning = reasoning
        return False

    def _number_of(self, item_id: str) -> int | None:
        """The number of a numbered item of this turn, from its id."""
        digits = item_id.removeprefix(_NUMBERED)
        if not (digits.isascii() and digits.isdecimal()) or item_id != f"{_NUMBERED}{int(digits)}":
            return None
        number = int(digits)
        return number if self.first <= number < self.first + self.numbered else None


def _hash(item_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(item_id.encode(), digest_size=8).digest(), "little")


class TurnRow(msgspec.Struct):
    """One turn.

    `line` is the index of the line that opened it, counted over parsed lines. `spans` are [start, end) positions in
    the log, sorted and merged. `explicit` turns were opened by `task_started`; `compaction` keeps an empty implicit
    one. `bodies` are the folded events themselves, for a fold that keeps them; they are not stored.
    """

    id: str
    status: p.TurnStatus
    line: int
    slots: Slots
    started_at: int | None = None
    completed_at: int | None = None
    duration_ms: int | None = None
    explicit: bool = False
    compaction: bool = False
    spans: list[tuple[int, int]] = msgspec.field(default_factory=list)
    bodies: list[object] | None = None

    @property
    def item_count(self) -> int:
        return len(self.slots)

    @property
    def kept(self) -> bool:
        """Whether the turn stays in the list once it is closed."""
        return self.explicit or self.compaction or len(self.slots) > 0

    def add_span(self, start: int, end: int) -> None:
        """Note that the line at [start, end) was folded into this turn. Lines come in log order."""
        if self.spans and self.spans[-1][1] == start:
            self.spans[-1] = (self.spans[-1][0], end)
        else:
            self.spans.append((start, end))


def moved(row: TurnRow, by: int, lines: int) -> TurnRow:
    """The row of the same turn behind so many more parsed lines, which take so many more positions."""
    return msgspec.structs.replace(
        row,
        id=row.id if row.explicit else moved_id(row.id, lines),
        line=row.line + lines,
        spans=[(start + by, end + by) for start, end in row.spans],
    )


def moved_id(turn_id: str, lines: int) -> str:
    """The id of the same turn behind so many more parsed lines."""
    number = turn_id.removeprefix(IMPLICIT)
    return f"{IMPLICIT}{int(number) + lines}" if number != turn_id and number.isdecimal() else turn_id


class RowsLost(Exception):
    """Rows that were kept elsewhere are gone or others now; the table has to be made again."""


class Rows(Protocol):
    """The finished turns of a table, numbered from 0, oldest first. All but `append` and `cut` may raise `RowsLost`."""

    def __len__(self) -> int:
        """How many there are."""

    def __iter__(self) -> Iterator[TurnRow]:
        """All of them."""

    def between(self, start: int, stop: int) -> list[TurnRow]:
        """The rows [start, stop), to look at."""

    def find(self, turn_id: str) -> int | None:
        """The number of the oldest row with this id."""

    def to_change(self, number: int) -> TurnRow:
        """A row to be changed in place; the change stays."""

    def append(self, row: TurnRow) -> None:
        """One more."""

    def cut(self, count: int) -> None:
        """Keep the first `count` only."""

    def item_count(self) -> int:
        """How many items all of them have."""


class RowList:
    """Rows in memory."""

    def __init__(self, rows: Iterable[TurnRow] = ()) -> None:
        self._rows: list[TurnRow] = []
        self._first: dict[str, int] = {}
        for row in rows:
            self.append(row)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[TurnRow]:
        return iter(self._rows)

    def between(self, start: int, stop: int) -> list[TurnRow]:
        return self._rows[start:stop]

    def find(self, turn_id: str) -> int | None:
        return self._first.get(turn_id)

    def to_change(self, number: int) -> TurnRow:
        return self._rows[number]

    def append(self, row: TurnRow) -> None:
        self._first.setdefault(row.id, len(self._rows))
        self._rows.append(row)

    def cut(self, count: int) -> None:
        for row in self._rows[count:]:
            if self._first.get(row.id, -1) >= count:
                del self._first[row.id]
        del self._rows[count:]

    def item_count(self) -> int:
        return sum(row.item_count for row in self._rows)


class _Encoded(msgspec.Struct, array_like=True):
    """A row as it is stored; gaps are the distances between the edges of the spans, which keeps them short."""

    id: str
    status: p.TurnStatus
    line: int
    first: int
    numbered: int
    named: bytes
    last: int
    reasoning: bool
    started_at: int | None
    completed_at: int | None
    duration_ms: int | None
    explicit: bool
    compaction: bool
    gaps: list[int]


def encode_row(row: TurnRow) -> bytes:
    """A row as bytes; `decode_row` gives an equal one."""
    slots = row.slots
    return msgspec.msgpack.encode(
        _Encoded(
            id=row.id,
            status=row.status,
            line=row.line,
            first=slots.first,
            numbered=slots.numbered,
            named=slots.named.tobytes(),
            last=slots.last,
            reasoning=slots.reasoning,
            started_at=row.started_at,
            completed_at=row.completed_at,
            duration_ms=row.duration_ms,
            explicit=row.explicit,
            compaction=row.compaction,
            gaps=list(_gaps(row.spans)),
        )
    )


def decode_row(data: bytes) -> TurnRow:
    """The row behind `encode_row`.

    :raises msgspec.DecodeError: not a row of this version.
    """
    stored = msgspec.msgpack.decode(data, type=_Encoded)
    named = array("Q")
    named.frombytes(stored.named)
    return TurnRow(
        id=stored.id,
        status=stored.status,
        line=stored.line,
        slots=Slots(stored.first, stored.numbered, named, stored.last, stored.reasoning),
        started_at=stored.started_at,
        completed_at=stored.completed_at,
        duration_ms=stored.duration_ms,
        explicit=stored.explicit,
        compaction=stored.compaction,
        spans=list(_spans(stored.gaps)),
    )


def _gaps(spans: list[tuple[int, int]]) -> Iterator[int]:
    edge = 0
    for start, end in spans:
        yield start - edge
        yield end - start
        edge = end


def _spans(gaps: list[int]) -> Iterator[tuple[int, int]]:
    edge = 0
    for gap, length in zip(gaps[::2], gaps[1::2], strict=True):
        start = edge + gap
        edge = start + length
        yield start, edge
