"""The window found from the end of a log, without reading what came before it.

Walk back adding up rollbacks, let each user message pay one off, stop at the newest compaction that carries its
replacement and is itself not rolled back; then fold forward from there. The walk looks at heads of lines and decodes
only what it must, so it costs what the live context costs (design, "How resume and fork work"). What comes out is equal
to the fold of the whole log.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from projections.messages import is_user_input
from projections.window import Window
from rollouts import codec
from rollouts import events as ev
from rollouts.log import Log, Record

HEAD = 4096
"""Bytes of a line that are looked at before it is decided whether the rest is needed."""


class Tail(msgspec.Struct, frozen=True):
    """What the end of a log says: the window, and the last usage that counts (None if there is none at all)."""

    window: Window
    usage: ev.TokenCount | None


def from_tail(log: Log, end: int | None = None) -> Tail:
    """The window and the last usable `token_count` of the lines before `end` (None: all).

    Reads back to whichever is found last: the compaction the window stands on, that usage line, the newest context
    line that was not rolled back; to the start of the log where one of them does not exist.

    :raises LogError: the log cannot be read.
    """
    end = log.end() if end is None else end
    walk = _Walk(log)
    reached_start = True
    for record in log.read_back(end, limit=HEAD):
        walk.see(record)
        if walk.done:
            reached_start = False
            break
    # A rollback of more messages than there are dropped less than it asked for: only the whole fold knows what is left.
    base = None if reached_start and walk.owed else walk.base
    window = fold_from(log, base, end)
    if base is not None:
        known = reached_start or (walk.context_at is not None and walk.context_at < base)
        window.set_behind(walk.context if known else None, walk.context_at, known=known)
        window.counted = reached_start
    if reached_start:
        window.compactions = walk.compactions
    return Tail(window, walk.usage)


def fold_from(log: Log, base: int | None, end: int) -> Window:
    """The window of [base, end), where `base` is known to be the compaction it stands on (None: the first line).

    :raises LogError: the log cannot be read.
    """
    window = Window(whole=True)
    for record in log.read(base or 0, end):
        line = codec.decode(record.data)
        if isinstance(line, codec.Line):
            window.apply(line.body, record.offset)
    window.finish()
    return window


def first_meta(log: Log, end: int | None = None) -> ev.SessionMeta | None:
    """The line that names the thread: the first readable `session_meta`, mostly the first line of all.

    :raises LogError: the log cannot be read.
    """
    metas = _bodies(log, log.read(0, end, limit=HEAD), frozenset({("session_meta", None)}))
    return next((meta for meta in metas if isinstance(meta, ev.SessionMeta)), None)


def _bodies(log: Log, records: Iterator[Record], wanted: frozenset[tuple[str, str | None]]) -> Iterator[ev.Body]:
    """The bodies of the lines of the wanted types."""
    for record in records:
        if _head(log, record) in wanted:
            body = _whole(log, record)
            if body is not None and not isinstance(body, ev.Unknown):
                yield body


def _head(log: Log, record: Record) -> tuple[str, str | None] | None:
    names = codec.head(record.data)
    if names is None and record.cut:
        return codec.head(_data(log, record))
    return names


def _data(log: Log, record: Record) -> bytes:
    """All of a line."""
    return next(log.read(record.offset, record.end)).data if record.cut else record.data


def _whole(log: Log, record: Record) -> ev.Body | None:
    line = codec.decode(_data(log, record))
    return line.body if isinstance(line, codec.Line) else None


class _Walk:
    """The walk's state: user messages still owed, and what was found."""

    def __init__(self, log: Log, owed: int = 0) -> None:
        self._log = log
        self.owed = owed
        self._in_cut_turn = False
        self.base: int | None = None
        self.compactions = 0
        self.usage: ev.TokenCount | None = None
        self.context: ev.TurnContext | None = None
        self.context_at: int | None = None

    @property
    def done(self) -> bool:
        return self.base is not None and self.usage is not None and self.context is not None

    def see(self, record: Record) -> None:
        """Look at the next older line."""
        names = _head(self._log, record)
        if names is None or not self._matters(names):
            return
        body = _whole(self._log, record)
        match body:
            case ev.ThreadRolledBack(count):
                self.owed += max(count, 0)
            case ev.Message() if self.owed > 0 and is_user_input(body):
                self.owed -= 1
                self._in_cut_turn = True
            case ev.Compacted():
                self.compactions += 1
                if self.base is None and self.owed == 0 and body.replacement_history is not None:
                    self.base = record.offset
            case ev.TokenCount() if body.info is not None:
                self.usage = self.usage or body
            case ev.TurnContext() if self.owed == 0 and not self._in_cut_turn:
                self.context, self.context_at = body, record.offset
            case ev.TaskStarted() if self.owed == 0:
                self._in_cut_turn = False

    def _matters(self, names: tuple[str, str | None]) -> bool:
        """Whether a line of this type can change anything, told before it is decoded."""
        match names:
            case ("event_msg", "thread_rolled_back"):
                return True
            case ("response_item", "message"):
                return self.owed > 0
            case ("compacted", _):
                return True
            case ("event_msg", "token_count"):
                return self.usage is None
            case ("turn_context", _):
                return self.context is None and self.owed == 0 and not self._in_cut_turn
            case ("event_msg", "task_started" | "turn_started"):
                return self._in_cut_turn
            case _:
                return False
