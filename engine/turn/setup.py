"""How a turn opens: what it is given, its first events, and how user input enters it."""

from __future__ import annotations

import msgspec

from engine.turn.effects import Submission
from engine.turn.machine import Turn
from rollouts import events as ev


class Outgrown(msgspec.Struct, frozen=True):
    """The model of the turn before, whose window was larger."""

    model: str
    context_window: int | None


class TurnSetup(msgspec.Struct, frozen=True):
    """All a regular turn needs to know beforehand; frozen, so that settings cannot change under a running turn."""

    thread_id: str
    input: Submission | None
    opening: tuple[ev.Message | ev.Warning, ...]
    """Context messages that are new or changed, and what is to be said about them."""
    context: ev.TurnContext
    context_window: int | None
    """Effective window of the model in tokens (spec token-usage 2)."""
    earlier: tuple[Submission, ...] = ()
    """Input of earlier turns that they did not take in; it comes first."""
    mode: str = "default"
    """Collaboration mode kind."""
    model: str = ""
    compact_first: bool = False
    """The history is compacted before the turn begins; `opening` is then the whole context."""
    outgrown: Outgrown | None = None
    """The history is too large for this turn's model: the one before compacts it first."""
    compact_at: int | None = None
    """Tokens of context from which the history is compacted first."""
    remote_compaction: bool = False
    stream_max_retries: int = 5
    show_raw_reasoning: bool = True
    warnings: tuple[str, ...] = ()


def open_turn(turn: Turn, setup: TurnSetup) -> None:
    """Warnings about the settings, then `task_started`."""
    for message in setup.warnings:
        turn.emit(ev.Warning(message=message))
    turn.emit(
        ev.TaskStarted(
            turn_id=turn.id,
            started_at=int(turn.started.timestamp()),
            model_context_window=setup.context_window,
            collaboration_mode_kind=setup.mode,
        )
    )


def accept(turn: Turn, setup: TurnSetup, user: Submission) -> None:
    """User input becomes part of the turn: history, log and screen."""
    item = ev.UserMessageItem(id=next(turn.ids), content=user.content)
    message, *pulled_in = user.messages
    turn.emit(message)
    turn.emit(ev.ItemStarted(thread_id=setup.thread_id, turn_id=turn.id, item=item))
    turn.emit(ev.ItemCompleted(thread_id=setup.thread_id, turn_id=turn.id, item=item))
    turn.emit(user.shown)
    for extra in pulled_in:
        turn.emit(extra)
