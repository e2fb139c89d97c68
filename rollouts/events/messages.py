"""Events about what was said: messages, reasoning, plans, turn items and their deltas.

Deltas and `item_started` are never written; `item_completed` only for plans (rollout-format.md 5).
"""

from msgspec import Raw

from rollouts.events.base import EMPTY, NULL, EventMsg, Int, Part
from rollouts.events.items import MemoryCitation, TextElement, TurnItem
from rollouts.events.response import Phase


class UserMessage(EventMsg, frozen=True):
    """What the user sent; `images` are URLs, `local_images` paths."""

    message: str
    images: tuple[str, ...] | None = None
    local_images: tuple[str, ...] = EMPTY
    text_elements: tuple[TextElement, ...] = EMPTY


class AgentMessage(EventMsg, frozen=True):
    """A message of the model; `phase` is commentary or final_answer."""

    message: str
    phase: Phase | None = NULL
    memory_citation: MemoryCitation | None = NULL


class AgentReasoning(EventMsg, frozen=True):
    """One part of a reasoning summary."""

    text: str


class AgentReasoningRawContent(EventMsg, frozen=True):
    """One part of raw reasoning."""

    text: str


class AgentReasoningSectionBreak(EventMsg, frozen=True):
    """A new part of a reasoning summary begins."""

    item_id: str
    summary_index: Int


class AgentMessageContentDelta(EventMsg, frozen=True):
    """More text of an agent message."""

    thread_id: str
    turn_id: str
    item_id: str
    delta: str


class PlanDelta(EventMsg, frozen=True):
    """More text of a plan."""

    thread_id: str
    turn_id: str
    item_id: str
    delta: str


class ReasoningContentDelta(EventMsg, frozen=True):
    """More text of a reasoning summary."""

    thread_id: str
    turn_id: str
    item_id: str
    delta: str
    summary_index: Int = 0


class ReasoningRawContentDelta(EventMsg, frozen=True):
    """More text of raw reasoning."""

    thread_id: str
    turn_id: str
    item_id: str
    delta: str
    content_index: Int = 0


class ItemStarted(EventMsg, frozen=True):
    """A turn item begins."""

    thread_id: str
    turn_id: str
    item: TurnItem


class ItemCompleted(EventMsg, frozen=True):
    """A turn item is done; the times (epoch milliseconds) are 0.169.0's."""

    thread_id: str
    turn_id: str
    item: TurnItem
    started_at_ms: Int | None = None
    completed_at_ms: Int | None = None


class RawResponseItem(EventMsg, frozen=True):
    """A response item as it came; for clients that ask for raw events."""

    item: Raw


class PlanStep(Part, frozen=True):
    """`status` is pending, in_progress or completed."""

    step: str
    status: str


class PlanUpdate(EventMsg, frozen=True):
    """The checklist of the update_plan tool."""

    explanation: str | None = NULL
    plan: tuple[PlanStep, ...] = EMPTY


class TurnDiff(EventMsg, frozen=True):
    """The git-style diff of the whole turn so far."""

    unified_diff: str


__all__ = [
    "AgentMessage",
    "AgentMessageContentDelta",
    "AgentReasoning",
    "AgentReasoningRawContent",
    "AgentReasoningSectionBreak",
    "ItemCompleted",
    "ItemStarted",
    "PlanDelta",
    "PlanStep",
    "PlanUpdate",
    "RawResponseItem",
    "ReasoningContentDelta",
    "ReasoningRawContentDelta",
    "TurnDiff",
    "UserMessage",
]
