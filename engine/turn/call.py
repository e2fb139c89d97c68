"""Tool calls of a reply: each is a script that runs beside the model stream from the moment its item is complete.

What a call does is decided by the script that `Turn.serve` gives for it (`engine.calls`). Here is what all calls
have in common: an output item for the model whatever happens, recorded in call order when all calls have ended.
"""

from __future__ import annotations

from engine.turn.machine import CallItem, Interrupted, Join, Script, Turn
from engine.turn.replies import CallFailed
from rollouts import events as ev


def run_calls(turn: Turn) -> Script:
    """Wait for the calls of the reply, then record their outputs; says whether there were any."""
    unfinished = [call for call in turn.calls if not call.done]
    if unfinished:
        yield Join(unfinished)
    return record_outputs(turn)


def record_outputs(turn: Turn) -> bool:
    """Record the outputs of all calls of the reply, in call order; says whether there were any."""
    beside, turn.beside = turn.beside, []
    for item in beside:
        turn.emit(item)
    calls, turn.calls = turn.calls, []
    for call in calls:
        turn.emit(call.result)
    return bool(calls)


def start_call(turn: Turn, item: CallItem) -> None:
    """Start the script that serves this call."""
    turn.calls.append(turn.spawn(_call(turn, item)))


def _call(turn: Turn, item: CallItem) -> Script:
    started = turn.now
    try:
        output: ev.OutputBody = yield from turn.serve(turn, item)
    except CallFailed as failure:
        output = failure.text
    except Interrupted:
        output = f"aborted by user after {(turn.now - started).total_seconds():.1f}s"
    if isinstance(item, ev.FunctionCall):
        return ev.FunctionCallOutput(call_id=item.call_id, output=output)
    return ev.CustomToolCallOutput(call_id=item.call_id, output=output)
