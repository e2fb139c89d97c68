"""Points in a rollout that people name: a line, a turn, a time; and the state at a point."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Raw, Struct

from projections.session import SessionState
from projections.turn_pages import read_turns
from rollouts import codec
from rollouts import events as ev
from rollouts.lines import Record
from rollouts.log import Log

POINT: Final = "a line (a number, 0 is the start), a turn id or a time (2026-04-20T10:00:00Z)"
"""What people may write for a point."""

_IMPLICIT: Final = re.compile(r"rollout-(\d+)")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d.*")


class Point(Struct, frozen=True):
    """A place between two lines: so many lines, so many bytes came before."""

    line: int
    offset: int


class NoSuchPoint(Exception):
    """Nothing in the rollout goes by that name; the message says what was looked for."""


def find(name: str, records: Iterable[Record]) -> Point:
    """The point behind what `name` says.

    A number is a line (from 1; 0 is the start), a date or time (RFC 3339, UTC unless it says otherwise) all lines
    written up to then, anything else the id of a turn: up to and with its end, or to what comes next if it has none.

    :param records: the lines of a log from its start.
    :raises NoSuchPoint: the rollout has no such line or turn, or was begun later.
    """
    if name.isdecimal():
        return _line(int(name), records)
    if _TIME.fullmatch(name):
        return _time(name, records)
    return _turn(name, records)


def state_at(log: Log, records: Iterable[Record]) -> SessionState:
    """The state after these lines, which are those from the start of the log."""
    state = SessionState()
    state.window.stale = True  # found from the end in one go
    for record in records:
        state.apply(record)
    state.settle(log)
    return state


def described(state: SessionState, log: Log) -> bytes:
    """All of the state as one JSON object, the turns with their items as clients get them."""
    known = msgspec.json.decode(state.to_json(), type=dict[str, Raw])
    rows = state.turns.all_rows() if state.turns else []
    return msgspec.json.encode(known | {"turns": read_turns(rows, log)})


def _line(number: int, records: Iterable[Record]) -> Point:
    point = Point(0, 0)
    for record in records:
        if point.line == number:
            break
        point = Point(point.line + 1, record.end)
    if point.line < number:
        raise NoSuchPoint(f"there is no line {number}, the rollout ends with line {point.line}")
    return point


def _time(text: str, records: Iterable[Record]) -> Point:
    limit = _moment(text)
    if limit is None:
        raise NoSuchPoint(f"{text} is no time; a point is {POINT}")
    point = Point(0, 0)
    for number, record in enumerate(records, 1):
        line = codec.decode(record.data)
        written = _moment(line.timestamp) if isinstance(line, codec.Line) else None
        if written is not None and written > limit:
            break
        point = Point(number, record.end)
    if point.line == 0:
        raise NoSuchPoint(f"the rollout was begun after {text}")
    return point


def _moment(text: str) -> datetime | None:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _turn(turn: str, records: Iterable[Record]) -> Point:
    inside = False
    point = Point(0, 0)
    for number, record, body, name in _turns(records):
        if inside and name != turn:
            return point
        inside = inside or name == turn
        point = Point(number, record.end)
        if inside and isinstance(body, ev.TaskComplete | ev.TurnAborted) and body.turn_id in (turn, None):
            return point
    if not inside:
        raise NoSuchPoint(f"there is no turn {turn}; a point is {POINT}")
    return point


def _turns(records: Iterable[Record]) -> Iterator[tuple[int, Record, object, str | None]]:
    """Lines with their number, their body and the id of the turn that was opened last."""
    name: str | None = None
    parsed = 0
    for number, record in enumerate(records, 1):
        line = codec.decode(record.data)
        body = line.body if isinstance(line, codec.Line) else None
        if isinstance(body, ev.TaskStarted):
            name = body.turn_id
        elif isinstance(body, ev.UserMessage) and (name is None or _IMPLICIT.fullmatch(name)):
            name = f"rollout-{parsed}"
        elif isinstance(body, ev.TaskComplete | ev.TurnAborted):
            yield number, record, body, name
            name = None
            parsed += 1
            continue
        yield number, record, body, name
        parsed += body is not None and codec.counts(body)
