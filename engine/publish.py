"""What clients hear of an event: the second of the two tables every event goes through (design rule 2).

Pure: an event and the scene it happened in give notifications. Status changes are not here, they follow from the
overlay (`engine.overlay`), which the thread compares before and after.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET

from engine.notes import Audience, Everyone, Notification, Subscribers
from engine.overlay import Overlay
from engine.publish_tools import TOOLS
from projections import items, usage
from projections import protocol as p
from projections.item_parts import error_info
from rollouts import events as ev


class Scene(msgspec.Struct, frozen=True):
    """Where an event happened."""

    thread_id: str
    turn_id: str
    """The open turn, or the id of the submission that caused the event."""
    overlay: Overlay


Told = list[tuple[str, msgspec.Struct]]


def notifications(event: ev.Body, scene: Scene) -> list[Notification]:
    """The notifications of one event, in order; empty for events that only the log cares about."""
    tell = _TABLE.get(type(event))
    if tell is None:
        return []
    audience: Audience = Everyone() if type(event) in _BROADCAST else Subscribers(scene.thread_id)
    return [Notification(method, params, audience) for method, params in tell(scene, event)]


def status_note(thread_id: str, status: p.ThreadStatus) -> Notification:
    """A thread's status has changed: every client hears it."""
    return Notification(
        "thread/status/changed", p.ThreadStatusChangedNotification(thread_id=thread_id, status=status), Everyone()
    )


def _turn_started(scene: Scene, event: ev.TaskStarted) -> Told:
    return [("turn/started", p.TurnStartedNotification(thread_id=scene.thread_id, turn=scene.overlay.turn()))]


def _turn_ended(scene: Scene, event: ev.TaskComplete | ev.TurnAborted) -> Told:
    return [("turn/completed", p.TurnCompletedNotification(thread_id=scene.thread_id, turn=scene.overlay.turn()))]


def _item_started(scene: Scene, event: ev.ItemStarted) -> Told:
    item = items.thread_item(event.item)
    return [
        (
            "item/started",
            p.ItemStartedNotification(item=item, thread_id=scene.thread_id, turn_id=event.turn_id),
        )
    ]


def _item_completed(scene: Scene, event: ev.ItemCompleted) -> Told:
    item = items.thread_item(event.item)
    note = p.ItemCompletedNotification(item=item, thread_id=scene.thread_id, turn_id=event.turn_id)
    return [("item/completed", note)]


def _message_delta(scene: Scene, event: ev.AgentMessageContentDelta) -> Told:
    note = p.AgentMessageDeltaNotification(
        thread_id=scene.thread_id, turn_id=event.turn_id, item_id=event.item_id, delta=event.delta
    )
    return [("item/agentMessage/delta", note)]


def _summary_delta(scene: Scene, event: ev.ReasoningContentDelta) -> Told:
    note = p.ReasoningSummaryTextDeltaNotification(
        thread_id=scene.thread_id,
        turn_id=event.turn_id,
        item_id=event.item_id,
        delta=event.delta,
        summary_index=event.summary_index,
    )
    return [("item/reasoning/summaryTextDelta", note)]


def _raw_delta(scene: Scene, event: ev.ReasoningRawContentDelta) -> Told:
    note = p.ReasoningTextDeltaNotification(
        thread_id=scene.thread_id,
        turn_id=event.turn_id,
        item_id=event.item_id,
        delta=event.delta,
        content_index=event.content_index,
    )
    return [("item/reasoning/textDelta", note)]


def _plan_delta(scene: Scene, event: ev.PlanDelta) -> Told:
    note = p.PlanDeltaNotification(
        thread_id=scene.thread_id, turn_id=event.turn_id, item_id=event.item_id, delta=event.delta
    )
    return [("item/plan/delta", note)]


def _section_break(scene: Scene, event: ev.AgentReasoningSectionBreak) -> Told:
    note = p.ReasoningSummaryPartAddedNotification(
        thread_id=scene.thread_id,
        turn_id=scene.turn_id,
        item_id=event.item_id,
        summary_index=event.summary_index,
    )
    return [("item/reasoning/summaryPartAdded", note)]


def _plan(scene: Scene, event: ev.PlanUpdate) -> Told:
    steps = [p.TurnPlanStep(step=each.step, status=_STEP_STATUS[each.status]) for each in event.plan]
    note = p.TurnPlanUpdatedNotification(
        thread_id=scene.thread_id, turn_id=scene.turn_id, explanation=event.explanation, plan=steps
    )
    return [("turn/plan/updated", note)]


def _token_count(scene: Scene, event: ev.TokenCount) -> Told:
    told: Told = []
    if event.info is not None:
        told.append(("thread/tokenUsage/updated", usage_note(scene.thread_id, scene.turn_id, event.info)))
    if event.rate_limits is not None:
        limits = usage.rate_limits(event.rate_limits)
        told.append(("account/rateLimits/updated", p.AccountRateLimitsUpdatedNotification(rate_limits=limits)))
    return told


def usage_note(thread_id: str, turn_id: str, info: ev.TokenUsageInfo) -> p.ThreadTokenUsageUpdatedNotification:
    """The usage notification, live or replayed."""
    return p.ThreadTokenUsageUpdatedNotification(
        thread_id=thread_id, turn_id=turn_id, token_usage=usage.thread_usage(info)
    )


def _error(scene: Scene, event: ev.ErrorEvent) -> Told:
    error = p.TurnError(message=event.message, codex_error_info=error_info(event.codex_error_info))
    note = p.ErrorNotification(error=error, will_retry=False, thread_id=scene.thread_id, turn_id=scene.turn_id)
    return [("error", note)]


def _stream_error(scene: Scene, event: ev.StreamError) -> Told:
    error = p.TurnError(
        message=event.message,
        codex_error_info=error_info(event.codex_error_info),
        additional_details=event.additional_details,
    )
    note = p.ErrorNotification(error=error, will_retry=True, thread_id=scene.thread_id, turn_id=scene.turn_id)
    return [("error", note)]


def _warning(scene: Scene, event: ev.Warning) -> Told:
    return [("warning", p.WarningNotification(thread_id=scene.thread_id, message=event.message))]


def _entered_review(scene: Scene, event: ev.EnteredReviewMode) -> Told:
    turn_id = scene.turn_id
    item = items.event_item(event, turn_id)
    assert item is not None
    return [
        ("item/started", p.ItemStartedNotification(item=item, thread_id=scene.thread_id, turn_id=turn_id)),
        ("item/completed", p.ItemCompletedNotification(item=item, thread_id=scene.thread_id, turn_id=turn_id)),
    ]


def _exited_review(scene: Scene, event: ev.ExitedReviewMode) -> Told:
    turn_id = scene.turn_id
    item = items.live_exited_review(event, turn_id)
    return [
        ("item/started", p.ItemStartedNotification(item=item, thread_id=scene.thread_id, turn_id=turn_id)),
        ("item/completed", p.ItemCompletedNotification(item=item, thread_id=scene.thread_id, turn_id=turn_id)),
    ]


def _reroute(scene: Scene, event: ev.ModelReroute) -> Told:
    note = p.ModelReroutedNotification(
        thread_id=scene.thread_id,
        turn_id=scene.turn_id,
        from_model=event.from_model,
        to_model=event.to_model,
        reason="highRiskCyberActivity",
    )
    return [("model/rerouted", note)]


def _name(scene: Scene, event: ev.ThreadNameUpdated) -> Told:
    note = p.ThreadNameUpdatedNotification(
        thread_id=scene.thread_id, thread_name=UNSET if event.thread_name is None else event.thread_name
    )
    return [("thread/name/updated", note)]


_STEP_STATUS: dict[str, p.TurnPlanStepStatus] = {
    "pending": "pending",
    "in_progress": "inProgress",
    "completed": "completed",
}
_BROADCAST = frozenset({ev.ThreadNameUpdated})
_TABLE: dict[type, Callable[[Scene, Any], Told]] = {
    ev.TaskStarted: _turn_started,
    ev.TaskComplete: _turn_ended,
    ev.TurnAborted: _turn_ended,
    ev.ItemStarted: _item_started,
    ev.ItemCompleted: _item_completed,
    ev.AgentMessageContentDelta: _message_delta,
    ev.ReasoningContentDelta: _summary_delta,
    ev.ReasoningRawContentDelta: _raw_delta,
    ev.AgentReasoningSectionBreak: _section_break,
    ev.PlanDelta: _plan_delta,
    ev.PlanUpdate: _plan,
    ev.TokenCount: _token_count,
    ev.ErrorEvent: _error,
    ev.StreamError: _stream_error,
    ev.Warning: _warning,
    ev.ModelReroute: _reroute,
    ev.EnteredReviewMode: _entered_review,
    ev.ExitedReviewMode: _exited_review,
    ev.ThreadNameUpdated: _name,
    **TOOLS,
}
