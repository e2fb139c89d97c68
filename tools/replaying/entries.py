"""The timeline: one entry for each line that tells something, in words for people and fields for programs.

A table from event to entry. What the reference writes twice, as an event and as a response item, is told once; lines
that only the model needs (contexts, encrypted parts) are details, shown on demand. Nothing is decided here, only told.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

from msgspec import UNSET, Struct

from projections.messages import is_user_input
from rollouts import codec
from rollouts import events as ev
from rollouts.lines import Record

Kind: TypeAlias = Literal[
    "thread", "turn", "end", "user", "agent", "reasoning", "plan", "call", "output", "ran", "patch", "search",
    "image", "review", "hook", "approval", "agents", "usage", "context", "compaction", "rollback", "name", "git",
    "error", "note", "unknown", "damaged",
]  # fmt: skip


class Entry(Struct, frozen=True, omit_defaults=True):
    """One line, told.

    `line` counts from 1, `offset` is where it begins in bytes, `time` as written ("" for a damaged line), `turn` the
    id of the turn it belongs to. A `detail` is left out unless asked for.
    """

    line: int
    offset: int
    time: str
    kind: Kind
    text: str
    turn: str | None = None
    detail: bool = False


class Told(Struct, frozen=True):
    """What an event tells: kind, text, whether it is a detail, and the turn if it names one."""

    kind: Kind
    text: str
    detail: bool = False
    turn: str | None = None


def entries(records: Iterable[Record]) -> Iterator[Entry]:
    """The timeline of lines from the start of a rollout."""
    teller = Teller()
    for number, record in enumerate(records, 1):
        entry = teller.entry(number, record)
        if entry is not None:
            yield entry


class Teller:
    """Tells lines one after the other; remembers the open turn and what was told last."""

    def __init__(self) -> None:
        self._thread = ""
        self._turn: str | None = None
        self._parsed = 0
        self._echoes: dict[Kind, tuple[bool, str]] = {}
        self._total = 0

    def entry(self, number: int, record: Record) -> Entry | None:
        """The entry of the next line, None if it tells nothing new."""
        line = codec.decode(record.data)
        if isinstance(line, codec.BadLine):
            if not record.data.strip():
                return None
            text = "torn last line" if record.torn else line.reason
            return Entry(number, record.offset, "", "damaged", text, self._turn)
        told = self._told(line.body)
        self._parsed += codec.counts(line.body)
        if told is None:
            return None
        turn = told.turn or self._turn
        return Entry(number, record.offset, line.timestamp, told.kind, told.text, turn, told.detail)

    def _told(self, body: ev.Body) -> Told | None:
        self._follow(body)
        match body:
            case ev.SessionMeta():
                return self._meta(body)
            case ev.TokenCount():
                return self._usage(body)
            case ev.TaskComplete() | ev.TurnAborted():
                told = _TELL[type(body)](body)
                self._turn = None
                return told
        tell = _TELL.get(type(body))
        told = tell(body) if tell else None
        return None if told is None or self._is_echo(told, isinstance(body, ev.ResponseItem)) else told

    def _follow(self, body: ev.Body) -> None:
        """Keep track of the open turn, also of those that no event opens (spec thread-lifecycle 15)."""
        if isinstance(body, ev.TaskStarted):
            self._turn = body.turn_id
            self._echoes.clear()
        elif isinstance(body, ev.UserMessage) and (self._turn is None or self._turn.startswith(_IMPLICIT)):
            self._turn = f"{_IMPLICIT}{self._parsed}"

    def _is_echo(self, told: Told, item: bool) -> bool:
        """Whether the other form of the same words was told before."""
        if told.kind not in _ECHOED:
            return False
        before = self._echoes.get(told.kind)
        if before is not None and before[0] != item and told.text and told.text in before[1]:
            return True
        known = before[1] + "\n" if before is not None and before[0] == item else ""
        self._echoes[told.kind] = (item, known + told.text)
        return False

    def _meta(self, body: ev.SessionMeta) -> Told:
        if self._thread and body.id != self._thread:
            return Told("thread", f"copied from {body.id}", detail=True)
        again, self._thread = bool(self._thread), body.id
        if again:
            return Told("thread", f"memory mode {body.memory_mode or 'default'}")
        origin = f", fork of {body.forked_from_id}" if body.forked_from_id else ""
        return Told("thread", f"{body.id} by {body.originator} {body.cli_version} in {body.cwd}{origin}")

    def _usage(self, body: ev.TokenCount) -> Told | None:
        if body.info is None:
            return Told("usage", "rate limits only", detail=True)
        total, last = body.info.total_token_usage.total_tokens, body.info.last_token_usage
        if total == self._total:
            return Told("usage", f"{total:,} tokens, as before", detail=True)
        self._total = total
        cached = f" ({last.cached_input_tokens:,} cached)" if last.cached_input_tokens else ""
        return Told("usage", f"{last.input_tokens:,} in{cached}, {last.output_tokens:,} out, {total:,} in all")


_IMPLICIT: Final = "rollout-"
_ECHOED: Final = ("user", "agent", "reasoning")


def _texts(parts: Iterable[object]) -> str:
    return "".join(getattr(part, "text", "") for part in parts if getattr(part, "text", "") not in _LABELS)


_LABELS: Final = ("<image>", "</image>")


def _message(body: ev.Message) -> Told:
    text = _texts(body.content)
    if body.role == "assistant":
        return Told("agent", text)
    return Told("user", text) if is_user_input(body) else Told("context", f"{body.role}: {text}", detail=True)


def _output(body: ev.FunctionCallOutput | ev.CustomToolCallOutput) -> Told:
    text = body.output if isinstance(body.output, str) else _texts(body.output)
    return Told("output", text or "(nothing)")


def _user(body: ev.UserMessage) -> Told:
    images = len(body.images or ()) + len(body.local_images)
    return Told("user", body.message or f"({images} images)")


def _item(body: ev.ItemCompleted) -> Told | None:
    tell = _ITEMS.get(type(body.item))
    return tell(body.item, body.turn_id) if tell else None


def _seconds(milliseconds: int | None) -> str:
    return "" if milliseconds is None else f" in {milliseconds / 1000:.3g} s"


def _exec(body: ev.ExecCommandEnd) -> Told:
    took = _seconds(body.duration.milliseconds)
    return Told("ran", f"{shlex.join(body.command)} -> exit {body.exit_code}{took}", turn=body.turn_id)


def _command(item: ev.CommandExecutionItem, turn: str) -> Told:
    command = item.command if isinstance(item.command, str) else shlex.join(item.command)
    took = _seconds(item.duration.milliseconds) if item.duration else ""
    return Told("ran", f"{command} -> exit {item.exit_code}{took}", turn=turn)


def _patch(body: ev.PatchApplyEnd) -> Told:
    return Told("patch", f"{body.status}: {', '.join(sorted(body.changes))}", turn=body.turn_id or None)


def _mcp(body: ev.McpToolCallEnd) -> Told:
    error = body.result.err
    outcome = "ok" if error is UNSET else f"failed: {error}"
    call = f"{body.invocation.server}/{body.invocation.tool}"
    return Told("ran", f"{call} -> {outcome}{_seconds(body.duration.milliseconds)}")


def _dynamic(body: ev.DynamicToolCallResponse) -> Told:
    outcome = "ok" if body.success else f"failed: {body.error}"
    return Told("ran", f"{body.tool} -> {outcome}{_seconds(body.duration.milliseconds)}", turn=body.turn_id)


def _tool_run(body: ev.ToolRun) -> Told:
    code = "" if body.exit_code is None else f", exit {body.exit_code}"
    return Told("ran", f"{body.tool} -> {body.status}{code}{_seconds(body.duration_ms)}", turn=body.turn_id)


def _review(body: ev.Review | ev.GuardianAssessment) -> Told:
    risk = f", risk {body.risk_level}" if body.risk_level else ""
    why = f": {body.rationale}" if body.rationale else ""
    return Told("review", f"{body.status}{risk}{why}", turn=body.turn_id or None)


def _hook(body: ev.HookRun) -> Told:
    said = "".join(f"; {entry.kind}: {entry.text}" for entry in body.run.entries)
    run = f"{body.run.event_name} {body.run.status}{_seconds(body.run.duration_ms)}{said}"
    return Told("hook", run, turn=body.turn_id)


def _approval(body: ev.Approval) -> Told:
    return Told("approval", f"{body.kind} {body.decision} by {body.decided_by}", turn=body.turn_id)


def _compacted(body: ev.Compacted) -> Told:
    kept = body.replacement_history
    return Told("compaction", "the summary replaces the history" if kept is None else f"{len(kept)} items are kept")


def _search(action: ev.WebSearchAction | None) -> str:
    given = (action.query, action.url, action.pattern) if action else ()
    return " ".join(text for text in given if text) or "web search"


def _context(body: ev.TurnContext) -> Told:
    effort = f" ({body.effort})" if body.effort else ""
    return Told("context", f"{body.model}{effort} in {body.cwd}, approval {body.approval_policy}", detail=True)


def _review_result(body: ev.ExitedReviewMode) -> Told:
    text = body.review_output.overall_explanation if body.review_output else "no answer"
    return Told("review", f"finished: {text}")


def _git(body: ev.ThreadMetadata) -> Told:
    members = ((name, getattr(body.git, name)) for name in body.git.__struct_fields__)
    return Told("git", ", ".join(f"{name} {value}" for name, value in members if value is not UNSET))


def _base(body: ev.HistoryBase) -> Told:
    return Told("thread", f"continues the first {body.bytes:,} bytes of {body.thread_id}")


_TELL: Final[Mapping[type, Callable[[Any], Told | None]]] = {
    ev.TurnContext: _context,
    ev.Compacted: _compacted,
    ev.SessionState: lambda body: Told("note", "agent task registered" if body.agent_task else "no agent task"),
    ev.Message: _message,
    ev.Reasoning: lambda body: Told("reasoning", _texts(body.summary) or "(encrypted)", detail=not body.summary),
    ev.FunctionCall: lambda body: Told("call", f"{body.name} {body.arguments}"),
    ev.FunctionCallOutput: _output,
    ev.CustomToolCall: lambda body: Told("call", f"{body.name} {body.input}"),
    ev.CustomToolCallOutput: _output,
    ev.LocalShellCall: lambda body: Told("call", shlex.join(body.action.command)),
    ev.WebSearchCall: lambda body: Told("search", _search(body.action)),
    ev.ImageGenerationCall: lambda body: Told("image", body.revised_prompt or body.status),
    ev.ToolSearchCall: lambda body: Told("call", f"tool search {bytes(body.arguments).decode()}"),
    ev.ToolSearchOutput: lambda body: Told("output", f"{len(body.tools)} tools found"),
    ev.GhostSnapshot: lambda _: Told("note", "snapshot of the workspace", detail=True),
    ev.Compaction: lambda _: Told("compaction", "(encrypted)", detail=True),
    ev.OtherItem: lambda body: Told("unknown", f"response_item {body.type}", detail=True),
    ev.TaskStarted: lambda body: Told("turn", body.turn_id, turn=body.turn_id),
    ev.TaskComplete: lambda body: Told("end", f"completed{_seconds(body.duration_ms)}", turn=body.turn_id),
    ev.TurnAborted: lambda body: Told("end", f"{body.reason}{_seconds(body.duration_ms)}", turn=body.turn_id),
    ev.UserMessage: _user,
    ev.AgentMessage: lambda body: Told("agent", body.message),
    ev.AgentReasoning: lambda body: Told("reasoning", body.text),
    ev.AgentReasoningRawContent: lambda body: Told("reasoning", body.text, detail=True),
    ev.ThreadNameUpdated: lambda body: Told("name", body.thread_name or "(none)"),
    ev.ThreadRolledBack: lambda body: Told("rollback", f"the last {body.num_turns} dropped"),
    ev.UndoCompleted: lambda body: Told("note", f"undo {'done' if body.success else 'failed'}"),
    ev.EnteredReviewMode: lambda body: Told("review", f"started: {body.user_facing_hint or 'review'}"),
    ev.ExitedReviewMode: _review_result,
    ev.ItemCompleted: _item,
    ev.ErrorEvent: lambda body: Told("error", body.message),
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
    ev.TurnErrorLine: lambda body: Told("error", body.message, turn=body.turn_id),
    ev.TurnInputs: lambda body: Told("context", f"inputs {body.digest}", detail=True),
    ev.ChildThread: lambda body: Told("agents", f"{body.relation} {body.thread_id}"),
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
