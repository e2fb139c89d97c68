"""The `update_plan` tool: the model's checklist, shown to clients as `turn/plan/updated` (spec tools.md 5)."""

from __future__ import annotations

from typing import Literal

import msgspec

from engine.calls.arguments import parse
from engine.turn.machine import Script, Turn
from engine.turn.replies import CallFailed
from rollouts import events as ev


class _Step(msgspec.Struct, frozen=True):
    step: str
    status: Literal["pending", "in_progress", "completed"]


class _Arguments(msgspec.Struct, frozen=True):
    plan: tuple[_Step, ...]
    explanation: str | None = None


def update_plan(turn: Turn, arguments: str, mode: str) -> Script:
    """Publish the plan; answer `Plan updated`."""
    yield from ()  # a script, though this one never waits
    if mode == "plan":
        raise CallFailed("update_plan is a TODO/checklist tool and is not allowed in Plan mode")
    given = parse(arguments, _Arguments)
    steps = tuple(ev.PlanStep(step=each.step, status=each.status) for each in given.plan)
    turn.emit(ev.PlanUpdate(explanation=given.explanation, plan=steps))
    return "Plan updated"
