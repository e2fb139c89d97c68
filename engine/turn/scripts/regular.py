"""The regular turn: user input in, model replies and tool calls until the model has nothing more to do.

Order of lines and events as spec/turns.md 3 and spec/rollout-format.md 5 ("Order inside one plain turn").
"""

from __future__ import annotations

from engine.turn.call import run_calls
from engine.turn.ending import abort, complete, fail, tell
from engine.turn.machine import Interrupted, Script, Turn
from engine.turn.replies import TurnFailed
from engine.turn.sampling import sample
from engine.turn.scripts.compact import compact
from engine.turn.setup import TurnSetup, accept, open_turn


def regular(turn: Turn, setup: TurnSetup) -> Script:
    """Run a turn from `task_started` to its end."""
    open_turn(turn, setup)
    try:
        if setup.compact_first:
            yield from compact(turn, setup, mid_turn=False)
        for line in setup.opening:
            turn.emit(line)
        turn.emit(setup.context)
        if setup.input is not None:
            accept(turn, setup, setup.input)
        last_message = yield from _converse(turn, setup)
    except Interrupted as interruption:
        abort(turn, setup, interruption.reason)
    except TurnFailed as failure:
        fail(turn, failure)
    else:
        complete(turn, last_message)


def _converse(turn: Turn, setup: TurnSetup) -> Script:
    """Replies and calls until there is nothing more to do; returns the text of the last message.

    A failure is told and ends the turn, unless there is input that the model has not seen: it is asked about that
    (observed).
    """
    metadata = setup.input.client_metadata if setup.input else None
    while True:
        try:
            return (yield from _replies(turn, setup, metadata))
        except TurnFailed as failure:
            if not turn.pending:
                raise
            tell(turn, failure)
            turn.emit(setup.context)
            metadata = _take_in(turn, setup, metadata)


def _replies(turn: Turn, setup: TurnSetup, metadata: dict[str, str] | None) -> Script:
    last_message: str | None = None
    while True:
        last_message = (yield from sample(turn, setup, metadata)) or last_message
        called = yield from run_calls(turn)
        turn.tell_model()
        turn.show_diff()
        waiting = bool(turn.pending)
        metadata = _take_in(turn, setup, metadata)
        if not called and not waiting:
            return last_message
        if _full(turn, setup):
            yield from compact(turn, setup, mid_turn=True)


def _take_in(turn: Turn, setup: TurnSetup, metadata: dict[str, str] | None) -> dict[str, str] | None:
    """Input that came meanwhile becomes part of the turn; the result is the client metadata from here on."""
    waiting, turn.pending = turn.pending, []
    for user in waiting:
        accept(turn, setup, user)
        metadata = user.client_metadata if user.client_metadata is not None else metadata
    return metadata


def _full(turn: Turn, setup: TurnSetup) -> bool:
    """Whether the context has reached the size from which it is compacted."""
    return setup.compact_at is not None and turn.usage.context_tokens >= setup.compact_at
