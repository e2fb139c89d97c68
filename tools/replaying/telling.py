"""What each event tells, in words: a table from event to `Told`, without memory of what came before.

Lines that only the model needs (contexts, encrypted parts) are details, shown on demand.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

from msgspec import UNSET, Struct

from projections.messages import is_user_input
from rollouts import events as ev

Kind: TypeAlias = Literal[
    "thread", "turn", "end", "settings", "user", "agent", "reasoning", "plan", "call", "output", "ran", "patch",
    "search", "image", "review", "hook", "approval", "agents", "usage", "context", "compaction", "rollback", "name",
    "git", "error", "note", "unknown", "damaged",
]  # fmt: skip


class Told(Struct, frozen=True):
    """What an event tells: kind, text, whether it is a detail, the turn if it names one, the call it is about."""

    kind: Kind
    text: str
    detail: bool = False
    turn: str | None = None
    call: str | None = None


def tell(body: ev.Body) -> Told | None:
    """What a line says; None if it says nothing that is not said elsewhere too."""
    telling = _TELL.get(type(body))
    return telling(body) if telling else None


def seconds(milliseconds: int | None) -> str:
    """` in 1.5 s`, or nothing."""
    return "" if milliseconds is None else f" in {milliseconds / 1000:.3g} s"


def settings(body: ev.TurnContext) -> str:
    """With what a turn ran: model, folder, approval, sandbox."""
    effort = f" ({body.effort})" if body.effort else ""
    sandbox = _TYPE.search(bytes(body.sandbox_policy))
    boxed = f", sandbox {sandbox[1].decode()}" if sandbox else ""
    approval = body.approval_policy if isinstance(body.approval_policy, str) else "granular"
    return f"{body.model}{effort} in {body.cwd}, approval {approval}{boxed}"


_TYPE: Final = re.compile(rb'"type"\s*:\s*"([^"\\]+)"')
_USER_SHELL: Final = re.compile(
    r"<user_shell_command>\s*<command>\n?(.*?)\n?</command>\s*<result>\n?(.*?)\n?</result>", re.DOTALL
)


def _texts(parts: Iterable[object]) -> str:
    return "".join(getattr(part, "text", "") for part in parts if getattr(part, "text", "") not in _LABELS)


_LABELS: Final = ("<image>", "</image>")


def _message(body: ev.Message) -> Told:
    text = _texts(body.content)
    if body.role == "assistant":
        return Told("agent", text)
    shell = _USER_SHELL.match(text) if body.role == "user" else None
    if shell is not None:
        return Told("ran", f"by the user: {shell[1]}\n{shell[2]}")
    return Told("user", text) if is_user_input(body) else Told("context", f"{body.role}: {text}", detail=True)


def _output(body: ev.FunctionCallOutput | ev.CustomToolCallOutput) -> Told:
    text = body.output if isinstance(body.output, str) else _texts(body.output)
    return Told("output", text or "(nothing)", call=body.call_id)


def _user(body: ev.UserMessage) -> Told:
    images = len(body.images or ()) + len(body.local_images)
    return Told("user", body.message or f"({images} images)")


def _item(body: ev.ItemCompleted) -> Told | None:
    tell = _ITEMS.get(type(body.item))
    return tell(body.item, body.turn_id) if tell else None


def _exec(body: ev.ExecCommandEnd) -> Told:
    took = seconds(body.duration.milliseconds)
    outcome = "declined" if body.status == "declined" else f"exit {body.exit_code}{took}"
    who = "by the user: " if body.source == "user_shell" else ""
    return Told("ran", f"{who}{shlex.join(body.command)} -> {outcome}", turn=body.turn_id)


def _command(item: ev.CommandExecutionItem, turn: str) -> Told:
    command = item.command if isinstance(item.command, str) else shlex.join(item.command)
    took = seconds(item.duration.milliseconds) if item.duration else ""
    return Told("ran", f"{command} -> exit {item.exit_code}{took}", turn=turn)


def _patch(body: ev.PatchApplyEnd) -> Told:
    changes = sorted(body.changes.items())
    files = ", ".join(_changed(path, change) for path, change in changes)
    texts = "".join(f"\n{path}\n{_difference(change)}" for path, change in changes)
    return Told("patch", f"{body.status}: {files}{texts}", turn=body.turn_id or None)


def _changed(path: str, change: ev.FileChange) -> str:
    if isinstance(change, ev.UpdateFile):
        return f"{path} -> {change.move_path}" if change.move_path else f"{path} changed"
    return f"{path} added" if isinstance(change, ev.AddFile) else f"{path} deleted"


def _difference(change: ev.FileChange) -> str:
    return change.unified_diff if isinstance(change, ev.UpdateFile) else change.content


def _mcp(body: ev.McpToolCallEnd) -> Told:
    error = body.result.err
    outcome = "ok" if error is UNSET else f"failed: {error}"
    call = f"{body.invocation.server}/{body.invocation.tool}"
    return Told("ran", f"{call} -> {outcome}{seconds(body.duration.milliseconds)}")


def _dynamic(body: ev.DynamicToolCallResponse) -> Told:
    outcome = "ok" if body.success else f"failed: {body.error}"
    return Told("ran", f"{body.tool} -> {outcome}{seconds(body.duration.milliseconds)}", turn=body.turn_id)


def _tool_run(body: ev.ToolRun) -> Told:
    code = "" if body.exit_code is None else f", exit {body.exit_code}"
    text = f"{body.tool} -> {body.status}{code}{seconds(body.duration_ms)}"
    return Told("ran", text, turn=body.turn_id, call=body.call_id)


def _review(body: ev.Review | ev.GuardianAssessment) -> Told:
    risk = f", risk {body.risk_level}" if body.risk_level else ""
    why = f" because: {body.rationale}" if body.rationale else ""
    return Told("review", f"{body.status}{risk}: {_action(body.action)}{why}", turn=body.turn_id or None)


def _action(action: ev.ReviewAction) -> str:
    """What was to be reviewed."""
    match action:
        case ev.CommandAction():
            return action.command
        case ev.ExecveAction():
            return shlex.join(action.argv)
        case ev.ApplyPatchAction():
            return f"patch of {', '.join(action.files)}"
        case ev.NetworkAccessAction():
            return f"connection to {action.target}"
        case ev.McpToolCallAction():
            return f"{action.server}/{action.tool_name}"
    return f"more permissions, {action.reason or 'without a reason'}"


def _hook(body: ev.HookRun) -> Told:
    said = "".join(f"; {entry.kind}: {entry.text}" for entry in body.run.entries)
    run = f"{body.run.event_name} {body.run.status}{seconds(body.run.duration_ms)}{said}"
    return Told("hook", run, turn=body.turn_id)


def _approval(body: ev.Approval) -> Told:
    text = f"{body.kind}: {body.decision} by {body.decided_by}"
    return Told("approval", text, turn=body.turn_id, call=body.call_id)


def _compacted(body: ev.Compacted) -> Told:
    kept = body.replacement_history
    new = "the user's messages and a summary" if kept is None else f"{len(kept)} items"
    summary = f": {body.message}" if body.message else ""
    return Told("compaction", f"the model goes on from {new} instead of the whole history{summary}")


def _rolled_back(body: ev.ThreadRolledBack) -> Told:
    last = "the last turn is" if body.num_turns == 1 else f"the last {body.num_turns} turns are"
    return Told("rollback", f"{last} taken back: neither shown nor told to the model any more")


def _error(body: ev.ErrorEvent | ev.TurnErrorLine) -> Told:
    kind = (
        body.codex_error_info if isinstance(body.codex_error_info, str) else next(iter(body.codex_error_info or ()), "")
    )
    named = f" ({kind})" if kind and kind != "other" else ""
    return Told("error", f"{body.message}{named}", turn=getattr(body, "turn_id", None))


def _search(action: ev.WebSearchAction | None) -> str:
    given = (action.query, action.url, action.pattern) if action else ()
    return " ".join(text for text in given if text) or "web search"


def _review_result(body: ev.ExitedReviewMode) -> Told:
    text = body.review_output.overall_explanation if body.review_output else "no answer"
    return Told("review", f"finished: {text}")


def _git(body: ev.ThreadMetadata) -> Told:
    members = ((name, getattr(body.git, name)) for name in body.git.__struct_fields__)
    return Told("git", ", ".join(f"{name} {value}" for name, value in members if value is not UNSET))


def _base(body: ev.HistoryBase) -> Told:
    return Told(
        "thread", f"goes on from the first {body.bytes:,} bytes of {body.thread_id}, which are not repeated here"
    )


_TELL: Final[Mapping[type, Callable[[Any], Told | None]]] = {
    ev.TurnContext: lambda body: Told("context", settings(body), detail=True),
    ev.Compacted: _compacted,
    ev.SessionState: lambda body: Told("note", "agent task registered" if body.agent_task else "no agent task"),
    ev.Message: _message,
    ev.Reasoning: lambda body: Told("reasoning", _texts(body.summary) or "(encrypted)", detail=not body.summary),
    ev.FunctionCall: lambda body: Told("call", f"{body.name} {body.arguments}", call=body.call_id),
    ev.FunctionCallOutput: _output,
    ev.CustomToolCall: lambda body: Told("call", f"{body.name} {body.input}", call=body.call_id),
    ev.CustomToolCallOutput: _output,
    ev.LocalShellCall: lambda body: Told("call", shlex.join(body.action.command), call=body.call_id),
    ev.WebSearchCall: lambda body: Told("search", _search(body.action)),
    ev.ImageGenerationCall: lambda body: Told("image", body.revised_prompt or body.status),
    ev.ToolSearchCall: lambda body: Told("call", f"tool search {bytes(body.arguments).decode()}"),
    ev.ToolSearchOutput: lambda body: Told("output", f"{len(body.tools)} tools found"),
    ev.GhostSnapshot: lambda _: Told("note", "snapshot of the workspace", detail=True),
    ev.Compaction: lambda _: Told("compaction", "(encrypted)", detail=True),
    ev.OtherItem: lambda body: Told("unknown", f"response_item {body.type}", detail=True),
    ev.TaskStarted: lambda body: Told("turn", body.turn_id, turn=body.turn_id),
    ev.TaskComplete: lambda body: Told("end", f"completed{seconds(body.duration_ms)}", turn=body.turn_id),
    ev.TurnAborted: lambda body: Told("end", f"{body.reason}{seconds(body.duration_ms)}", turn=body.turn_id),
    ev.UserMessage: _user,
    ev.AgentMessage: lambda body: Told("agent", body.message),
    ev.AgentReasoning: lambda body: Told("reasoning", body.text),
    ev.AgentReasoningRawContent: lambda body: Told("reasoning", body.text, detail=True),
    ev.ThreadNameUpdated: lambda body: Told("name", body.thread_name or "(none)"),
    ev.ThreadRolledBack: _rolled_back,
    ev.UndoCompleted: lambda body: Told("note", f"undo {'done' if body.success else 'failed'}"),
    ev.EnteredReviewMode: lambda body: Told("review", f"started: {body.user_facing_hint or 'review'}"),
    ev.ExitedReviewMode: _review_result,
    ev.ItemCompleted: _item,
    ev.ErrorEvent: _error,
    ev.GuardianAssessment: _review,
    ev.WebSearchEnd: lambda body: Told("search", body.query),
    ev.ImageGenerationEnd: lambda body: Told("image", body.saved_path or body.revised_prompt or body.status),
    ev.ExecCommandEnd: _exec,
    ev.PatchApplyEnd: _patch,
    ev.McpToolCallEnd: _mcp,
    ev.DynamicToolCallRequest: lambda body: Told("call", f"{body.tool} {bytes(body.arguments).decode()}"),
    ev.DynamicToolCallResponse: _dynamic,
    ev.ViewImageToolCall: lambda body: Told("image", body.path),
    ev.CollabAgentSpawnEnd: lambda body: Told("agents", f"{body.new_thread_id or 'nobody'} spawned: {body.prompt}"),
    ev.CollabAgentInteractionEnd: lambda body: Told("agents", f"{body.receiver_thread_id} told: {body.prompt}"),
    ev.CollabWaitingEnd: lambda body: Told("agents", f"waited for {', '.join(body.statuses) or 'nobody'}"),
    ev.CollabCloseEnd: lambda body: Told("agents", f"{body.receiver_thread_id} closed"),
    ev.CollabResumeEnd: lambda body: Told("agents", f"{body.receiver_thread_id} resumed"),
    ev.Review: _review,
    ev.HookRun: _hook,
    ev.Approval: _approval,
    ev.ToolRun: _tool_run,
    ev.TurnErrorLine: _error,
    ev.TurnInputs: lambda body: Told("context", f"inputs {body.digest}", detail=True),
    ev.ChildThread: lambda body: Told("agents", f"thread {body.thread_id} started ({body.relation})"),
    ev.ThreadMetadata: _git,
    ev.HistoryBase: _base,
    ev.Unknown: lambda body: Told("unknown", " ".join(filter(None, (body.type, body.subtype))), detail=True),
}

_ITEMS: Final[Mapping[type, Callable[[Any, str], Told]]] = {
    ev.UserMessageItem: lambda item, turn: Told("user", _texts(item.content) or "(images)", turn=turn),
    ev.AgentMessageItem: lambda item, turn: Told("agent", _texts(item.content), turn=turn),
    ev.PlanItem: lambda item, turn: Told("plan", item.text, turn=turn),
    ev.ReasoningItem: lambda item, turn: Told("reasoning", "".join(item.summary_text), turn=turn),
    ev.WebSearchItem: lambda item, turn: Told("search", item.query, turn=turn),
    ev.ImageGenerationItem: lambda item, turn: Told("image", item.saved_path or item.status, turn=turn),
    ev.CommandExecutionItem: _command,
}
