"""The parent of a fork by reference: found, checked, and read in the place of its stand-in (design, "A fork").

The parent is named by id and may be live, archived or compressed; that it still begins with what the fork goes on from
is checked by a checksum. A fork whose parent is lost is read as it stands on disk: the context is whole, older turns
are not shown.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import islice

from engine.index import cover
from rollouts import codec
from rollouts import events as ev
from rollouts.log import Log, LogError, Record
from rollouts.spliced import SplicedLog

_HEAD = 4096
_NEAR_TOP = 4
"""Lines in which a `history_base` is looked for."""

_LEFT_OUT = frozenset({("engine_event", "thread_metadata"), ("engine_event", "history_base"), ("session_state", None)})
"""Lines of a parent that are not its forks': set git details, what it refers to itself, its agent task."""

_LOG = logging.getLogger(__name__)

Find = Callable[[str], Log | None]
"""Opens the rollout of a thread as it is on disk, None if there is none."""


class LostParent(LogError):
    """What a fork goes on from is gone or was rewritten, or the fork was cut while it was made."""


def joined(own: Log, find: Find, seen: frozenset[str] = frozenset()) -> Log:
    """The whole history of a rollout: with its parent's part in place of the stand-in if it is a fork by reference.

    A fork whose parent is lost is read as it is, and so is one that was cut while it was made.

    :raises LogError: the log cannot be read.
    """
    try:
        return _joined(own, find, seen, joined)
    except LostParent as error:
        _LOG.warning("%s: older turns are not shown: %s", own.path, error)
        return own


def whole(own: Log, find: Find, seen: frozenset[str] = frozenset()) -> Log:
    """The same, but nothing of it may be lost; `own` itself if it is no fork by reference.

    :raises LostParent: a parent is gone, or was rewritten.
    :raises LogError: a log cannot be read.
    """
    return _joined(own, find, seen, whole)


def _joined(own: Log, find: Find, seen: frozenset[str], join: Callable[[Log, Find, frozenset[str]], Log]) -> Log:
    """A log with its parent, which `join` makes whole in its turn."""
    found = _base(own)
    if found is None:
        return own
    record, base = found

    def open_parent() -> tuple[Log, int] | None:
        parent = None if base.thread_id in seen else find(base.thread_id)
        if parent is None:
            return None
        parent = join(parent, find, seen | {base.thread_id})
        return parent, base.bytes + (parent.shift if isinstance(parent, SplicedLog) else 0)

    return _with_parent(own, record, base, open_parent)


def _base(own: Log) -> tuple[Record, ev.HistoryBase] | None:
    for record in islice(own.read(limit=_HEAD), _NEAR_TOP):
        if codec.head(record.data) == ("engine_event", "history_base"):
            line = codec.decode(record.data)
            if isinstance(line, codec.Line) and isinstance(line.body, ev.HistoryBase):
                return record, line.body
    return None


def _with_parent(
    own: Log, record: Record, base: ev.HistoryBase, open_parent: Callable[[], tuple[Log, int] | None]
) -> SplicedLog:
    tail = record.end + base.stand_in
    if not _stands_in(own, record, tail):
        raise LostParent(own.path, f"what stands in for thread {base.thread_id} was cut while it was written")
    found = open_parent()
    if found is None:
        raise LostParent(own.path, f"thread {base.thread_id}, which it goes on from, is not there")
    parent, end = found
    if not _begins(parent, end, base):
        raise LostParent(own.path, f"thread {base.thread_id}, which it goes on from, was rewritten")

    def find_again() -> Log | None:
        found = open_parent()
        return found[0] if found is not None and found[1] == end and _begins(*found, base) else None

    return SplicedLog(own, record.offset, tail, parent, end, find=find_again, keep=_belongs)


def _stands_in(own: Log, base: Record, tail: int) -> bool:
    """Whether the stand-in is there up to its end, and not other lines in its place: it has the time of the base."""
    if own.end() < tail:
        return False
    last = next(own.read_back(tail, limit=_HEAD))
    return not last.torn and last.data.startswith(base.data.partition(b",")[0])


def _begins(parent: Log, end: int, base: ev.HistoryBase) -> bool:
    """Whether the parent still has what was there when the fork was made."""
    return end <= parent.end() and anchor(parent, end) == base.anchor


def anchor(log: Log, end: int) -> str:
    """What a `history_base` line says about the lines before `end`.

    :raises LogError: the log cannot be read.
    """
    found = cover(log, end)
    return f"{found.first:08x}{found.last:08x}"


def _belongs(head: bytes) -> bool:
    """Whether a line of a parent is part of its forks."""
    return codec.head(head) not in _LEFT_OUT
