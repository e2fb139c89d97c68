"""The regular turn: user input in, model replies and tool calls until the model has nothing more to do.

Order of lines and events as spec/turns.md 3 and spec/rollout-format.md 5 ("Order inside one plain turn").
"""

from __future__ import annotations

import msgspec

from engine.turn.call import run_calls
from engine.turn.ending import abort, complete, fail, tell
from engine.turn.machine import Interrupted, Run, Script, Turn
from engine.turn.ops import ReadDiff
from engine.turn.replies import TurnFailed
from engine.turn.sampling import sample
from engine.turn.scripts.compact import Measure, compact
from engine.turn.setup import Outgrown, TurnSetup, accept, open_turn


def regular(turn: Turn, setup: TurnSetup) -> Script:
    """Run a turn from `task_started` to its end."""
    turn.client_metadata = setup.input.client_metadata if setup.input else None
    open_turn(turn, setup)
    try:
        full = setup.compact_first
        if setup.outgrown is not None:
            yield from compact(turn, _before(setup, setup.outgrown), mid_turn=False)
            full = yield from _full(turn, setup)
        if full:
            yield from compact(turn, setup, mid_turn=False)
        for line in setup.opening:
            turn.emit(line)
        turn.emit(setup.context)
        for user in setup.earlier:
            accept(turn, setup, user)
        if setup.input is not None:
            accept(turn, setup, setup.input)
        last_message = yield from _converse(turn, setup)
    except Interrupted as interruption:
        abort(turn, interruption.reason)
    except TurnFailed as failure:
        fail(turn, failure)
    else:
        complete(turn, last_message)


def _converse(turn: Turn, setup: TurnSetup) -> Script:
    """Replies and calls until there is nothing more to do; returns the text of the last message.

    A failure is told and ends the turn, unless there is input that the model has not seen: it is asked about that
    (observed).
    """
    while True:
        try:
            return (yield from _replies(turn, setup))
        except TurnFailed as failure:
            if not turn.pending:
                raise
            tell(turn, failure)
            turn.emit(setup.context)
            _take_in(turn, setup)


def _replies(turn: Turn, setup: TurnSetup) -> Script:
    last_message: str | None = None
    while True:
        last_message = (yield from sample(turn, setup)) or last_message
        called = yield from run_calls(turn)
        if turn.diff is not None:
            turn.diff = yield Run(ReadDiff(turn.id))
            turn.show_diff()
        if (called or turn.pending) and (yield from _full(turn, setup)):
            yield from compact(turn, setup, mid_turn=True)
            if called:
                continue  # the model goes on where it was before it hears anything new
        turn.tell_model()
        waiting = bool(turn.pending) or turn.unheard
        turn.unheard = False
        _take_in(turn, setup)
        if not called and not waiting:
            return last_message


def _take_in(turn: Turn, setup: TurnSetup) -> None:
    """Input that came meanwhile becomes part of the turn."""
    waiting, turn.pending = turn.pending, []
    for user in waiting:
        accept(turn, setup, user)


def _before(setup: TurnSetup, outgrown: Outgrown) -> TurnSetup:
    """The setup as if the turn still used the model before it."""
    return msgspec.structs.replace(setup, model=outgrown.model, context_window=outgrown.context_window)


def _full(turn: Turn, setup: TurnSetup) -> Script:
    """Whether the context has reached the size from which it is compacted."""
    if setup.compact_at is None:
        return False
    tokens: int = yield Run(Measure())
    return tokens >= setup.compact_at
