"""The regular turn: user input in, model replies and tool calls until the model has nothing more to do.

Order of lines and events as spec/turns.md 3 and spec/rollout-format.md 5 ("Order inside one plain turn").
"""

from __future__ import annotations

from engine.turn.call import run_calls
from engine.turn.ending import abort, complete, fail
from engine.turn.machine import Interrupted, Script, Turn
from engine.turn.replies import TurnFailed
from engine.turn.sampling import sample
from engine.turn.scripts.compact import compact
from engine.turn.setup import TurnSetup, accept, open_turn


def regular(turn: Turn, setup: TurnSetup) -> Script:
    """Run a turn from `task_started` to its end."""
    open_turn(turn, setup)
    metadata = setup.input.client_metadata if setup.input else None
    last_message: str | None = None
    try:
        if setup.compact_first:
            yield from compact(turn, setup, mid_turn=False)
        for line in setup.opening:
            turn.emit(line)
        turn.emit(setup.context)
        if setup.input is not None:
            accept(turn, setup, setup.input)
        while True:
            last_message = (yield from sample(turn, setup, metadata)) or last_message
            called = yield from run_calls(turn)
            turn.tell_model()
            turn.show_diff()
            waiting, turn.pending = turn.pending, []
            for user in waiting:
                accept(turn, setup, user)
                metadata = user.client_metadata if user.client_metadata is not None else metadata
            if not called and not waiting:
                break
            if _full(turn, setup):
                yield from compact(turn, setup, mid_turn=True)
    except Interrupted as interruption:
        abort(turn, setup, interruption.reason)
    except TurnFailed as failure:
        fail(turn, failure)
    else:
        complete(turn, last_message)


def _full(turn: Turn, setup: TurnSetup) -> bool:
    """Whether the context has reached the size from which it is compacted."""
    return setup.compact_at is not None and turn.usage.context_tokens >= setup.compact_at
