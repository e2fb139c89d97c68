"""Which events become lines: one table, the reference's rules (rollout-format.md 5) and those for our own lines.

A thread writes in limited mode (the default) or in extended mode. What the reference leaves out of limited mode
and still matters is kept there as an engine line.
"""

from typing import Final, Literal, TypeAlias

import msgspec

from rollouts import events as ev

Kept: TypeAlias = Literal["limited", "extended", "limited_only", "never"]
"""`limited`: in both modes; `extended`: in that mode only; `limited_only`: where no extended line tells it."""

MAX_OUTPUT: Final = 10_000
"""Bytes of output an `exec_command_end` line may hold before its middle is cut."""

_LIMITED: Final = (
    ev.SessionMeta,
    ev.TurnContext,
    ev.Compacted,
    ev.SessionState,
    ev.UserMessage,
    ev.AgentMessage,
    ev.AgentReasoning,
    ev.AgentReasoningRawContent,
    ev.TokenCount,
    ev.ThreadNameUpdated,
    ev.ContextCompacted,
    ev.EnteredReviewMode,
    ev.ExitedReviewMode,
    ev.ThreadRolledBack,
    ev.UndoCompleted,
    ev.TurnAborted,
    ev.TaskStarted,
    ev.TaskComplete,
    ev.ImageGenerationEnd,
)
_EXTENDED: Final = (
    ev.ErrorEvent,
    ev.GuardianAssessment,
    ev.WebSearchEnd,
    ev.ExecCommandEnd,
    ev.PatchApplyEnd,
    ev.McpToolCallEnd,
    ev.ViewImageToolCall,
    ev.CollabAgentSpawnEnd,
    ev.CollabAgentInteractionEnd,
    ev.CollabWaitingEnd,
    ev.CollabCloseEnd,
    ev.CollabResumeEnd,
    ev.DynamicToolCallRequest,
    ev.DynamicToolCallResponse,
)
_LIMITED_ONLY: Final = (ev.ToolRun, ev.TurnErrorLine)

# Whole kinds of lines; the classes named above go first.
_BASES: Final[dict[type[msgspec.Struct], Kept]] = {
    ev.ResponseItem: "limited",
    ev.EngineEvent: "limited",
    ev.EventMsg: "never",
}


def _table() -> dict[type[msgspec.Struct], Kept]:
    table: dict[type[msgspec.Struct], Kept] = {ev.OtherItem: "never", ev.Unknown: "never"}
    for base, kept in _BASES.items():
        table |= dict.fromkeys(base.__subclasses__(), kept)
    return (
        table
        | dict.fromkeys(_LIMITED, "limited")
        | dict.fromkeys(_EXTENDED, "extended")
        | dict.fromkeys(_LIMITED_ONLY, "limited_only")
    )


POLICY: Final = _table()
"""What each class of `ev.Body` is; `ItemCompleted` says never and is kept for plans all the same."""

_IN_MODE: Final[dict[Kept, tuple[bool, bool]]] = {  # (limited, extended)
    "limited": (True, True),
    "extended": (False, True),
    "limited_only": (True, False),
    "never": (False, False),
}


def persisted(body: ev.Body, extended: bool) -> bool:
    """Does this become a line in a thread of this mode?"""
    if isinstance(body, ev.ItemCompleted):
        return isinstance(body.item, ev.PlanItem)
    return _IN_MODE[POLICY[type(body)]][extended]


def for_disk(body: ev.Body, extended: bool) -> ev.Body | None:
    """What of this is written: None when nothing, command output without its copies and at most 10,000 bytes."""
    if not persisted(body, extended):
        return None
    if isinstance(body, ev.ExecCommandEnd):
        return msgspec.structs.replace(
            body,
            stdout="",
            stderr="",
            aggregated_output=cut_middle(body.aggregated_output, MAX_OUTPUT),
            formatted_output="",
        )
    return body


def cut_middle(text: str, limit: int) -> str:
    """`text`, or its first and last `limit / 2` UTF-8 bytes (whole characters) around a note of what is gone."""
    data = text.encode()
    if len(data) <= limit:
        return text
    head = data[: limit // 2].decode(errors="ignore")
    tail = data[len(data) - (limit - limit // 2) :]
    while tail and tail[0] & 0xC0 == 0x80:  # the rest of a character that was cut
        tail = tail[1:]
    end = tail.decode()
    return f"{head}…{len(text) - len(head) - len(end)} chars truncated…{end}"
