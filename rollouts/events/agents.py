"""Events of sub-agents: spawn, message, wait, close and resume.

`status` is a word (`pending_init`, `running`, `interrupted`, `shutdown`, `not_found`) or an object with the
last message (`{"completed": text or null}`) or the error (`{"errored": text}`).
"""

from typing import Literal, TypeAlias

from rollouts.events.base import NULL, EventMsg, Part

AgentStatus: TypeAlias = (
    Literal["pending_init", "running", "interrupted", "shutdown", "not_found"]
    | dict[Literal["completed", "errored"], str | None]
)


class AgentRef(Part, frozen=True):
    """A sub-agent by id, with what it is called."""

    thread_id: str
    agent_nickname: str | None = None
    agent_role: str | None = None


class AgentStatusEntry(Part, frozen=True, kw_only=True):
    """A sub-agent and its state."""

    thread_id: str
    agent_nickname: str | None = None
    agent_role: str | None = None
    status: AgentStatus


class CollabAgentSpawnBegin(EventMsg, frozen=True):
    """A sub-agent is being spawned."""

    call_id: str
    sender_thread_id: str
    prompt: str
    model: str
    reasoning_effort: str


class CollabAgentSpawnEnd(EventMsg, frozen=True, kw_only=True):
    """A sub-agent was spawned, or not (`new_thread_id` null)."""

    call_id: str
    sender_thread_id: str
    new_thread_id: str | None = NULL
    new_agent_nickname: str | None = None
    new_agent_role: str | None = None
    prompt: str
    model: str
    reasoning_effort: str
    status: AgentStatus


class CollabAgentInteractionBegin(EventMsg, frozen=True):
    """A message is being sent to a sub-agent."""

    call_id: str
    sender_thread_id: str
    receiver_thread_id: str
    prompt: str


class CollabAgentInteractionEnd(EventMsg, frozen=True, kw_only=True):
    """A message was sent to a sub-agent."""

    call_id: str
    sender_thread_id: str
    receiver_thread_id: str
    receiver_agent_nickname: str | None = None
    receiver_agent_role: str | None = None
    prompt: str
    status: AgentStatus


class CollabWaitingBegin(EventMsg, frozen=True, kw_only=True):
    """The parent waits for sub-agents."""

    sender_thread_id: str
    receiver_thread_ids: tuple[str, ...]
    receiver_agents: tuple[AgentRef, ...] = ()
    call_id: str


class CollabWaitingEnd(EventMsg, frozen=True, kw_only=True):
    """The wait is over; states by thread id."""

    sender_thread_id: str
    call_id: str
    agent_statuses: tuple[AgentStatusEntry, ...] = ()
    statuses: dict[str, AgentStatus]


class CollabCloseBegin(EventMsg, frozen=True):
    """A sub-agent is being closed."""

    call_id: str
    sender_thread_id: str
    receiver_thread_id: str


class CollabCloseEnd(EventMsg, frozen=True, kw_only=True):
    """A sub-agent was closed; `status` is its state before."""

    call_id: str
    sender_thread_id: str
    receiver_thread_id: str
    receiver_agent_nickname: str | None = None
    receiver_agent_role: str | None = None
    status: AgentStatus


class CollabResumeBegin(EventMsg, frozen=True):
    """A sub-agent is being loaded again."""

    call_id: str
    sender_thread_id: str
    receiver_thread_id: str
    receiver_agent_nickname: str | None = None
    receiver_agent_role: str | None = None


class CollabResumeEnd(EventMsg, frozen=True, kw_only=True):
    """A sub-agent was loaded again."""

    call_id: str
    sender_thread_id: str
    receiver_thread_id: str
    receiver_agent_nickname: str | None = None
    receiver_agent_role: str | None = None
    status: AgentStatus


__all__ = [
    "AgentRef",
    "AgentStatus",
    "AgentStatusEntry",
    "CollabAgentInteractionBegin",
    "CollabAgentInteractionEnd",
    "CollabAgentSpawnBegin",
    "CollabAgentSpawnEnd",
    "CollabCloseBegin",
    "CollabCloseEnd",
    "CollabResumeBegin",
    "CollabResumeEnd",
    "CollabWaitingBegin",
    "CollabWaitingEnd",
]
