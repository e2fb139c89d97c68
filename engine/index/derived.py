"""Tables of what is folded from whole threads: checkpoints and turn rows, each with what it covers.

The content is bytes whose meaning the projections know; here is only where it lies and whether it still fits the log
(design, rule 9).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from engine.index.store import Statement, Store
from rollouts.log import Log, LogError

_SAMPLE = 4096
"""Bytes of the first and the last covered record that are compared."""


class Anchor(Struct, frozen=True, array_like=True):
    """What a fold covers: all before `end` (a position of the log), told by checksums of its ends."""

    end: int
    first: int
    last: int


class Checkpoint(Struct, frozen=True):
    """A stored fold and what it covers."""

    anchor: Anchor
    data: bytes


def cover(log: Log, end: int) -> Anchor:
    """The anchor of a fold of all records before `end`; raises LogError."""
    first = next(log.read(0, end, limit=_SAMPLE), None)
    last = next(log.read_back(end, limit=_SAMPLE), None)
    return Anchor(end, zlib.crc32(first.data) if first else 0, zlib.crc32(last.data) if last else 0)


def holds(log: Log, anchor: Anchor) -> bool:
    """Whether the log still begins with what was covered."""
    try:
        return anchor.end <= log.end() and cover(log, anchor.end) == anchor
    except LogError:
        return False


class Derived:
    """Checkpoints and turn rows by thread id."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def checkpoint(self, thread_id: str) -> Checkpoint | None:
        """The last checkpoint of a thread; the caller asks `holds` before it trusts it."""
        rows = self._store.rows("SELECT anchor, data FROM checkpoints WHERE thread = ?", (thread_id,))
        return Checkpoint(msgspec.msgpack.decode(rows[0][0], type=Anchor), rows[0][1]) if rows else None

    def put(
        self,
        thread_id: str,
        checkpoint: Checkpoint,
        turns: Iterable[tuple[int, str, bytes]] = (),
        count: int | None = None,
    ) -> bool:
        """Keep a checkpoint and, in the same transaction, the turn rows that changed with it.

        :param turns: (number from 0, turn id, data) of rows that are new or other than before.
        :param count: how many turns there are now, later rows are dropped; None drops none.
        :returns: False if it could not be kept now, which costs the next reader some time.
        """
        statements: list[Statement] = [
            (
                "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?)",
                (thread_id, msgspec.msgpack.encode(checkpoint.anchor), checkpoint.data),
            )
        ]
        if count is not None:
            statements.append(("DELETE FROM turns WHERE thread = ? AND number >= ?", (thread_id, count)))
        statements += [("INSERT OR REPLACE INTO turns VALUES (?, ?, ?, ?)", (thread_id, *row)) for row in turns]
        return self._store.write(*statements)

    def turns(self, thread_id: str, start: int = 0, stop: int | None = None) -> Sequence[bytes]:
        """Rows of the turns numbered [start, stop), in order."""
        sql = "SELECT data FROM turns WHERE thread = ? AND number >= ? AND number < ? ORDER BY number"
        end = (1 << 62) if stop is None else stop
        return [row[0] for row in self._store.rows(sql, (thread_id, start, end))]

    def turn_count(self, thread_id: str) -> int:
        """How many turn rows are stored."""
        rows = self._store.rows("SELECT max(number) FROM turns WHERE thread = ?", (thread_id,))
        return rows[0][0] + 1 if rows and rows[0][0] is not None else 0

    def turn_number(self, thread_id: str, turn_id: str) -> int | None:
        """The number of the newest turn with this id."""
        sql = "SELECT max(number) FROM turns WHERE thread = ? AND turn = ?"
        rows = self._store.rows(sql, (thread_id, turn_id))
        return rows[0][0] if rows else None

    def forget(self, thread_id: str) -> None:
        """Drop all that is stored for a thread."""
        self._store.write(
            ("DELETE FROM checkpoints WHERE thread = ?", (thread_id,)),
            ("DELETE FROM turns WHERE thread = ?", (thread_id,)),
        )
