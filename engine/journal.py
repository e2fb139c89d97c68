"""The one way a thread's durable state changes: policy, one write, fold (design rule 1).

Owns the log's end as this process knows it. Another writer's lines are folded before ours are written (rule 11).
The first append of a new thread puts its `session_meta` line in front, so a thread that nothing happened to
leaves no file (spec rollout-format 1).
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.clock import Clock, timestamp
from engine.errors import BadRequest
from projections.session import SessionState
from rollouts import codec, policy
from rollouts import events as ev
from rollouts.log import Conflict, Log, Record


class Journal:
    """Log and folded state of one thread."""

    def __init__(self, log: Log, state: SessionState, clock: Clock, *, extended: bool = False) -> None:
        self.log = log
        self.state = state
        self.extended = extended
        self._clock = clock
        self._end = state.end
        self._opening: list[ev.Body] = []

    def open_with(self, meta: ev.SessionMeta) -> None:
        """The line that goes before the first append. The state knows it already; the file does not."""
        self._opening = [meta]

    @property
    def written(self) -> bool:
        """Whether the log has anything of this thread."""
        return not self._opening

    def append(self, bodies: Iterable[ev.Body]) -> None:
        """Write what policy says, all in one write, then fold it.

        :raises BadRequest: other writers changed the file twice while we tried.
        :raises LogError: nothing was written.
        """
        kept = [
            body for each in bodies if (body := policy.for_disk(each, extended=self.extended)) is not None
        ]
        if not kept:
            return
        now = timestamp(self._clock.now())
        lines = [codec.encode(body, now) for body in [*self._opening, *kept]]
        for _ in range(2):
            try:
                end = self.log.append(lines, expected_end=self._end)
            except Conflict:
                self._fold_foreign()
            else:
                self._opening = []
                self._fold(lines, end)
                return
        raise BadRequest("the session file is being changed by another program; try again")

    def sync(self) -> None:
        """Make everything appended so far survive a power cut."""
        self.log.sync()

    def _fold(self, lines: list[bytes], end: int) -> None:
        records = self.log.appended(lines, end)
        if records[0].offset != self._end:
            records = list(self.log.read(self._end, end))
        self._apply(records)
        self._end = end

    def _fold_foreign(self) -> None:
        end = self.log.end()
        self._apply(self.log.read(self._end, end))
        self._end = end

    def _apply(self, records: Iterable[Record]) -> None:
        for record in records:
            self.state.apply(record)
