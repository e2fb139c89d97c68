"""Tool calls of a reply: each is a script; the table says which tool is served by which.

A call runs beside the model stream from the moment its item is complete. Its result is the output item for the
model. Outputs are recorded in call order when all calls of the reply have ended.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.turn.calls.plan import update_plan
from engine.turn.machine import Interrupted, Join, Script, Turn
from engine.turn.replies import CallFailed
from rollouts import events as ev

CallItem = ev.FunctionCall | ev.CustomToolCall

FUNCTIONS: dict[str, Callable[[Turn, ev.FunctionCall], Script]] = {"update_plan": update_plan}


def run_calls(turn: Turn) -> Script:
    """Wait for the calls of the reply, then record their outputs; says whether there were any."""
    unfinished = [call for call in turn.calls if not call.done]
    if unfinished:
        yield Join(unfinished)
    return record_outputs(turn)


def record_outputs(turn: Turn) -> bool:
    """Record the outputs of all calls of the reply, in call order; says whether there were any."""
    calls, turn.calls = turn.calls, []
    for call in calls:
        turn.emit(call.result)
    return bool(calls)


def start_call(turn: Turn, item: CallItem) -> None:
    """Start the script that serves this call."""
    turn.calls.append(turn.spawn(_call(turn, item)))


def _call(turn: Turn, item: CallItem) -> Script:
    try:
        text = yield from _serve(turn, item)
    except CallFailed as failure:
        text = failure.text
    except Interrupted:
        text = f"aborted by user after {turn.elapsed_ms / 1000:.1f}s"
    if isinstance(item, ev.FunctionCall):
        return ev.FunctionCallOutput(call_id=item.call_id, output=text)
    return ev.CustomToolCallOutput(call_id=item.call_id, output=text)


def _serve(turn: Turn, item: CallItem) -> Script:
    if isinstance(item, ev.CustomToolCall):
        raise CallFailed(f"unsupported custom tool call: {item.name}")
    serve = None if item.namespace else FUNCTIONS.get(item.name)
    if serve is None:
        raise CallFailed(f"unsupported call: {item.namespace or ''}{item.name}")
    return (yield from serve(turn, item))
