"""The one way a thread's durable state changes: policy, one write, fold (design rule 1).

Owns the log's end as this process knows it. Another writer's lines are folded before ours are written (rule 11).
The first append of a new thread puts its `session_meta` line in front, so a thread that nothing happened to
leaves no file (spec rollout-format 1).
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.clock import Clock, timestamp
from engine.errors import BadRequest
from engine.index import Anchor, Entry, checksum, cover
from projections.session import SessionState
from rollouts import codec, policy
from rollouts import events as ev
from rollouts.log import Conflict, Log, Moved, Record
from rollouts.spliced import SplicedLog


class Journal:
    """Log, folded state and catalog entry of one thread.

    :param meta: the line that names the thread; `unwritten` says that the log does not have it yet.
    """

    def __init__(
        self,
        log: Log,
        state: SessionState,
        meta: ev.SessionMeta,
        entry: Entry,
        clock: Clock,
        *,
        extended: bool,
        unwritten: bool = False,
    ) -> None:
        self.log = log
        self.state = state
        self.meta = meta
        self.entry = entry
        self.written = not unwritten
        self._extended = extended
        self._clock = clock
        self._end = state.end
        self._first: int | None = None
        self._last: bytes | None = None

    def append(self, bodies: Iterable[ev.Body]) -> None:
        """Write what policy says, all in one write, then fold it.

        :raises BadRequest: other writers changed the file twice while we tried.
        :raises LogError: nothing was written.
        """
        kept = [body for each in bodies if (body := policy.for_disk(each, self._extended)) is not None]
        if not kept:
            return
        now = timestamp(self._clock.now())
        lines = [codec.encode(body, now) for body in (kept if self.written else [self.meta, *kept])]
        for _ in range(2):
            try:
                end = self.log.append(lines, expected_end=self._end)
            except Conflict as conflict:
                if conflict.actual < self._end:
                    raise BadRequest("the session file was cut by another program; resume the thread again") from None
                self._take_in(self._unfolded(conflict.actual), conflict.actual)
            else:
                self.written = True
                records = self.log.appended(lines, end)
                repaired = records[0].offset != self._end
                self._take_in(self._unfolded(end) if repaired else records, end)
                return
        raise BadRequest("the session file is being changed by another program; try again")

    def onto(self, log: Log, state: SessionState, entry: Entry) -> Journal:
        """The same journal on a log that was written otherwise, with its fold and its catalog entry."""
        return Journal(log, state, self.meta, entry, self._clock, extended=self._extended)

    def catch_up(self) -> None:
        """Fold what other writers have appended since."""
        end = self.log.end()
        if end > self._end:
            self._take_in(self._unfolded(end), end)

    @property
    def lost(self) -> bool:
        """Whether the log is no longer the one that was folded: cut, moved or replaced. It has to be opened anew.

        :raises LogError: the log cannot be looked at.
        """
        try:
            return self.log.end() < self._end
        except Moved:
            return True

    def sync(self) -> None:
        """Make everything appended so far survive a power cut."""
        self.log.sync()

    def anchor(self) -> Anchor:
        """What the state covers, told without reading it again where possible.

        :raises LogError: the log cannot be read.
        """
        if self._first is None or self._last is None:
            found = cover(self.log, self.state.end)
            self._first = found.first
            return found
        return Anchor(self.state.end, self._first, checksum(self._last))

    def _unfolded(self, end: int) -> Iterable[Record]:
        """What others wrote before `end`, a line from its beginning of which only a part was there before."""
        return self.log.read(self.state.end, end)

    def _take_in(self, records: Iterable[Record], end: int) -> None:
        for record in records:
            self.state.apply(record)
            at_home = self.log.at_home(record) if isinstance(self.log, SplicedLog) else record
            self._last = record.data if self.state.end == record.end else None
            self.entry = self.entry.after([at_home])
        self.state.settle(self.log)
        self._end = end
