"""The finished turns of a thread as the index keeps them: read when they are asked for, none held (design rule 7)."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from engine.index import Anchor, Derived
from projections.turn_rows import RowsLost, TurnRow, decode_row

_AT_ONCE = 256


class StoredTurns:
    """The `Rows` of a turn table behind a checkpoint. Rows that were added or changed since are held.

    Another process may store the thread further on at any time; whatever is read later and does not belong to the
    anchor any more raises `RowsLost`. Rows that are missing or broken under this very anchor are forgotten then.

    :param count: how many rows the index has.
    """

    def __init__(self, derived: Derived, thread_id: str, anchor: Anchor, count: int) -> None:
        self._derived = derived
        self._thread_id = thread_id
        self.anchor = anchor
        self._stored = count
        self._count = count
        self._held: dict[int, TurnRow] = {}

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[TurnRow]:
        for start in range(0, self._count, _AT_ONCE):
            yield from self.between(start, start + _AT_ONCE)

    def between(self, start: int, stop: int) -> list[TurnRow]:
        stop = min(stop, self._count)
        edge = max(start, min(stop, self._stored))
        rows = self._read(start, edge) if start < edge else []
        rows = [self._held.get(number, row) for number, row in enumerate(rows, start)]
        return rows + [self._held[number] for number in range(edge, stop)]

    def find(self, turn_id: str) -> int | None:
        number = self._derived.turn_number(self._thread_id, self.anchor, turn_id) if self._stored else -1
        if number is None:
            raise self._lost(f"the turn {turn_id}")
        if 0 <= number < self._stored:
            return number
        return next((n for n in range(self._stored, self._count) if self._held[n].id == turn_id), None)

    def to_change(self, number: int) -> TurnRow:
        if number not in self._held:
            (self._held[number],) = self._read(number, number + 1)
        return self._held[number]

    def append(self, row: TurnRow) -> None:
        self._held[self._count] = row
        self._count += 1

    def cut(self, count: int) -> None:
        self._count = count
        self._stored = min(self._stored, count)
        self._held = {number: row for number, row in self._held.items() if number < count}

    def item_count(self) -> int:
        return sum(row.item_count for row in self)

    def _read(self, start: int, stop: int) -> list[TurnRow]:
        found = self._derived.turns(self._thread_id, self.anchor, start, stop)
        if len(found) != stop - start:
            raise self._lost(f"turns {start} to {stop}")
        try:
            return [decode_row(data) for data in found]
        except (msgspec.DecodeError, ValueError) as error:
            raise self._lost(str(error)) from error

    def _lost(self, what: str) -> RowsLost:
        self._derived.forget(self._thread_id, self.anchor)
        return RowsLost(f"{self._thread_id}: {what}")
