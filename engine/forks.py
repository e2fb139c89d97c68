"""Forks on disk: full copies of small histories, references to large ones (spec rollout-format 12, design "A fork").

A fork by reference begins with its own meta, a `history_base` line that names the parent and how much of it comes
before, and a stand-in for that: what the user said first and the live window, so that readers which do not know the
parent (the reference) list the thread and go on from its context. We read the parent in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from engine.journal import Journal
from engine.parents import anchor, joined
from engine.restore import Restorer
from engine.rollout_files import Opened, check_text, finder
from engine.storage import Place, Storage
from engine.turn.ending import aborted_marker
from projections import catalog
from projections.catalog import CatalogRow
from projections.session import SessionState
from projections.turns import TurnTable
from rollouts import codec
from rollouts import events as ev
from rollouts.log import Log
from rollouts.spliced import SplicedLog

LARGE_BYTES = 4 << 20
LARGE_LINES = 1 << 13
"""Histories longer than this (a file, a store) are not copied."""

_HEAD = 4096


def is_large(log: Log) -> bool:
    """Whether a fork refers to this history instead of copying it.

    :raises LogError: the log cannot be read.
    """
    return log.end() > (LARGE_BYTES if isinstance(log.path, Path) else LARGE_LINES)


def copied_lines(log: Log) -> Iterator[ev.Body]:
    """Every parsed line of the source and every engine line, in order, without its agent task and set git details.

    A turn that is still open in the source ends as interrupted in the copy.

    :raises Unreadable: the source is no text.
    :raises LogError: the source cannot be read.
    """
    turns = TurnTable()
    for record in log.read():
        line = codec.decode(record.data)
        check_text(log.path, line)
        if isinstance(line, codec.BadLine) or not _is_copied(line.body):
            continue
        turns.apply(line)
        yield line.body
    if turns.open is not None and turns.open.status != "interrupted":
        yield from _interrupted(turns.open.id if turns.open.explicit else None)


def refer(fork: Journal, source: Journal, storage: Storage, restorer: Restorer, now: str) -> Journal:
    """Let a fork that has nothing yet go on from `source` by reference; its journal from then on.

    :param now: time of the lines, RFC 3339.
    :raises LogError: a log cannot be read or written.
    """
    own = fork.log
    _write_reference(own, fork.meta, source, now)
    restorer.inherit(source.meta.id, fork.meta.id)
    whole = Opened(Place(fork.meta.id), joined(own, finder(storage)), fork.meta)
    return fork.onto(whole.log, restorer.open(whole), fork.entry.after(own.read()))


def _write_reference(own: Log, meta: ev.SessionMeta, source: Journal, now: str) -> None:
    log, state = source.log, source.state
    stand_in = [codec.encode(body, now) for body in _stand_in(state, source.entry.row)]
    own_end = state.end - log.shift if isinstance(log, SplicedLog) else state.end
    base = ev.HistoryBase(source.meta.id, own_end, anchor(log, state.end), _length(own, stand_in))
    head = [codec.encode(body, now) for body in (meta, base)]
    after = [codec.encode(body, now) for body in _interruption(log, state)]
    own.append([*head, *stand_in, *after], expected_end=0)


def _stand_in(state: SessionState, row: CatalogRow) -> Iterator[ev.Body]:
    window = list(state.window.bodies())
    if row.opening and _opening(window) != row.opening:  # it was compacted or rolled back, and is shown all the same
        yield ev.Message(role="user", content=(ev.InputText(row.opening),))
        if state.window.base is None:
            # not a rollback: without turns before it, the reference would let it drop what follows
            yield ev.Compacted(message="", replacement_history=())
    if row.has_user_message:
        yield ev.UserMessage(message=row.preview, images=())
    if row.name is not None:
        yield ev.ThreadNameUpdated(thread_id=row.id, thread_name=row.name)
    yield from window
    if state.usage.info is not None:
        yield ev.TokenCount(info=state.usage.info)


def _opening(bodies: Iterable[ev.Body]) -> str | None:
    """What the user seems to have said first."""
    row = catalog.EMPTY
    for body in bodies:
        row = catalog.apply(row, body)
    return row.opening


def _interruption(log: Log, state: SessionState) -> Iterator[ev.Body]:
    """How a turn ends in the fork that is still open in the source."""
    if state.turns is not None:
        turn = state.turns.open
        if turn is not None and turn.status != "interrupted":
            yield from _interrupted(turn.id if turn.explicit else None)
        return
    for record in log.read_back(state.end, limit=_HEAD):
        names = codec.head(record.data)
        if names in _TURN_ENDS:
            return
        if names in _TURN_STARTS:
            line = codec.decode(record.data)
            if isinstance(line, codec.Line) and isinstance(line.body, ev.TaskStarted):
                yield from _interrupted(line.body.turn_id)
                return


def _interrupted(turn_id: str | None) -> Iterator[ev.Body]:
    yield aborted_marker()
    yield ev.TurnAborted(turn_id=turn_id, reason="interrupted")


def _is_copied(body: ev.Body) -> bool:
    if isinstance(body, _LEFT_OUT):
        return False
    return (codec.counts(body) and not isinstance(body, ev.OtherItem)) or isinstance(body, ev.EngineEvent)


def _length(own: Log, lines: list[bytes]) -> int:
    """How far these lines will reach in the log."""
    records = own.appended(lines, _FAR)
    return _FAR - records[0].offset if records else 0


_FAR = 1 << 62
_TURN_STARTS = (("event_msg", "task_started"), ("event_msg", "turn_started"))
_TURN_ENDS = tuple(("event_msg", name) for name in ("task_complete", "turn_complete", "turn_aborted"))
_LEFT_OUT = (ev.ThreadMetadata, ev.HistoryBase)
