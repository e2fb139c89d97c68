"""The overlay: what clients see of a thread beyond its durable state, for the open turn only.

Built from the same events as everything else, never written, gone when the turn ends: the thread's status, the
running turn's header and its items so far. A connection that joins a running turn gets these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from projections import protocol as p
from projections.item_parts import error_info
from projections.turns import TurnBuilder
from rollouts import events as ev

IDLE = p.IdleThreadStatus()
SYSTEM_ERROR = p.SystemErrorThreadStatus()


class Overlay:
    """Status and open turn of one loaded thread."""

    def __init__(self) -> None:
        self.status: p.ThreadStatus = IDLE
        self.turn_id: str | None = None
        self._turn_status: p.TurnStatus = "inProgress"
        self._error: p.TurnError | None = None
        self._started_at: int | None = None
        self._completed_at: int | None = None
        self._duration_ms: int | None = None
        self._builder: TurnBuilder | None = None
        self._ahead: TurnBuilder | None = None
        """What has happened ahead of a turn and counts among its items: a review is entered before it starts."""
        self._commands: dict[str, ev.ExecCommandBegin | ev.ExecApprovalRequest] = {}
        self._questions: dict[str | int, p.ThreadActiveFlag] = {}

    def apply(self, event: ev.Body) -> None:
        """Fold one event, written or not."""
        change = _CHANGES.get(type(event))
        if change is not None:
            change(self, event)
        if self._builder is not None:
            self._builder.handle(event)

    def turn(self) -> p.Turn:
        """The open (or just ended) turn as notifications show it: without items."""
        return p.Turn(
            id=self.turn_id or "",
            items=[],
            status=self._turn_status,
            error=self._error,
            started_at=self._started_at,
            completed_at=self._completed_at,
            duration_ms=self._duration_ms,
        )

    def running_turn(self) -> p.Turn | None:
        """The open turn with its items so far; their ids count from `item-1` (spec thread-lifecycle 3)."""
        return self._builder.last() if self._builder is not None else None

    def turn_of(self, call_id: str) -> str | None:
        """The turn of a command that has begun and not ended, which may be an earlier one."""
        shown = self._commands.get(call_id)
        return shown.turn_id if shown is not None else None

    def shows(self, event: ev.ExecCommandBegin | ev.ExecApprovalRequest) -> bool:
        """Whether clients see a command for the first time with this event: as it begins, or as it is asked about."""
        return self._commands.get(event.call_id) is event

    @property
    def open_turn_id(self) -> str | None:
        """Id of the open turn."""
        return self.turn_id if self._builder is not None else None

    def _started(self, event: ev.TaskStarted) -> None:
        self.status = p.ActiveThreadStatus(active_flags=[])
        self.turn_id = event.turn_id
        self._turn_status, self._error = "inProgress", None
        self._started_at, self._completed_at, self._duration_ms = event.started_at, None, None
        self._builder, self._ahead = self._ahead or TurnBuilder(turn_items=False), None

    def _entered_review(self, event: ev.EnteredReviewMode) -> None:
        if self._builder is None:
            self._ahead = TurnBuilder(turn_items=False)
            self._ahead.handle(event)

    def _failed(self, event: ev.ErrorEvent) -> None:
        self.status = SYSTEM_ERROR
        if self._builder is not None:
            self._turn_status = "failed"
            info = error_info(event.codex_error_info)
            self._error = p.TurnError(message=event.message, codex_error_info=info)

    def _completed(self, event: ev.TaskComplete) -> None:
        self.turn_id = event.turn_id
        self._end(event.completed_at, event.duration_ms)
        if self._turn_status == "inProgress":
            self._turn_status = "completed"

    def _aborted(self, event: ev.TurnAborted) -> None:
        self.turn_id = event.turn_id or self.turn_id
        self._end(event.completed_at, event.duration_ms)
        self._turn_status = "interrupted"

    def _end(self, completed_at: int | None, duration_ms: int | None) -> None:
        if self.status != SYSTEM_ERROR:
            self.status = IDLE
        self._completed_at, self._duration_ms = completed_at, duration_ms
        self._builder = self._ahead = None
        self._questions.clear()

    def _asked_about_command(self, event: ev.ExecApprovalRequest) -> None:
        self._command_shown(event)
        self._waits(event.call_id, "waitingOnApproval")

    def _asked_about_patch(self, event: ev.ApplyPatchApprovalRequest) -> None:
        self._waits(event.call_id, "waitingOnApproval")

    def _asked_by_server(self, event: ev.ElicitationRequest) -> None:
        self._waits(event.id, "waitingOnApproval")

    def _asked_for_input(self, event: ev.RequestUserInput) -> None:
        self._waits(event.call_id, "waitingOnUserInput")

    def _waits(self, question: str | int, flag: p.ThreadActiveFlag) -> None:
        self._questions[question] = flag
        self._show_questions()

    def _answered(self, event: ev.QuestionClosed) -> None:
        self._questions.pop(event.call_id, None)
        self._show_questions()

    def _show_questions(self) -> None:
        """A flag for each kind of open question; without any, back to what it was: servers ask between turns, too."""
        if self._questions or self._builder is not None:
            self.status = p.ActiveThreadStatus(active_flags=sorted(set(self._questions.values())))
        elif self.status != SYSTEM_ERROR:
            self.status = IDLE

    def _command_shown(self, event: ev.ExecCommandBegin | ev.ExecApprovalRequest) -> None:
        self._commands.setdefault(event.call_id, event)

    def _command_over(self, event: ev.ExecCommandEnd | ev.CommandDeclined) -> None:
        self._commands.pop(event.call_id, None)


_CHANGES: dict[type, Callable[[Overlay, Any], None]] = {
    ev.TaskStarted: Overlay._started,
    ev.ErrorEvent: Overlay._failed,
    ev.EnteredReviewMode: Overlay._entered_review,
    ev.TaskComplete: Overlay._completed,
    ev.TurnAborted: Overlay._aborted,
    ev.ExecApprovalRequest: Overlay._asked_about_command,
    ev.ApplyPatchApprovalRequest: Overlay._asked_about_patch,
    ev.ElicitationRequest: Overlay._asked_by_server,
    ev.RequestUserInput: Overlay._asked_for_input,
    ev.QuestionClosed: Overlay._answered,
    ev.ExecCommandBegin: Overlay._command_shown,
    ev.ExecCommandEnd: Overlay._command_over,
    ev.CommandDeclined: Overlay._command_over,
}
