"""Events into thread items: the only place, for written, begun and 0.169.0 events, live and rebuilt alike.

An item's id is a parameter. Live it is the model's or a uuid; rebuilt it is `item-<k>` for what has no id of its own
(thread-lifecycle.md 15). Tool calls keep their call id in both, which is what `own_id` gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from projections import protocol as p
from projections.item_parts import (
    COMMAND_SOURCES,
    agent_failed,
    agent_state,
    command_actions,
    dynamic_content,
    file_changes,
    mcp_result,
    memory_citation,
    message_phase,
    review_summary,
    review_text,
    reviewed_command,
    user_inputs,
    user_message_content,
    web_search_action,
)
from projections.messages import hook_prompt
from projections.quoting import join
from rollouts import events as ev

REVIEW_REQUESTED = "Review requested."


def thread_item(item: ev.TurnItem) -> p.ThreadItem:
    """A turn item, as `item_started` and `item_completed` carry it, in its published form."""
    return _TURN_ITEMS[type(item)](item)


def event_item(event: object, item_id: str) -> p.ThreadItem | None:
    """What an event shows in a turn, under the given id; None if it shows nothing.

    Takes line bodies and live events of any kind. Reasoning events give an item of their own; joining neighbours is up
    to the turn.
    """
    make = _EVENTS.get(type(event))
    return None if make is None else make(event, item_id)


def own_id(event: object) -> str | None:
    """The id an event brings for its item; None if it has none (numbered items) or shows nothing."""
    find = _OWN_IDS.get(type(event))
    return None if find is None else find(event)


def live_exited_review(event: ev.ExitedReviewMode, item_id: str) -> p.ExitedReviewModeThreadItem:
    """The end of a review as live clients see it: with its findings, which rebuilt turns leave out."""
    return p.ExitedReviewModeThreadItem(id=item_id, review=review_text(event.review_output))


def _command_end(event: ev.ExecCommandEnd, item_id: str) -> p.ThreadItem:
    return p.CommandExecutionThreadItem(
        id=item_id,
        command=join(event.command),
        cwd=event.cwd,
        process_id=event.process_id,
        source=COMMAND_SOURCES[event.source],
        status=event.status,
        command_actions=command_actions(event.parsed_cmd, event.cwd),
        aggregated_output=event.aggregated_output or None,
        exit_code=event.exit_code,
        duration_ms=event.duration.milliseconds,
    )


def _command_begin(event: ev.ExecCommandBegin, item_id: str) -> p.ThreadItem:
    return p.CommandExecutionThreadItem(
        id=item_id,
        command=join(event.command),
        cwd=event.cwd,
        process_id=event.process_id,
        source=COMMAND_SOURCES[event.source],
        status="inProgress",
        command_actions=command_actions(event.parsed_cmd, event.cwd),
    )


_REVIEW_STATUSES: Mapping[str, p.CommandExecutionStatus] = {
    "in_progress": "inProgress",
    "denied": "declined",
    "aborted": "declined",
    "timed_out": "failed",
}


def _assessment(event: ev.GuardianAssessment, item_id: str) -> p.ThreadItem | None:
    status = _REVIEW_STATUSES.get(event.status)
    about = reviewed_command(event.action)
    if status is None or about is None:
        return None
    command, cwd = about
    return p.CommandExecutionThreadItem(
        id=item_id,
        command=command,
        cwd=cwd,
        status=status,
        command_actions=[p.UnknownCommandAction(command=command)],
    )


def _assessment_id(event: ev.GuardianAssessment) -> str | None:
    shown = event.status in _REVIEW_STATUSES and reviewed_command(event.action) is not None
    return event.target_item_id if shown else None


def _patch(changes: Mapping[str, ev.FileChange], status: p.PatchApplyStatus, item_id: str) -> p.ThreadItem:
    return p.FileChangeThreadItem(id=item_id, changes=file_changes(changes), status=status)


def _mcp_begin(event: ev.McpToolCallBegin, item_id: str) -> p.ThreadItem:
    return p.McpToolCallThreadItem(
        id=item_id,
        server=event.invocation.server,
        tool=event.invocation.tool,
        status="inProgress",
        arguments=event.invocation.arguments,
        mcp_app_resource_uri=event.mcp_app_resource_uri or msgspec.UNSET,
    )


def _mcp_end(event: ev.McpToolCallEnd, item_id: str) -> p.ThreadItem:
    status, result, error = mcp_result(event.result)
    return p.McpToolCallThreadItem(
        id=item_id,
        server=event.invocation.server,
        tool=event.invocation.tool,
        status=status,
        arguments=event.invocation.arguments,
        mcp_app_resource_uri=event.mcp_app_resource_uri or msgspec.UNSET,
        result=result,
        error=error,
        duration_ms=event.duration.milliseconds,
    )


def _dynamic_request(event: ev.DynamicToolCallRequest, item_id: str) -> p.ThreadItem:
    return p.DynamicToolCallThreadItem(
        id=item_id,
        namespace=event.namespace,
        tool=event.tool,
        arguments=event.arguments,
        status="inProgress",
    )


def _dynamic_response(event: ev.DynamicToolCallResponse, item_id: str) -> p.ThreadItem:
    return p.DynamicToolCallThreadItem(
        id=item_id,
        namespace=event.namespace,
        tool=event.tool,
        arguments=event.arguments,
        status="completed" if event.success else "failed",
        content_items=dynamic_content(event.content_items),
        success=event.success,
        duration_ms=event.duration.milliseconds,
    )


def _agent_call(
    event: Any,
    item_id: str,
    tool: p.CollabAgentTool,
    receivers: list[str],
    states: Mapping[str, ev.AgentStatus] | None,
    *,
    failed: bool = False,
) -> p.ThreadItem:
    """A call to sub-agents; `states` None while it runs."""
    done: p.CollabAgentToolCallStatus = "failed" if failed else "completed"
    return p.CollabAgentToolCallThreadItem(
        id=item_id,
        tool=tool,
        status="inProgress" if states is None else done,
        sender_thread_id=event.sender_thread_id,
        receiver_thread_ids=receivers,
        prompt=getattr(event, "prompt", None),
        model=getattr(event, "model", None),
        reasoning_effort=getattr(event, "reasoning_effort", None),
        agents_states={agent: agent_state(status) for agent, status in (states or {}).items()},
    )


def _spawn_end(event: ev.CollabAgentSpawnEnd, item_id: str) -> p.ThreadItem:
    new = event.new_thread_id
    failed = new is None or agent_failed(event.status)
    receivers, states = ([], {}) if new is None else ([new], {new: event.status})
    return _agent_call(event, item_id, "spawnAgent", receivers, states, failed=failed)


def _agent_begin(tool: p.CollabAgentTool) -> Callable[[Any, str], p.ThreadItem]:
    return lambda event, item_id: _agent_call(event, item_id, tool, [event.receiver_thread_id], None)


def _agent_end(tool: p.CollabAgentTool) -> Callable[[Any, str], p.ThreadItem]:
    def make(event: Any, item_id: str) -> p.ThreadItem:
        receiver = event.receiver_thread_id
        states = {receiver: event.status}
        return _agent_call(event, item_id, tool, [receiver], states, failed=agent_failed(event.status))

    return make


def _waiting_end(event: ev.CollabWaitingEnd, item_id: str) -> p.ThreadItem:
    failed = any(map(agent_failed, event.statuses.values()))
    return _agent_call(event, item_id, "wait", sorted(event.statuses), event.statuses, failed=failed)


def _agent_message(event: ev.AgentMessage, item_id: str) -> p.ThreadItem | None:
    if not event.message:
        return None
    return p.AgentMessageThreadItem(
        id=item_id,
        text=event.message,
        phase=message_phase(event.phase),
        memory_citation=memory_citation(event.memory_citation),
    )


def _image_end(event: ev.ImageGenerationEnd | ev.ImageGenerationItem, item_id: str) -> p.ThreadItem:
    return p.ImageGenerationThreadItem(
        id=item_id,
        status=event.status,
        revised_prompt=event.revised_prompt,
        result=event.result,
        saved_path=event.saved_path or msgspec.UNSET,
    )


def _hook_prompt(fragments: tuple[ev.HookPromptFragment, ...], item_id: str) -> p.ThreadItem:
    shown = [p.HookPromptFragment(text=part.text, hook_run_id=part.hook_run_id) for part in fragments]
    return p.HookPromptThreadItem(id=item_id, fragments=shown)


def _hook_message(message: ev.Message, item_id: str) -> p.ThreadItem | None:
    fragments = hook_prompt(message)
    return _hook_prompt(fragments, item_id) if fragments else None


def _of_turn_item(event: ev.ItemStarted | ev.ItemCompleted, item_id: str) -> p.ThreadItem | None:
    return None if _is_empty_plan(event.item) else thread_item(event.item)


def _turn_item_id(event: ev.ItemStarted | ev.ItemCompleted) -> str | None:
    return None if _is_empty_plan(event.item) else event.item.id


def _is_empty_plan(item: ev.TurnItem) -> bool:
    return isinstance(item, ev.PlanItem) and not item.text


_EVENTS: Mapping[type, Callable[[Any, str], p.ThreadItem | None]] = {
    ev.UserMessage: lambda e, i: p.UserMessageThreadItem(id=i, content=user_message_content(e)),
    ev.AgentMessage: _agent_message,
    ev.AgentReasoning: lambda e, i: p.ReasoningThreadItem(id=i, summary=[e.text]) if e.text else None,
    ev.AgentReasoningRawContent: lambda e, i: p.ReasoningThreadItem(id=i, content=[e.text]) if e.text else None,
    ev.Message: _hook_message,
    ev.ItemStarted: _of_turn_item,
    ev.ItemCompleted: _of_turn_item,
    ev.ExecCommandBegin: _command_begin,
    ev.ExecCommandEnd: _command_end,
    ev.GuardianAssessment: _assessment,
    ev.PatchApplyBegin: lambda e, i: _patch(e.changes, "inProgress", i),
    ev.PatchApplyEnd: lambda e, i: _patch(e.changes, e.status, i),
    ev.ApplyPatchApprovalRequest: lambda e, i: _patch(e.changes, "inProgress", i),
    ev.McpToolCallBegin: _mcp_begin,
    ev.McpToolCallEnd: _mcp_end,
    ev.WebSearchBegin: lambda _, i: p.WebSearchThreadItem(id=i, query=""),
    ev.WebSearchEnd: lambda e, i: p.WebSearchThreadItem(id=i, query=e.query, action=web_search_action(e.action)),
    ev.ViewImageToolCall: lambda e, i: p.ImageViewThreadItem(id=i, path=e.path),
    ev.ImageGenerationBegin: lambda _, i: p.ImageGenerationThreadItem(id=i, status="", result=""),
    ev.ImageGenerationEnd: _image_end,
    ev.DynamicToolCallRequest: _dynamic_request,
    ev.DynamicToolCallResponse: _dynamic_response,
    ev.CollabAgentSpawnBegin: lambda e, i: _agent_call(e, i, "spawnAgent", [], None),
    ev.CollabAgentSpawnEnd: _spawn_end,
    ev.CollabAgentInteractionBegin: _agent_begin("sendInput"),
    ev.CollabAgentInteractionEnd: _agent_end("sendInput"),
    ev.CollabWaitingBegin: lambda e, i: _agent_call(e, i, "wait", list(e.receiver_thread_ids), None),
    ev.CollabWaitingEnd: _waiting_end,
    ev.CollabCloseBegin: _agent_begin("closeAgent"),
    ev.CollabCloseEnd: _agent_end("closeAgent"),
    ev.CollabResumeBegin: _agent_begin("resumeAgent"),
    ev.CollabResumeEnd: _agent_end("resumeAgent"),
    ev.ContextCompacted: lambda _, i: p.ContextCompactionThreadItem(id=i),
    ev.EnteredReviewMode: lambda e, i: p.EnteredReviewModeThreadItem(
        id=i, review=REVIEW_REQUESTED if e.user_facing_hint is None else e.user_facing_hint
    ),
    ev.ExitedReviewMode: lambda e, i: p.ExitedReviewModeThreadItem(id=i, review=review_summary(e.review_output)),
}

_CALLS = (
    ev.ExecCommandBegin,
    ev.ExecCommandEnd,
    ev.PatchApplyBegin,
    ev.PatchApplyEnd,
    ev.ApplyPatchApprovalRequest,
    ev.McpToolCallBegin,
    ev.McpToolCallEnd,
    ev.WebSearchBegin,
    ev.WebSearchEnd,
    ev.ViewImageToolCall,
    ev.ImageGenerationBegin,
    ev.ImageGenerationEnd,
    ev.DynamicToolCallRequest,
    ev.DynamicToolCallResponse,
    ev.CollabAgentSpawnBegin,
    ev.CollabAgentSpawnEnd,
    ev.CollabAgentInteractionBegin,
    ev.CollabAgentInteractionEnd,
    ev.CollabWaitingBegin,
    ev.CollabWaitingEnd,
    ev.CollabCloseBegin,
    ev.CollabCloseEnd,
    ev.CollabResumeBegin,
    ev.CollabResumeEnd,
)

_OWN_IDS: Mapping[type, Callable[[Any], str | None]] = {
    **dict.fromkeys(_CALLS, lambda event: cast("str", event.call_id)),
    ev.GuardianAssessment: _assessment_id,
    ev.ItemStarted: _turn_item_id,
    ev.ItemCompleted: _turn_item_id,
}


def _command_item(item: ev.CommandExecutionItem) -> p.ThreadItem:
    """0.169.0 writes commands as items; what it leaves out reads as unknown."""
    cwd = item.cwd or ""
    command = item.command if isinstance(item.command, str) else join(item.command)
    parsed = [part for raw in item.parsed_cmd if (part := _parsed_command(raw)) is not None]
    return p.CommandExecutionThreadItem(
        id=item.id,
        command=command,
        cwd=cwd,
        process_id=item.process_id,
        source=COMMAND_SOURCES.get(item.source or "", "agent"),
        status=_ITEM_STATUSES.get(item.status or "", "inProgress"),
        command_actions=command_actions(parsed, cwd),
        aggregated_output=item.aggregated_output or None,
        exit_code=item.exit_code,
        duration_ms=None if item.duration is None else item.duration.milliseconds,
    )


_ITEM_STATUSES: Mapping[str, p.CommandExecutionStatus] = {
    "completed": "completed",
    "failed": "failed",
    "declined": "declined",
}


def _parsed_command(raw: msgspec.Raw) -> ev.ParsedCommand | None:
    try:
        return cast("ev.ParsedCommand", msgspec.json.decode(raw, type=ev.ParsedCommand))
    except msgspec.DecodeError:
        return None


def _agent_message_item(item: ev.AgentMessageItem) -> p.ThreadItem:
    return p.AgentMessageThreadItem(
        id=item.id,
        text="".join(part.text for part in item.content),
        phase=message_phase(item.phase),
        memory_citation=memory_citation(item.memory_citation),
    )


_TURN_ITEMS: Mapping[type, Callable[[Any], p.ThreadItem]] = {
    ev.UserMessageItem: lambda t: p.UserMessageThreadItem(id=t.id, content=user_inputs(t.content)),
    ev.HookPromptItem: lambda t: _hook_prompt(t.fragments, t.id),
    ev.AgentMessageItem: _agent_message_item,
    ev.PlanItem: lambda t: p.PlanThreadItem(id=t.id, text=t.text),
    ev.ReasoningItem: lambda t: p.ReasoningThreadItem(
        id=t.id, summary=list(t.summary_text), content=list(t.raw_content)
    ),
    ev.WebSearchItem: lambda t: p.WebSearchThreadItem(id=t.id, query=t.query, action=web_search_action(t.action)),
    ev.ImageGenerationItem: lambda t: _image_end(t, t.id),
    ev.ContextCompactionItem: lambda t: p.ContextCompactionThreadItem(id=t.id),
    ev.CommandExecutionItem: _command_item,
}
