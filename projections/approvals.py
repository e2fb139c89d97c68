"""Decisions on approvals, newest last: who allowed or refused what.

For people who ask what happened. They grant nothing: grants end with the process (design, rule 6).
"""

from __future__ import annotations

from projections.recent import Recent
from rollouts import events as ev

Approvals = Recent[ev.Approval]


def apply(state: Approvals, body: ev.Body) -> Approvals:
    """The state after a line; the same object if the line is no decision."""
    return state.add(body) if isinstance(body, ev.Approval) else state
