"""Turns out of lines: one pass, every rule of thread-lifecycle.md 15, in two keepings.

`TurnTable` keeps rows (ids, status, times, spans) and no items, so a thread of any size costs little; `render` builds a
turn from its row and exactly the events folded into it, whether they were kept (`TurnBuilder`) or are read again from
the log (`turn_pages`). The fold decides where an event goes, once, for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from projections import protocol as p
from projections.turn_render import place, render, shows
from projections.turn_rows import IMPLICIT, RowList, Rows, Slots, TurnRow, moved, moved_id
from rollouts import codec
from rollouts import events as ev

_NO_FAILURE = frozenset({"thread_rollback_failed", "active_turn_not_steerable"})


class Owner(msgspec.Struct, frozen=True):
    """The turn a usage line belongs to: its id and its position in the list at that moment."""

    turn_id: str
    position: int


class TurnTable:
    """The fold. Feed it every parsed line in order; `rows` and `open` are the turns, oldest first.

    `lines` counts the parsed lines so far, `next_item` is the number of the next numbered item once the open turn is
    closed, `owner` the turn of the last `token_count` line (token-usage.md 4). `keep_bodies` keeps the events for
    `TurnBuilder`; `turn_items` takes 0.169.0's completed items too, not only plans.
    """

    def __init__(self, *, keep_bodies: bool = False, turn_items: bool = True) -> None:
        self.rows: Rows = RowList()
        self.open: TurnRow | None = None
        self.lines = 0
        self.next_item = 1
        self.owner: Owner | None = None
        self._changed: set[int] = set()
        self._keep_bodies = keep_bodies
        self._turn_items = turn_items

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TurnTable) and self._state() == other._state()

    __hash__ = None  # type: ignore[assignment]

    def _state(self) -> tuple[object, ...]:
        return (self.all_rows(), self.open, self.lines, self.next_item, self.owner)

    @classmethod
    def restored(
        cls, rows: Rows, open_row: TurnRow | None, lines: int, next_item: int, owner: Owner | None
    ) -> TurnTable:
        """A table from stored parts, ready to go on."""
        table = cls()
        table.rows, table.open = rows, open_row
        table.lines, table.next_item, table.owner = lines, next_item, owner
        return table

    def moved(self, by: int, lines: int) -> TurnTable:
        """The same turns behind so many more parsed lines, which take so many more positions; all count as new.

        :raises RowsLost: a row cannot be read.
        """
        table = TurnTable()
        for row in self.rows:
            table._add(moved(row, by, lines))
        table.open = None if self.open is None else moved(self.open, by, lines)
        table.lines, table.next_item = self.lines + lines, self.next_item
        if self.owner is not None:
            table.owner = Owner(moved_id(self.owner.turn_id, lines), self.owner.position)
        return table

    def changes(self) -> list[tuple[int, TurnRow]]:
        """Finished rows that are new or other than at the last `saved`, by number; the table has `len(rows)` now."""
        return [(number, self.rows.to_change(number)) for number in sorted(self._changed)]

    def saved(self, rows: Rows) -> None:
        """All changes are kept somewhere; `rows` are the same rows from there."""
        self.rows = rows
        self._changed.clear()

    def __len__(self) -> int:
        """How many turns there are, the open one among them."""
        return len(self.rows) + (self.open is not None and self.open.kept)

    def between(self, start: int, stop: int) -> list[TurnRow]:
        """The turns numbered [start, stop), an open one last."""
        rows = self.rows.between(start, min(stop, len(self.rows)))
        return [*rows, self.open] if self.open is not None and self.open.kept and stop > len(self.rows) else rows

    def find(self, turn_id: str) -> int | None:
        """The number of the oldest turn with this id."""
        number = self.rows.find(turn_id)
        if number is None and self.open is not None and self.open.kept and self.open.id == turn_id:
            return len(self.rows)
        return number

    def all_rows(self) -> list[TurnRow]:
        """All turns, the open one last."""
        return self.between(0, len(self))

    def apply(self, line: codec.Line | codec.BadLine, start: int = 0, end: int = 0) -> None:
        """Fold one line that stands at [start, end)."""
        if isinstance(line, codec.Line) and codec.counts(line.body):
            self.lines += 1
            self.handle(line.body, start, end)

    def handle(self, event: object, start: int = 0, end: int = 0) -> None:
        """Fold one event, written or live."""
        handler = _HANDLERS.get(type(event))
        row = None if handler is None else handler(self, event)
        if row is None:
            return
        row.add_span(start, end)
        if row.bodies is not None:
            row.bodies.append(event)

    def _start(self, turn_id: str | None) -> TurnRow:
        index = max(self.lines - 1, 0)
        row = TurnRow(
            id=f"{IMPLICIT}{index}" if turn_id is None else turn_id,
            status="completed",
            line=index,
            slots=Slots(self.next_item),
            bodies=[] if self._keep_bodies else None,
        )
        self.open = row
        return row

    def _current(self) -> TurnRow:
        return self._start(None) if self.open is None else self.open

    def _close(self) -> None:
        row, self.open = self.open, None
        if row is not None and row.kept:
            self.next_item = row.slots.first + row.slots.numbered
            self._add(row)

    def _add(self, row: TurnRow) -> None:
        self._changed.add(len(self.rows))
        self.rows.append(row)

    def _find(self, turn_id: str) -> TurnRow | None:
        """The turn of this id, to be changed: the open one first, then the oldest finished one."""
        if self.open is not None and self.open.id == turn_id:
            return self.open
        index = self.rows.find(turn_id)
        if index is None:
            return None
        self._changed.add(index)
        return self.rows.to_change(index)

    def _task_started(self, event: ev.TaskStarted) -> None:
        self._close()
        row = self._start(event.turn_id)
        row.status, row.started_at, row.explicit = "inProgress", event.started_at, True

    def _task_complete(self, event: ev.TaskComplete) -> None:
        row = self._find(event.turn_id) or self.open
        if row is None:
            return
        if row.status == "inProgress":
            row.status = "completed"
        row.completed_at, row.duration_ms = event.completed_at, event.duration_ms
        if row is self.open:
            self._close()

    def _turn_aborted(self, event: ev.TurnAborted) -> None:
        row = (self._find(event.turn_id) if event.turn_id is not None else None) or self.open
        if row is not None:
            row.status = "interrupted"
            row.completed_at, row.duration_ms = event.completed_at, event.duration_ms

    def _rolled_back(self, event: ev.ThreadRolledBack) -> None:
        self._close()
        left = max(len(self.rows) - event.num_turns, 0)
        self.rows.cut(left)
        self._changed = {number for number in self._changed if number < left}
        self.next_item = self.rows.item_count() + 1

    def _compacted(self, event: ev.Compacted) -> None:
        self._current().compaction = True

    def _token_count(self, event: ev.TokenCount) -> None:
        if self.open is not None:
            self.owner = Owner(self.open.id, len(self.rows))
        elif len(self.rows):
            (last,) = self.rows.between(*_last(len(self.rows)))
            self.owner = Owner(last.id, len(self.rows) - 1)
        else:
            self.owner = None

    def _error(self, event: ev.ErrorEvent) -> TurnRow | None:
        if self.open is None or not affects_turn(event.codex_error_info):
            return None
        self.open.status = "failed"
        return self.open

    def _user_message(self, event: ev.UserMessage) -> TurnRow | None:
        row = self.open
        if row is not None and not row.explicit and not (row.compaction and row.item_count == 0):
            self._close()
        return self._in_current(event)

    def _in_current(self, event: object) -> TurnRow | None:
        if not shows(event):
            return None
        row = self._current()
        place(row.slots, row.id, event)
        return row

    def _in_named(self, event: Any) -> TurnRow | None:
        row = self._find(event.turn_id) if shows(event) else None
        if row is not None:
            place(row.slots, row.id, event)
        return row

    def _in_named_or_current(self, event: Any) -> TurnRow | None:
        return self._in_named(event) if event.turn_id else self._in_current(event)

    def _turn_item(self, event: ev.ItemStarted | ev.ItemCompleted) -> TurnRow | None:
        if not self._turn_items and not isinstance(event.item, ev.PlanItem):
            return None
        return self._in_named(event)


class TurnBuilder:
    """The turns themselves: the fold with its events kept. For small histories and for the open turn of a live thread.

    A live thread feeds its events through `handle` with `turn_items=False`, since there the older events say the same
    (rollout-format.md 5); ids of that turn then count from `item-1`.
    """

    def __init__(self, *, turn_items: bool = True) -> None:
        self.table = TurnTable(keep_bodies=True, turn_items=turn_items)

    def apply(self, line: codec.Line | codec.BadLine, start: int = 0, end: int = 0) -> None:
        """Fold one line."""
        self.table.apply(line, start, end)

    def handle(self, event: object) -> None:
        """Fold one live event."""
        self.table.handle(event)

    def turns(self) -> list[p.Turn]:
        """All turns, an open one as it is."""
        return [render(row, row.bodies or ()) for row in self.table.all_rows()]

    def last(self) -> p.Turn | None:
        """The open turn, else the last finished one."""
        rows = [self.table.open] if self.table.open else self.table.rows.between(*_last(len(self.table.rows)))
        return render(rows[0], rows[0].bodies or ()) if rows else None


def _last(count: int) -> tuple[int, int]:
    return max(count - 1, 0), count


def build_turns(lines: Iterable[codec.Line | codec.BadLine]) -> list[p.Turn]:
    """The turns of a whole rollout, an open last one `inProgress`."""
    builder = TurnBuilder()
    for line in lines:
        builder.apply(line)
    return builder.turns()


def interrupt_stale(turns: Iterable[p.Turn]) -> list[p.Turn]:
    """Turns of a thread on which nothing runs: whatever is still open was interrupted (thread-lifecycle.md 5)."""
    return [
        msgspec.structs.replace(turn, status="interrupted") if turn.status == "inProgress" else turn for turn in turns
    ]


def affects_turn(info: ev.ErrorInfo | None) -> bool:
    """Whether an error of this kind fails the turn it falls into."""
    kind = info if isinstance(info, str) or info is None else next(iter(info), None)
    return kind not in _NO_FAILURE


_IN_CURRENT = (
    ev.AgentMessage,
    ev.AgentReasoning,
    ev.AgentReasoningRawContent,
    ev.Message,
    ev.McpToolCallBegin,
    ev.McpToolCallEnd,
    ev.WebSearchBegin,
    ev.WebSearchEnd,
    ev.ViewImageToolCall,
    ev.ImageGenerationBegin,
    ev.ImageGenerationEnd,
    ev.CollabAgentSpawnBegin,
    ev.CollabAgentSpawnEnd,
    ev.CollabAgentInteractionBegin,
    ev.CollabAgentInteractionEnd,
    ev.CollabWaitingBegin,
    ev.CollabWaitingEnd,
    ev.CollabCloseBegin,
    ev.CollabCloseEnd,
    ev.CollabResumeBegin,
    ev.CollabResumeEnd,
    ev.ContextCompacted,
    ev.EnteredReviewMode,
    ev.ExitedReviewMode,
)
_IN_NAMED_OR_CURRENT = (
    ev.GuardianAssessment,
    ev.ApplyPatchApprovalRequest,
    ev.PatchApplyBegin,
    ev.PatchApplyEnd,
    ev.DynamicToolCallRequest,
    ev.DynamicToolCallResponse,
)
_HANDLERS: Mapping[type, Callable[[TurnTable, Any], TurnRow | None]] = {
    ev.TaskStarted: TurnTable._task_started,
    ev.TaskComplete: TurnTable._task_complete,
    ev.TurnAborted: TurnTable._turn_aborted,
    ev.ThreadRolledBack: TurnTable._rolled_back,
    ev.Compacted: TurnTable._compacted,
    ev.TokenCount: TurnTable._token_count,
    ev.ErrorEvent: TurnTable._error,
    ev.UserMessage: TurnTable._user_message,
    ev.ItemStarted: TurnTable._turn_item,
    ev.ItemCompleted: TurnTable._turn_item,
    ev.ExecCommandBegin: TurnTable._in_named,
    ev.ExecCommandEnd: TurnTable._in_named,
    **dict.fromkeys(_IN_CURRENT, TurnTable._in_current),
    **dict.fromkeys(_IN_NAMED_OR_CURRENT, TurnTable._in_named_or_current),
}
