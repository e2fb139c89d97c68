"""Tool calls of a reply: each is a script that runs beside the model stream from the moment its item is complete.

What a call does is decided by the script that `Turn.serve` gives for it (`engine.calls`). Here is what all calls
have in common: their turn, as a call that may not run beside others waits for all before it and those after it wait for
it; and an output item for the model, recorded in call order once the stream has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from engine.turn.machine import Call, CallItem, Interrupted, Join, Script, Task, Turn
from engine.turn.replies import CallFailed
from rollouts import events as ev

_SHELLS = frozenset({"shell", "shell_command", "container.exec", "local_shell"})
"""Tools whose aborted calls are told of in the frame of their outputs."""
_MCP = "mcp__"
"""How the namespaces of MCP servers begin; their aborted calls are told of in the form of their results."""
SHORTEST_ABORT_SECONDS = 0.1


def run_calls(turn: Turn) -> Script:
    """Record the output of each call of the reply as soon as it and all before it have ended; says whether there were
    any."""
    called = bool(turn.calls)
    while turn.calls:
        if not turn.calls[0].task.done:
            yield Join([turn.calls[0].task])
        _record(turn, turn.calls.pop(0).task)
    return called


def record_outputs(turn: Turn) -> None:
    """Record the outputs of all calls of the reply, which have ended, in call order."""
    calls, turn.calls = turn.calls, []
    for call in calls:
        _record(turn, call.task)


def start_call(turn: Turn, item: CallItem) -> None:
    """Start the script that serves this call."""
    parallel = turn.parallel(item)
    ahead = [call.task for call in turn.calls if not (parallel and call.parallel)]
    turn.calls.append(Call(turn.spawn(_call(turn, item, ahead)), parallel))


def _record(turn: Turn, task: Task) -> None:
    turn.tell_beside()
    if task.result is not None:
        turn.emit(task.result)


def _call(turn: Turn, item: CallItem, ahead: Sequence[Task]) -> Script:
    started = turn.now
    try:
        if waiting := [task for task in ahead if not task.done]:
            yield Join(waiting)
        output: Any = yield from turn.serve(turn, item)
    except CallFailed as failure:
        output = failure.text
    except Interrupted:
        output = _aborted(item, (turn.now - started).total_seconds())
    if output is None:
        return None
    if isinstance(item, ev.ToolSearchCall):
        found = () if isinstance(output, str) else output
        return ev.ToolSearchOutput(call_id=item.call_id, status="completed", execution="client", tools=found)
    if isinstance(item, ev.CustomToolCall):
        return ev.CustomToolCallOutput(call_id=item.call_id, output=output)
    return ev.FunctionCallOutput(call_id=call_id(item), output=output)


def call_id(item: CallItem) -> str:
    """The id that a call and its output share; the built-in shell of a model may name its item only."""
    own = item.id if isinstance(item, ev.LocalShellCall) else None
    return item.call_id or own or ""


def _aborted(item: CallItem, seconds: float) -> str:
    seconds = max(seconds, SHORTEST_ABORT_SECONDS)
    if isinstance(item, ev.LocalShellCall) or getattr(item, "name", None) in _SHELLS:
        return f"Wall time: {seconds:.1f} seconds\naborted by user"
    text = f"aborted by user after {seconds:.1f}s"
    if isinstance(item, ev.FunctionCall) and (item.namespace or "").startswith(_MCP):
        return msgspec.json.encode([{"type": "text", "text": text}]).decode()
    return text
