"""The durable state of a thread: everything folded from its lines, composed of one fold per question.

Live and rebuilt run the same `apply`, so after any commands and after a crash at any byte the state equals a fold of
the file (design, rule 1). `rebuild` reads a whole log once; without turns it reads what the live context costs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from projections import agent_task, approvals, hooks, metadata, reviews
from projections.metadata import Metadata
from projections.turn_pages import line_end
from projections.turn_rows import RowsLost
from projections.turns import TurnTable
from projections.usage import Usage
from projections.window import Window
from projections.window_tail import first_meta, from_tail
from rollouts import codec
from rollouts import events as ev
from rollouts.log import Log, Record


class Facts(msgspec.Struct, frozen=True):
    """The parts that are plain values. `children` are the threads started here, oldest first."""

    meta: ev.SessionMeta | None = None
    metadata: Metadata = Metadata()
    usage: Usage = Usage()
    reviews: reviews.Reviews = reviews.Reviews()
    hooks: hooks.HookRuns = hooks.HookRuns()
    approvals: approvals.Approvals = approvals.Approvals()
    agent_task: ev.AgentTask | None = None
    children: tuple[ev.ChildThread, ...] = ()
    inputs: ev.TurnInputs | None = None
    history_base: ev.HistoryBase | None = None

    def apply(self, body: ev.Body) -> Facts:
        """The facts after a line; the same object if it says nothing about them."""
        told = _TOLD.get(type(body))
        return self if told is None else msgspec.structs.replace(self, **told(self, body))

    def of_fork(self, meta: ev.SessionMeta) -> Facts:
        """What a fork takes over: not what was said about this thread as such but for its name, nor its agent task."""
        known = metadata.apply(Metadata(name=self.metadata.name), meta)
        return msgspec.structs.replace(self, meta=meta, metadata=known, agent_task=None, history_base=None)


def _of_metadata(facts: Facts, body: ev.ThreadNameUpdated | ev.ThreadMetadata) -> dict[str, object]:
    return {"metadata": metadata.apply(facts.metadata, body)}


def _of_review(facts: Facts, body: ev.Review | ev.GuardianAssessment) -> dict[str, object]:
    return {"reviews": reviews.apply(facts.reviews, body)}


_TOLD: Mapping[type, Callable[[Facts, Any], dict[str, object]]] = {
    ev.TokenCount: lambda facts, body: {"usage": facts.usage.apply(body)},
    ev.SessionMeta: lambda facts, body: {"meta": facts.meta or body, "metadata": metadata.apply(facts.metadata, body)},
    ev.ThreadNameUpdated: _of_metadata,
    ev.ThreadMetadata: _of_metadata,
    ev.Review: _of_review,
    ev.GuardianAssessment: _of_review,
    ev.HookRun: lambda facts, body: {"hooks": hooks.apply(facts.hooks, body)},
    ev.Approval: lambda facts, body: {"approvals": approvals.apply(facts.approvals, body)},
    ev.SessionState: lambda facts, body: {"agent_task": agent_task.apply(facts.agent_task, body)},
    ev.ChildThread: lambda facts, body: {"children": (*facts.children, body)},
    ev.TurnInputs: lambda facts, body: {"inputs": body},
    ev.HistoryBase: lambda facts, body: {"history_base": body},
}
"""What changes with a line, by the type of its body; all others say nothing of these facts."""


class SessionState:
    """The fold. `end` is the position behind the last line folded; a torn line that says nothing is not passed.

    `turns` is None for a state that was opened without them, or whose rows were lost where they are kept. `complete`
    says that the facts are folded from the first line on; otherwise they are those that the end of the log says.
    After `apply` the window may be stale (a rollback reached behind it): call `settle` with the log.
    """

    def __init__(self, *, turns: bool = True) -> None:
        self.facts = Facts()
        self.complete = True
        self.window = Window()
        self.turns: TurnTable | None = TurnTable() if turns else None
        self.end = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SessionState) and self._parts() == other._parts()

    __hash__ = None  # type: ignore[assignment]

    def _parts(self) -> tuple[object, ...]:
        return (self.facts, self.window, self.turns, self.end)

    @property
    def meta(self) -> ev.SessionMeta | None:
        """The line that names the thread."""
        return self.facts.meta

    @property
    def usage(self) -> Usage:
        """Usage and the limits last written."""
        return self.facts.usage

    @property
    def instructions(self) -> str:
        """The base instructions stored with the thread, "" if there are none."""
        base = self.facts.meta.base_instructions if self.facts.meta else None
        return base.text if base else ""

    def apply(self, record: Record) -> codec.Line | codec.BadLine:
        """Fold one line as it stands in the log; returns what it says."""
        line = codec.decode(record.data)
        if isinstance(line, codec.BadLine):
            if not record.torn:
                self.end = record.end
            return line
        self.end = record.end
        self.facts = self.facts.apply(line.body)
        self.window.apply(line.body, record.offset)
        if self.turns is not None:
            try:
                self.turns.apply(line, record.offset, line_end(record))
            except RowsLost:
                self.turns = None
        return line

    def adopt(self, other: SessionState) -> None:
        """Take what this state was opened without from another one that covers as much."""
        if other.end != self.end:
            raise ValueError(f"a state of {other.end} cannot complete one of {self.end}")
        self.facts, self.turns, self.complete = other.facts, other.turns, other.complete

    def advance(self, log: Log) -> None:
        """Fold what the log has more than this state.

        :raises LogError: the log cannot be read.
        """
        for record in log.read(self.end):
            self.apply(record)
        self.settle(log)

    def settle(self, log: Log) -> None:
        """Walk back for the window if a rollback went behind it.

        :raises LogError: the log cannot be read.
        """
        if self.window.stale:
            found = from_tail(log, self.end).window
            if not found.counted:
                found.compactions, found.counted = self.window.compactions, self.window.counted
            self.window = found

    def to_json(self) -> bytes:
        """Everything, for people: one JSON object, the turns as rows and the window as its items."""
        rows = self.turns.all_rows() if self.turns is not None else []
        return msgspec.json.encode(
            {
                "end": self.end,
                "facts": self.facts,
                "window": {
                    "base": self.window.base,
                    "compactions": self.window.compactions if self.window.counted else None,
                    "items": [msgspec.Raw(item.raw) for item in self.window.items],
                    "estimated_tokens": self.window.estimate(self.instructions),
                    "context": self.window.context,
                },
                "turns": [
                    {"id": row.id, "status": row.status, "items": row.item_count, "spans": row.spans} for row in rows
                ],
            }
        )


def rebuild(log: Log, *, want_turns: bool = True) -> SessionState:
    """The state of a log. With turns every line is read once; without, the end and the first line are.

    :raises LogError: the log cannot be read.
    """
    return _whole(log) if want_turns else _tail(log)


def _whole(log: Log) -> SessionState:
    state = SessionState()
    state.window.stale = True  # found from the end in one go, instead of folding what no longer counts
    state.advance(log)
    return state


def _tail(log: Log) -> SessionState:
    state = SessionState(turns=False)
    state.complete = False
    end = log.end()
    tail = from_tail(log, end)
    meta = first_meta(log)
    if meta is not None:
        state.facts = state.facts.apply(meta)
    if tail.usage is not None:
        state.facts = state.facts.apply(tail.usage)
    state.window = tail.window
    state.end = _folded_end(log, end)
    return state


def _folded_end(log: Log, end: int) -> int:
    """Where a fold of the lines before `end` ends: in front of a torn line that says nothing."""
    last = next(log.read_back(end, limit=1), None)
    if last is None or not last.torn:
        return end
    (whole,) = log.read(last.offset, end)
    return last.offset if isinstance(codec.decode(whole.data), codec.BadLine) else end
