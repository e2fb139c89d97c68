"""Tables of what is folded from whole threads: checkpoints and turn rows, each with what it covers.

The content is bytes whose meaning the projections know; here is only where it lies and whether it still fits the log
(design, rule 9).
"""

from __future__ import annotations

import sqlite3
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
    return Anchor(end, checksum(first.data) if first else 0, checksum(last.data) if last else 0)


def checksum(line: bytes) -> int:
    """Of the first or the last line covered."""
    return zlib.crc32(line[:_SAMPLE])


def holds(log: Log, anchor: Anchor) -> bool:
    """Whether the log still begins with what was covered."""
    try:
        return anchor.end <= log.end() and cover(log, anchor.end) == anchor
    except LogError:
        return False


_ANCHOR = "SELECT anchor FROM checkpoints WHERE thread = ?"


def _decoded(anchor: bytes) -> Anchor:
    return msgspec.msgpack.decode(anchor, type=Anchor)


class Derived:
    """Checkpoints and turn rows by thread id."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def checkpoint(self, thread_id: str) -> Checkpoint | None:
        """The last checkpoint of a thread; the caller asks `holds` before it trusts it."""
        rows = self._store.rows("SELECT anchor, data FROM checkpoints WHERE thread = ?", (thread_id,))
        return Checkpoint(_decoded(rows[0][0]), rows[0][1]) if rows else None

    def put(
        self,
        thread_id: str,
        checkpoint: Checkpoint,
        turns: Iterable[tuple[int, str, bytes]] = (),
        count: int | None = None,
        *,
        since: Anchor | None = None,
    ) -> bool:
        """Keep a checkpoint and, in the same transaction, the turn rows that changed with it.

        :param turns: (number from 0, turn id, data) of rows that are new or other than before.
        :param count: how many turns there are now, later rows are dropped; None drops none.
        :param since: of the checkpoint that these are all the changes from; None: they are all rows there are.
        :returns: False if it could not be kept now, which costs the next reader some time: the file is locked, or
            another process has stored rows that these changes do not go on from.
        """

        def fits(db: sqlite3.Connection) -> bool:
            if since is None:
                return True
            stored = db.execute(_ANCHOR, (thread_id,)).fetchone()
            return stored is not None and since.end <= _decoded(stored[0]).end <= checkpoint.anchor.end

        statements: list[Statement] = [
            (
                "INSERT INTO checkpoints VALUES (?, ?, ?)"
                " ON CONFLICT (thread) DO UPDATE SET anchor = excluded.anchor, data = excluded.data",
                (thread_id, msgspec.msgpack.encode(checkpoint.anchor), checkpoint.data),
            )
        ]
        if count is not None:
            statements.append(("DELETE FROM turns WHERE thread = ? AND number >= ?", (thread_id, count)))
        statements += [("INSERT OR REPLACE INTO turns VALUES (?, ?, ?, ?)", (thread_id, *row)) for row in turns]
        return self._store.write(*statements, when=fits)

    def turns(self, thread_id: str, anchor: Anchor, start: int, stop: int) -> Sequence[bytes]:
        """Rows of the turns numbered [start, stop), in order; none if the checkpoint has another anchor."""
        sql = (
            "SELECT turns.data FROM turns JOIN checkpoints ON checkpoints.thread = turns.thread"
            " WHERE turns.thread = ? AND anchor = ? AND number >= ? AND number < ? ORDER BY number"
        )
        values = (thread_id, msgspec.msgpack.encode(anchor), start, stop)
        return [row[0] for row in self._store.rows(sql, values)]

    def turn_number(self, thread_id: str, anchor: Anchor, turn_id: str) -> int | None:
        """The number of the oldest turn with this id, -1 if there is none.

        None if the checkpoint is not the one with this anchor.
        """
        sql = (
            "SELECT (SELECT min(number) FROM turns WHERE turns.thread = checkpoints.thread AND turn = ?)"
            " FROM checkpoints WHERE thread = ? AND anchor = ?"
        )
        rows = self._store.rows(sql, (turn_id, thread_id, msgspec.msgpack.encode(anchor)))
        if not rows:
            return None
        return -1 if rows[0][0] is None else int(rows[0][0])

    def copy(self, thread_id: str, target: str) -> None:
        """Store the same under another id; what was stored there is dropped."""
        names = (target, thread_id)
        self._store.write(
            *self._dropped(target),
            ("INSERT INTO checkpoints SELECT ?, anchor, data FROM checkpoints WHERE thread = ?", names),
            ("INSERT INTO turns SELECT ?, number, turn, data FROM turns WHERE thread = ?", names),
        )

    def forget(self, thread_id: str, anchor: Anchor | None = None) -> None:
        """Drop all that is stored for a thread; with an anchor only if that is the stored one's."""

        def is_meant(db: sqlite3.Connection) -> bool:
            stored = db.execute(_ANCHOR, (thread_id,)).fetchone()
            return anchor is None or (stored is not None and _decoded(stored[0]) == anchor)

        self._store.write(*self._dropped(thread_id), when=is_meant)

    def _dropped(self, thread_id: str) -> list[Statement]:
        return [(f"DELETE FROM {table} WHERE thread = ?", (thread_id,)) for table in ("checkpoints", "turns")]
