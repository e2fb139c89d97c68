"""Hook runs that ended, newest last. A run without its line never ended, and what it would have said is unknown."""

from __future__ import annotations

from projections.recent import Recent
from rollouts import events as ev

HookRuns = Recent[ev.HookRun]


def apply(state: HookRuns, body: ev.Body) -> HookRuns:
    """The state after a line; the same object if the line is no hook run."""
    return state.add(body) if isinstance(body, ev.HookRun) else state
