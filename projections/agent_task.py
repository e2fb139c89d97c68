"""The registered agent task of a thread: the last `session_state` line wins, null clears it (agent-identity.md)."""

from __future__ import annotations

from rollouts import events as ev


def apply(state: ev.AgentTask | None, body: ev.Body) -> ev.AgentTask | None:
    """The task in force after a line."""
    return body.agent_task if isinstance(body, ev.SessionState) else state
