"""A thread's state as bytes, so that opening it costs the lines since and the live window, not its history.

Holds offsets and small values, never history: the window is the position it stands on, and turns are rows that the
index keeps one by one. What a checkpoint covers, and whether the log still begins so, is the index's business; of
another version it decodes to nothing and the state is rebuilt (design, rule 9).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import msgspec

from projections.session import Facts, SessionState
from projections.turn_rows import RowList, Rows, decode_row, encode_row
from projections.turns import Owner, TurnTable
from projections.window import Window
from projections.window_tail import first_meta, fold_from, from_tail
from rollouts import codec
from rollouts import events as ev
from rollouts.log import Log

KeptRows: TypeAlias = Callable[[int], Rows]
"""Gives the first so many stored rows, without reading them."""

VERSION = 1
"""Goes up whenever a fold or a stored form changes."""


class _WindowAt(msgspec.Struct, array_like=True):
    """Where the window is: its base, the context line before it, and the compactions counted."""

    base: int | None
    behind: int | None
    behind_known: bool
    compactions: int
    counted: bool


class _TableAt(msgspec.Struct, array_like=True):
    """The turn table without its rows."""

    rows: int
    open: bytes | None
    lines: int
    next_item: int
    owner: Owner | None


class _Stored(msgspec.Struct, array_like=True):
    version: int
    end: int
    facts: bytes
    window: _WindowAt | None
    table: _TableAt | None


_FACTS = msgspec.json.Decoder(Facts)
_STORED = msgspec.msgpack.Decoder(_Stored)


def encode(state: SessionState) -> bytes:
    """The state as bytes, without the rows of its turn table."""
    small = msgspec.structs.replace(state.facts, meta=None)  # the first line says it, and it is long
    return msgspec.msgpack.encode(
        _Stored(
            version=VERSION,
            end=state.end,
            facts=msgspec.json.encode(small),
            window=None if state.window.stale else _window_at(state.window),
            table=None if state.turns is None else _table_at(state.turns),
        )
    )


def _window_at(window: Window) -> _WindowAt:
    return _WindowAt(window.base, window.behind, window.behind_known, window.compactions, window.counted)


def _table_at(table: TurnTable) -> _TableAt:
    open_row = None if table.open is None else encode_row(table.open)
    return _TableAt(len(table.rows), open_row, table.lines, table.next_item, table.owner)


def decode(data: bytes, log: Log, rows: Iterable[bytes] | KeptRows | None) -> SessionState | None:
    """The state behind `encode`, with its window read from the log. `advance` then folds what came since.

    `rows` are the stored rows of its turns, oldest first, or a function that gives them by their number; None opens
    the state without turns, as does a state that was stored without them if `rows` is a function. The result is None
    when the bytes are of another version or do not belong to these rows.

    :raises LogError: the log cannot be read.
    """
    found = _decoded(data, rows)
    if found is None or (found[1].turns is None and rows is not None and not callable(rows)):
        return None
    stored, state = found
    state.facts = msgspec.structs.replace(state.facts, meta=first_meta(log, stored.end))
    state.window = _window(log, stored.window, stored.end)
    return state


def decode_folds(data: bytes, meta: ev.SessionMeta, rows: KeptRows) -> SessionState | None:
    """The same without a look at the log: with turns, but with a window that is stale."""
    found = _decoded(data, rows)
    if found is None or found[1].turns is None:
        return None
    state = found[1]
    state.facts = msgspec.structs.replace(state.facts, meta=meta)
    state.window.stale = True
    return state


def _decoded(data: bytes, rows: Iterable[bytes] | KeptRows | None) -> tuple[_Stored, SessionState] | None:
    try:
        stored = _STORED.decode(data)
        if stored.version != VERSION:
            return None
        state = SessionState(turns=False)
        state.facts = _FACTS.decode(stored.facts)
        state.turns = None if rows is None else _table(stored.table, rows)
        state.end = stored.end
    except (msgspec.DecodeError, ValueError):
        return None
    return stored, state


def _table(at: _TableAt | None, rows: Iterable[bytes] | KeptRows) -> TurnTable | None:
    if at is None:
        return None
    kept = rows(at.rows) if callable(rows) else RowList(map(decode_row, rows))
    if len(kept) != at.rows:
        return None
    open_row = None if at.open is None else decode_row(at.open)
    return TurnTable.restored(kept, open_row, at.lines, at.next_item, at.owner)


def _window(log: Log, at: _WindowAt | None, end: int) -> Window:
    if at is None:
        return from_tail(log, end).window
    window = fold_from(log, at.base, end)
    if at.base is not None:
        window.set_behind(_context(log, at.behind), at.behind, known=at.behind_known)
    window.compactions, window.counted = at.compactions, at.counted
    return window


def _context(log: Log, position: int | None) -> ev.TurnContext | None:
    if position is None:
        return None
    record = next(log.read(position), None)
    line = None if record is None else codec.decode(record.data)
    body = line.body if isinstance(line, codec.Line) else None
    return body if isinstance(body, ev.TurnContext) else None
