"""How a turn ends: completed, failed or interrupted, each with its lines in the reference's order."""

from __future__ import annotations

from engine.turn.call import record_outputs
from engine.turn.machine import Turn
from engine.turn.replies import TurnFailed
from rollouts import events as ev

ABORTED_MARKER = (
    "<turn_aborted>\nThe user interrupted the previous turn on purpose. Any running unified exec processes may "
    "still be running in the background. If any tools/commands were aborted, they may have partially executed.\n"
    "</turn_aborted>"
)


def aborted_marker() -> ev.Message:
    """What the model is told of an interrupted turn."""
    return ev.Message(role="user", content=(ev.InputText(text=ABORTED_MARKER),))


def complete(turn: Turn, last_message: str | None) -> None:
    """The model has nothing more to do; what it was to be told it reads in the next turn."""
    turn.tell_model()
    turn.emit(
        ev.TaskComplete(
            turn_id=turn.id,
            last_agent_message=last_message,
            completed_at=int(turn.now.timestamp()),
            duration_ms=turn.elapsed_ms,
            time_to_first_token_ms=turn.first_token_ms,
        )
    )
    turn.finish("completed")


def tell(turn: Turn, failure: TurnFailed) -> None:
    """Say why the turn cannot go on as it was."""
    turn.tell_model()
    turn.emit(ev.ErrorEvent(message=failure.message, codex_error_info=failure.info.file()))
    turn.emit(ev.TurnErrorLine(turn_id=turn.id, message=failure.message, codex_error_info=failure.info.file()))


def fail(turn: Turn, failure: TurnFailed) -> None:
    """The turn cannot go on; the thread can."""
    tell(turn, failure)
    turn.emit(
        ev.TaskComplete(
            turn_id=turn.id,
            last_agent_message=None,
            completed_at=int(turn.now.timestamp()),
            duration_ms=turn.elapsed_ms,
            time_to_first_token_ms=turn.first_token_ms,
        )
    )
    turn.finish("failed")


def abort(turn: Turn, reason: ev.AbortReason) -> None:
    """Interrupted; input that the model has not seen stays pending.

    The model is told only if it was the user who wanted it, not if another turn took the place of this one.
    """
    record_outputs(turn)
    turn.tell_model()
    if reason == "interrupted":
        turn.emit(aborted_marker())
    turn.emit(
        ev.TurnAborted(
            turn_id=turn.id,
            reason=reason,
            completed_at=int(turn.now.timestamp()),
            duration_ms=turn.elapsed_ms,
        )
    )
    turn.finish("interrupted")
