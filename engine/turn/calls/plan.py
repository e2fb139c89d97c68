"""The `update_plan` tool: the model's checklist, shown to clients as `turn/plan/updated` (spec tools.md 5)."""

from __future__ import annotations

from typing import Literal

import msgspec

from engine.turn.machine import Script, Turn
from engine.turn.replies import CallFailed
from rollouts import events as ev


class _Step(msgspec.Struct, frozen=True):
    step: str
    status: Literal["pending", "in_progress", "completed"]


class _Arguments(msgspec.Struct, frozen=True):
    plan: tuple[_Step, ...]
    explanation: str | None = None


def update_plan(turn: Turn, call: ev.FunctionCall) -> Script:
    """Publish the plan; answer `Plan updated`."""
    yield from ()  # a script, though this one never waits
    try:
        given = msgspec.json.decode(call.arguments, type=_Arguments)
    except msgspec.MsgspecError as error:
        raise CallFailed(f"failed to parse function arguments: {error}") from error
    steps = tuple(ev.PlanStep(step=each.step, status=each.status) for each in given.plan)
    turn.emit(ev.PlanUpdate(explanation=given.explanation, plan=steps))
    return "Plan updated"
