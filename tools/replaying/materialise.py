"""A full copy of a fork by reference: the same thread in a file that needs no parent (design, "How resume and fork
work").

The copy has the lines a copying fork would have had, byte for byte: the fork's own meta, the part of the parent that it
continues (and of the parent's parent), then what was written to the fork itself. What stood in for the parent's part is
left out: the `history_base` line, the user message under which the reference lists the thread, the live window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rollouts import codec
from rollouts import events as ev
from rollouts.lines import Record
from rollouts.log import Log

Parent = Callable[[str], Log | None]
"""Finds the log of a thread by its id."""


class NotByReference(Exception):
    """The rollout is whole already."""


class LostParent(Exception):
    """The parent is gone, or shorter than what the fork continues; the message names it."""


def full_lines(log: Log, parent: Parent) -> Iterator[bytes]:
    """The lines of the full copy, with their line breaks.

    :raises NotByReference: there is no `history_base` line.
    :raises LostParent: a parent cannot be found, or is too short.
    :raises LogError: a file cannot be read.
    """
    if base_of(log) is None:
        raise NotByReference("no history_base line: the rollout is a full copy already")
    return _lines(log, log.end(), parent, ())


def base_of(log: Log) -> ev.HistoryBase | None:
    """The `history_base` line of a rollout, which stands before its first turn."""
    for record in log.read(limit=_HEAD):
        names = codec.head(record.data)
        if names == ("engine_event", "history_base"):
            line = codec.decode(record.data)
            return line.body if isinstance(line, codec.Line) and isinstance(line.body, ev.HistoryBase) else None
        if names in _TURNS:
            return None
    return None


def check_parent(base: ev.HistoryBase, parent: Parent) -> Log:
    """The log of the parent; raises LostParent unless it has all that the fork continues."""
    log = parent(base.thread_id)
    if log is None:
        raise LostParent(f"thread {base.thread_id}, of which the first {base.bytes} bytes are needed, is not there")
    if log.end() < base.bytes:
        raise LostParent(f"thread {base.thread_id} has {log.end()} bytes and {base.bytes} are needed: it was rewritten")
    return log


def _lines(log: Log, stop: int, parent: Parent, seen: tuple[str, ...]) -> Iterator[bytes]:
    """The full lines of the part of a log before `stop`."""
    base = base_of(log)
    if base is None:
        yield from (record.data + b"\n" for record in log.read(0, stop))
        return
    if base.thread_id in seen:
        raise LostParent(f"thread {base.thread_id} continues itself")
    own = _Own()
    for record in log.read(0, stop):
        part = own.part(record)
        if part == "before":
            yield record.data + b"\n"
        elif part == "base":
            yield from _lines(check_parent(base, parent), base.bytes, parent, (*seen, base.thread_id))
        elif part == "after":
            yield record.data + b"\n"


class _Own:
    """Which part of a fork's file a line belongs to; lines come in order."""

    def __init__(self) -> None:
        self._part = "before"
        self._tail = 0

    def part(self, record: Record) -> str:
        """`before` the reference, the `base` itself, the `window` that stands in for it, or `after` it."""
        names = codec.head(record.data)
        if self._part == "before" and names == ("engine_event", "history_base"):
            self._part = "window"
            line = codec.decode(record.data)
            if isinstance(line, codec.Line) and isinstance(line.body, ev.HistoryBase) and line.body.stand_in:
                self._tail = record.end + line.body.stand_in
            return "base"
        if self._part == "window" and self._tail:
            self._part = "window" if record.offset < self._tail else "after"
        elif self._part == "window" and names is not None:
            if names[0] == "compacted":
                self._part = "after"
                return "window"
            if names in _TURNS:
                self._part = "after"
        return self._part


_HEAD = 4096
_TURNS = (("event_msg", "task_started"), ("event_msg", "turn_started"))
