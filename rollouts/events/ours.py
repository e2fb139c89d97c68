"""Engine lines: what happened and the reference does not keep (design.md, "Engine lines").

All have the outer type `engine_event`, which the reference skips and no later name of it can collide with.
"""

from typing import Literal, TypeAlias

from msgspec import UNSET, UnsetType

from rollouts.events.base import EngineEvent, Int, Part
from rollouts.events.lifecycle import ErrorInfo
from rollouts.events.review import HookEntry, ReviewAction, ReviewStatus, RiskLevel, UserAuthorization


class Review(EngineEvent, frozen=True, kw_only=True):
    """Start (`in_progress`) or end of an automatic approval review, folded by `review_id`."""

    review_id: str
    turn_id: str
    target_item_id: str | None = None
    status: ReviewStatus
    risk_level: RiskLevel | None = None
    user_authorization: UserAuthorization | None = None
    rationale: str | None = None
    decision_source: Literal["agent"] | None = None
    action: ReviewAction


class HookRunRecord(Part, frozen=True, kw_only=True):
    """What is kept of a hook run; `started_at` epoch seconds, `duration_ms` milliseconds."""

    id: str
    event_name: str
    source: str
    source_path: str | None = None
    display_order: Int | None = None
    scope: str | None = None
    status: str
    status_message: str | None = None
    started_at: Int
    completed_at: Int | None = None
    duration_ms: Int | None = None
    entries: tuple[HookEntry, ...]


class HookRun(EngineEvent, frozen=True):
    """A hook run ended."""

    turn_id: str
    run: HookRunRecord


class Approval(EngineEvent, frozen=True, kw_only=True):
    """Somebody decided; `kind` is command, patch, network, mcp, permissions or another question."""

    turn_id: str
    call_id: str
    kind: str
    decision: str
    decided_by: Literal["user", "hook", "guardian", "policy"]


class ToolRun(EngineEvent, frozen=True, kw_only=True):
    """Limited mode: a tool call ended whose `*_end` event is not written."""

    turn_id: str
    call_id: str
    tool: str
    status: str
    exit_code: Int | None = None
    duration_ms: Int | None = None


class TurnErrorLine(EngineEvent, frozen=True, tag="turn_error"):
    """Limited mode: why a turn failed."""

    turn_id: str
    message: str
    codex_error_info: ErrorInfo | None = None


class TurnInputs(EngineEvent, frozen=True, kw_only=True):
    """What else a turn depended on, written when it changed: digest of the settings, names in force."""

    turn_id: str
    digest: str
    hooks: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    mcp_servers: tuple[str, ...] = ()
    instruction_files: tuple[str, ...] = ()


ChildRelation: TypeAlias = Literal["spawn", "guardian", "review", "detached_review"]


class ChildThread(EngineEvent, frozen=True, kw_only=True):
    """A thread this one started; tied to a call or a review."""

    turn_id: str | None = None
    thread_id: str
    relation: ChildRelation
    call_id: str | None = None
    review_id: str | None = None


class GitOverride(Part, frozen=True):
    """Git details a client set: absent means unchanged, null cleared."""

    sha: str | UnsetType | None = UNSET
    branch: str | UnsetType | None = UNSET
    origin_url: str | UnsetType | None = UNSET


class ThreadMetadata(EngineEvent, frozen=True):
    """What `thread/metadata/update` changed; the reference keeps it only in its database."""

    git: GitOverride


class HistoryBase(EngineEvent, frozen=True):
    """A fork by reference: the first `bytes` bytes of another thread's file come before this one.

    `anchor` is a checksum of the first and the last record covered, so that a rewritten parent is noticed. `stand_in`
    says how many bytes behind this line repeat the live context for readers that do not know the parent; in a store
    both are numbers of lines.
    """

    thread_id: str
    bytes: Int
    anchor: str
    stand_in: Int = 0


__all__ = [
    "Approval",
    "ChildRelation",
    "ChildThread",
    "GitOverride",
    "HistoryBase",
    "HookRun",
    "HookRunRecord",
    "Review",
    "ThreadMetadata",
    "ToolRun",
    "TurnErrorLine",
    "TurnInputs",
]
