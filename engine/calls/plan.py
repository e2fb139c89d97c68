"""The `update_plan` tool: the model's checklist, shown to clients as `turn/plan/updated` (spec tools.md 5)."""

from __future__ import annotations

from typing import Literal

import msgspec

from engine.calls.arguments import parse
from engine.turn.machine import Script, Turn
from engine.turn.replies import CallFailed
from rollouts import events as ev


class PlanItemArg(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step of the plan."""

    step: str
    status: Literal["pending", "in_progress", "completed"]


class UpdatePlanArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Arguments of `update_plan`."""

    explanation: str | None = None
    plan: tuple[PlanItemArg, ...]


def update_plan(turn: Turn, arguments: str, mode: str) -> Script:
    """Publish the plan; answer `Plan updated`."""
    yield from ()  # a script, though this one never waits
    if mode == "plan":
        raise CallFailed("update_plan is a TODO/checklist tool and is not allowed in Plan mode")
    given = parse(arguments, UpdatePlanArgs)
    steps = tuple(ev.PlanStep(step=each.step, status=each.status) for each in given.plan)
    turn.emit(ev.PlanUpdate(explanation=given.explanation, plan=steps))
    return "Plan updated"
