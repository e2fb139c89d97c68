"""Opening threads at the cost of their live context, and what writers leave behind so that it stays so (design rule 7).

A checkpoint that still fits the log is folded on; without one a small log is folded whole and a large one from its end.
What that leaves out (turns, facts far back) is added by one pass over the whole log, in small steps, when somebody asks
for it or right after the thread was loaded. Nothing is written but the index, which can be lost at any time (rule 9).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import msgspec

from engine.index import Anchor, Checkpoint, Derived, cover, holds
from engine.journal import Journal
from engine.locks import Locks
from engine.rollout_files import Opened, check_text
from engine.stored_turns import StoredTurns
from projections import checkpoint
from projections import protocol as p
from projections.session import SessionState, rebuild
from projections.turn_pages import page, read_turns
from projections.turn_rows import RowsLost, encode_row
from projections.turns import TurnTable
from projections.usage import replay_turn_id
from rollouts.log import Log
from rollouts.spliced import SplicedLog

NEAR_BYTES = 1 << 18
NEAR_LINES = 1 << 9
"""A stretch of a log that is read without a second thought: bytes of a file, lines in a store."""

STEP_BYTES = 1 << 19
STEP_LINES = 1 << 10
"""What is folded before others get their turn."""

_TURNS_AT_ONCE = 50

T = TypeVar("T")


class History(msgspec.Struct, frozen=True):
    """The turns of a log, and the turn its last usage belongs to."""

    turns: list[p.Turn]
    usage_turn_id: str


class Restorer:
    """Makes states from logs and checkpoints, and keeps checkpoints."""

    def __init__(self, derived: Derived) -> None:
        self._derived = derived
        self._busy = Locks()

    def open(self, source: Opened) -> SessionState:
        """The state of a thread, found the cheapest way; `complete` says whether that leaves something out.

        :raises Unreadable: the log is no text.
        :raises LogError: it cannot be read.
        """
        log = source.log
        end = log.end()
        kept = self._checkpoint(source)
        if kept is not None and _near(log, kept.anchor.end, end):
            state = checkpoint.decode(kept.data, log, self._rows(source.meta.id, kept.anchor))
            if state is not None:
                state.advance(log)
                return state
        if not _near(log, 0, end):
            return rebuild(log, want_turns=False)
        state = SessionState()
        state.window.stale = True  # found from the end in one go, instead of folding what no longer counts
        for record in log.read(0, end):
            line = state.apply(record)
            if not record.torn:
                check_text(log.path, line)
        state.settle(log)
        return state

    def keep(self, thread_id: str, journal: Journal) -> None:
        """Store how far a thread is and which of its turns have changed; costs the next reader some time if not.

        :raises LogError: the log cannot be read.
        """
        if journal.state.complete and journal.state.turns is not None:
            self._store(thread_id, journal.state, journal.state.turns, journal.anchor())

    async def history(self, source: Opened, state: SessionState | None = None) -> History:
        """All turns, an open one as it is; of the live `state` if the thread is loaded.

        :raises Unreadable: the log is no text.
        :raises LogError: it cannot be read.
        """

        async def read(table: TurnTable) -> History:
            turns = await _all_turns(table, source.log)
            return History(turns, replay_turn_id(table.owner, turns))

        return await self._with_turns(source, state, read)

    async def page(self, source: Opened, state: SessionState | None, **wanted: Any) -> p.ThreadTurnsListResponse:
        """A page of turns; `wanted` is what `turn_pages.page` takes.

        :raises CursorError: a cursor that is of no use.
        :raises Unreadable: the log is no text.
        :raises LogError: it cannot be read.
        """

        async def read(table: TurnTable) -> p.ThreadTurnsListResponse:
            return page(table, source.log, **wanted)

        return await self._with_turns(source, state, read)

    async def complete(self, source: Opened, state: SessionState) -> TurnTable:
        """Give a live state what it was opened without; returns its turn table.

        :raises Unreadable: the log is no text.
        :raises LogError: it cannot be read.
        """
        async with self._busy.of(source.meta.id):
            while state.turns is None or not state.complete:
                found = await self._folds(source, lambda: state.end)
                if found.turns is not None:
                    state.adopt(found)
        return state.turns

    async def _with_turns(
        self, source: Opened, state: SessionState | None, use: Callable[[TurnTable], Awaitable[T]]
    ) -> T:
        while True:
            table = await (self._table(source) if state is None else self.complete(source, state))
            try:
                return await use(table)
            except RowsLost:
                if state is not None:
                    state.turns = None

    async def _table(self, source: Opened) -> TurnTable:
        """The turn table of a thread that is not loaded."""
        async with self._busy.of(source.meta.id):
            while True:
                found = await self._folds(source, source.log.end)
                if found.turns is not None:
                    return found.turns

    async def _folds(self, source: Opened, end: Callable[[], int]) -> SessionState:
        """Facts and turns of the lines before `end()`, with a stale window; without turns it has to be tried again."""
        log = source.log
        state, stored = self._stored_folds(source, end())
        last = -1
        step = STEP_BYTES if _in_bytes(log) else STEP_LINES
        while last < state.end < end():
            last = pause = state.end
            for record in log.read(last, end()):
                line = state.apply(record)
                if not record.torn:
                    check_text(log.path, line)
                if record.end - pause > step:
                    pause = record.end
                    await anyio.lowlevel.checkpoint()
        if state.turns is not None and log.path is not None and not _near(log, stored, state.end):
            self._store(source.meta.id, state, state.turns, cover(log, state.end))
        if isinstance(log, SplicedLog):
            self._derived.forget(_estate(source.meta.id))
        return state

    def _stored_folds(self, source: Opened, end: int) -> tuple[SessionState, int]:
        """What to go on from, and how much of it is stored for this thread."""
        kept = self._checkpoint(source)
        if kept is not None and kept.anchor.end <= end:
            state = checkpoint.decode_folds(kept.data, source.meta, self._rows(source.meta.id, kept.anchor))
            if state is not None:
                return state, state.end
        if isinstance(source.log, SplicedLog) and (state := self._inherited(source, source.log)) is not None:
            return state, 0
        state = SessionState()
        state.window.stale = True
        return state, 0

    def inherit(self, parent_id: str, thread_id: str) -> None:
        """Keep what is stored of a thread for the one that was just forked from it by reference."""
        self._derived.copy(parent_id, _estate(thread_id))

    def _inherited(self, source: Opened, log: SplicedLog) -> SessionState | None:
        """The folds of the parent as the fold of the fork's first lines, from what was kept of it at the fork."""
        estate = _estate(source.meta.id)
        kept = self._derived.checkpoint(estate)
        if kept is None or kept.anchor.end > log.end_of_other or not holds(log.other, kept.anchor):
            return None
        state = checkpoint.decode_folds(kept.data, source.meta, self._rows(estate, kept.anchor))
        if state is None or state.turns is None:
            return None
        try:
            state.turns = state.turns.moved(log.head, 1)
        except RowsLost:
            return None
        state.facts = state.facts.of_fork(source.meta)
        state.end += log.head
        return state

    def _store(self, thread_id: str, state: SessionState, table: TurnTable, anchor: Anchor) -> None:
        try:
            rows = [(number, row.id, encode_row(row)) for number, row in table.changes()]
        except RowsLost:
            state.turns = None
            return
        count = len(table.rows)
        since = table.rows.anchor if isinstance(table.rows, StoredTurns) else None
        if self._derived.put(thread_id, Checkpoint(anchor, checkpoint.encode(state)), rows, count, since=since):
            table.saved(StoredTurns(self._derived, thread_id, anchor, count))

    def _checkpoint(self, source: Opened) -> Checkpoint | None:
        kept = self._derived.checkpoint(source.meta.id)
        return kept if kept is not None and holds(source.log, kept.anchor) else None

    def _rows(self, thread_id: str, anchor: Anchor) -> checkpoint.KeptRows:
        return partial(StoredTurns, self._derived, thread_id, anchor)


async def _all_turns(table: TurnTable, log: Log) -> list[p.Turn]:
    """Read in steps, so that others get their turn; begun again if a rollback comes between."""
    turns: list[p.Turn] = []
    while (start := len(turns)) < len(table.rows):
        turns += read_turns(table.rows.between(start, start + _TURNS_AT_ONCE), log)
        await anyio.lowlevel.checkpoint()
        last = table.rows.between(len(turns) - 1, len(turns))
        if [row.id for row in last] != [turns[-1].id]:
            turns = []
    return turns + read_turns(table.between(len(turns), len(table)), log)


def _estate(thread_id: str) -> str:
    """Where the index keeps what a fork by reference inherits."""
    return f"parent:{thread_id}"


def _near(log: Log, start: int, end: int) -> bool:
    return end - start <= (NEAR_BYTES if _in_bytes(log) else NEAR_LINES)


def _in_bytes(log: Log) -> bool:
    """Whether positions are those of a file."""
    return isinstance(log.path, Path)
