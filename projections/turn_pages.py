"""Pages of turns: which rows a cursor asks for, and their turns, read back from exactly their lines.

Reading costs what the page holds, whatever the thread's size. Cursors and their errors: thread-lifecycle.md 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

import msgspec

from projections import protocol as p
from projections.turn_render import render
from projections.turn_rows import RowList, TurnRow
from rollouts import codec
from rollouts.log import Log, Record

DEFAULT_LIMIT = 25
MAX_LIMIT = 100
BRIDGE = 4
"""A gap up to so many times as long as the lines before it is read along with them, and its lines are left out."""


class CursorError(Exception):
    """A cursor of the client's is of no use; the text is the answer to the client."""


class Page(msgspec.Struct, frozen=True):
    """Rows in the order asked for, with the cursors that go on from them in either direction."""

    rows: list[TurnRow]
    next_cursor: str | None = None
    backwards_cursor: str | None = None


class _Cursor(msgspec.Struct, rename="camel", frozen=True):
    turn_id: str
    include_anchor: bool


_CURSORS = msgspec.json.Decoder(_Cursor)


class Numbered(Protocol):
    """Turns by number from 0, oldest first: a turn table, or a list in its place."""

    def __len__(self) -> int:
        """How many there are."""

    def between(self, start: int, stop: int) -> list[TurnRow]:
        """Those numbered [start, stop)."""

    def find(self, turn_id: str) -> int | None:
        """The number of the oldest one with this id."""


def select(
    rows: Numbered | Sequence[TurnRow],
    *,
    cursor: str | None = None,
    limit: int | None = None,
    direction: Literal["asc", "desc"] | None = None,
) -> Page:
    """The rows of one page; `rows` are all of the thread's, oldest first, of which only the page is looked at.

    `limit` None is 25, 0 counts as 1, more than 100 as 100; `direction` None is `desc`.

    :raises CursorError: the cursor is no cursor, or its turn is gone.
    """
    if not len(rows):
        return Page([])
    turns = RowList(rows) if isinstance(rows, Sequence) else rows
    size = min(max(DEFAULT_LIMIT if limit is None else limit, 1), MAX_LIMIT)
    ascending = direction == "asc"
    start = 0 if ascending else len(rows) - 1
    if cursor is not None:
        start = _after(turns, cursor, 1 if ascending else -1)
    indexes = range(start, len(rows)) if ascending else range(start, -1, -1)
    wanted = sorted(indexes[:size])
    chosen = turns.between(wanted[0], wanted[-1] + 1) if wanted else []
    if not ascending:
        chosen.reverse()
    return Page(
        rows=chosen,
        next_cursor=_text(chosen[-1], False) if len(indexes) > size else None,
        backwards_cursor=_text(chosen[0], True) if chosen else None,
    )


def _after(rows: Numbered, text: str, step: int) -> int:
    """Where a page that follows the cursor starts."""
    try:
        cursor = _CURSORS.decode(text)
    except msgspec.DecodeError:
        raise CursorError(f"invalid cursor: {text}") from None
    index = rows.find(cursor.turn_id)
    if index is None:
        raise CursorError("invalid cursor: anchor turn is no longer present")
    return index if cursor.include_anchor else index + step


def _text(row: TurnRow, include_anchor: bool) -> str:
    return msgspec.json.encode(_Cursor(row.id, include_anchor)).decode()


def page(
    rows: Numbered | Sequence[TurnRow],
    log: Log,
    *,
    cursor: str | None = None,
    limit: int | None = None,
    direction: Literal["asc", "desc"] | None = None,
) -> p.ThreadTurnsListResponse:
    """One page of turns, as `thread/turns/list` answers it.

    :raises CursorError: as `select`.
    :raises LogError: the log cannot be read.
    """
    chosen = select(rows, cursor=cursor, limit=limit, direction=direction)
    return p.ThreadTurnsListResponse(
        data=read_turns(chosen.rows, log),
        next_cursor=chosen.next_cursor,
        backwards_cursor=chosen.backwards_cursor,
    )


def read_turns(rows: Sequence[TurnRow], log: Log) -> list[p.Turn]:
    """The turns of these rows, read from their lines alone; equal to their part of the full rebuild.

    :raises LogError: the log cannot be read.
    """
    end = log.end()
    return [render(row, _events(row.spans, log, end)) for row in rows]


def line_end(record: Record) -> int:
    """Where a line ends for a row: behind its line break, be it there yet or not."""
    return record.end + record.torn


def _events(spans: Sequence[tuple[int, int]], log: Log, log_end: int) -> Iterator[object]:
    """The events on the lines inside the spans."""
    for group in _groups(spans):
        wanted = iter(group)
        start, end = next(wanted)
        for record in log.read(group[0][0], min(group[-1][1], log_end)):
            while record.offset >= end:
                start, end = next(wanted)
            if record.offset < start:
                continue
            line = codec.decode(record.data)
            if isinstance(line, codec.Line):
                yield line.body


def _groups(spans: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Spans near enough to each other to be read in one go."""
    group: list[tuple[int, int]] = []
    wanted = 0
    for span in spans:
        if group and span[0] - group[-1][1] > BRIDGE * wanted:
            yield group
            group, wanted = [], 0
        group.append(span)
        wanted += span[1] - span[0]
    if group:
        yield group
