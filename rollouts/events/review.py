"""Events of reviews and hooks: review mode, automatic approval reviews and hook runs.

Shapes: rollout-format.md 5, guardian.md ("Events", "Rollout") and hooks.md ("Notifications").
"""

from typing import Literal, TypeAlias

from msgspec import Raw, field

from rollouts.events.base import EMPTY, NULL, EventMsg, Int, Part, TaggedPart


class UncommittedChanges(TaggedPart, frozen=True, tag="uncommittedChanges"):
    """Review what is not committed."""


class BaseBranch(TaggedPart, frozen=True, tag="baseBranch"):
    """Review the changes against a branch."""

    branch: str


class CommitTarget(TaggedPart, frozen=True, tag="commit"):
    """Review one commit."""

    sha: str
    title: str | None = NULL


class CustomTarget(TaggedPart, frozen=True, tag="custom"):
    """Review by instructions."""

    instructions: str


ReviewTarget: TypeAlias = UncommittedChanges | BaseBranch | CommitTarget | CustomTarget


class EnteredReviewMode(EventMsg, frozen=True):
    """A review turn begins."""

    target: ReviewTarget
    user_facing_hint: str | None = None


class LineRange(Part, frozen=True):
    """Lines from `start` to `end`, both counted from 1 and included."""

    start: Int
    end: Int


class CodeLocation(Part, frozen=True):
    """Where a finding is."""

    absolute_file_path: str
    line_range: LineRange


class ReviewFinding(Part, frozen=True):
    """One thing the reviewer found; confidence is 0 to 1, priority 0 to 3."""

    title: str
    body: str
    confidence_score: float
    priority: Int
    code_location: CodeLocation


class ReviewOutput(Part, frozen=True):
    """The reviewer's verdict."""

    findings: tuple[ReviewFinding, ...]
    overall_correctness: str
    overall_explanation: str
    overall_confidence_score: float


class ExitedReviewMode(EventMsg, frozen=True):
    """A review ended; no output when it was interrupted."""

    review_output: ReviewOutput | None = NULL


class CommandAction(TaggedPart, frozen=True, tag="command"):
    """A shell command, joined with shell quoting; `source` is shell or unified_exec."""

    source: Literal["shell", "unified_exec"]
    command: str
    cwd: str


class ExecveAction(TaggedPart, frozen=True, tag="execve"):
    """A program a command wants to run."""

    source: Literal["shell", "unified_exec"]
    program: str
    argv: tuple[str, ...]
    cwd: str


class ApplyPatchAction(TaggedPart, frozen=True, tag="apply_patch"):
    """A patch, by the absolute paths it touches."""

    cwd: str
    files: tuple[str, ...]


class NetworkAccessAction(TaggedPart, frozen=True, tag="network_access"):
    """A connection; `target` is like `http://host:80`."""

    target: str
    host: str
    protocol: Literal["http", "https", "socks5_tcp", "socks5_udp"]
    port: Int


class McpToolCallAction(TaggedPart, frozen=True, tag="mcp_tool_call"):
    """An MCP tool call."""

    server: str
    tool_name: str
    connector_id: str | None = NULL
    connector_name: str | None = NULL
    tool_title: str | None = NULL


class RequestPermissionsAction(TaggedPart, frozen=True, kw_only=True, tag="request_permissions"):
    """A request for more permissions; the profile is open JSON."""

    reason: str | None = NULL
    permissions: Raw


ReviewAction: TypeAlias = (
    CommandAction | ExecveAction | ApplyPatchAction | NetworkAccessAction | McpToolCallAction | RequestPermissionsAction
)
ReviewStatus: TypeAlias = Literal["in_progress", "approved", "denied", "timed_out", "aborted"]
RiskLevel: TypeAlias = Literal["low", "medium", "high", "critical"]
UserAuthorization: TypeAlias = Literal["unknown", "low", "medium", "high"]


class GuardianAssessment(EventMsg, frozen=True, kw_only=True):
    """One step of an automatic approval review; `id` is the review's."""

    id: str
    target_item_id: str | None = None
    turn_id: str = field(default_factory=str)
    status: ReviewStatus
    risk_level: RiskLevel | None = None
    user_authorization: UserAuthorization | None = None
    rationale: str | None = None
    decision_source: Literal["agent"] | None = None
    action: ReviewAction


class HookEntry(Part, frozen=True):
    """What a hook said; `kind` is warning, stop, feedback, context or error."""

    kind: str
    text: str


class HookRunSummary(Part, frozen=True, kw_only=True):
    """One run of one hook, in core's snake_case; times are epoch seconds, the duration milliseconds."""

    id: str
    event_name: str
    handler_type: str = field(default_factory=lambda: "command")
    execution_mode: str = field(default_factory=lambda: "sync")
    scope: str = field(default_factory=lambda: "turn")
    source_path: str = field(default_factory=str)
    source: str = field(default_factory=lambda: "unknown")
    display_order: Int = field(default_factory=int)
    status: str
    status_message: str | None = NULL
    started_at: Int
    completed_at: Int | None = NULL
    duration_ms: Int | None = NULL
    entries: tuple[HookEntry, ...] = EMPTY


class HookStarted(EventMsg, frozen=True):
    """A hook starts."""

    turn_id: str | None
    run: HookRunSummary


class HookCompleted(EventMsg, frozen=True):
    """A hook is done; what is kept of it is the engine line `hook_run`."""

    turn_id: str | None
    run: HookRunSummary


__all__ = [
    "ApplyPatchAction",
    "BaseBranch",
    "CodeLocation",
    "CommandAction",
    "CommitTarget",
    "CustomTarget",
    "EnteredReviewMode",
    "ExecveAction",
    "ExitedReviewMode",
    "GuardianAssessment",
    "HookCompleted",
    "HookEntry",
    "HookRunSummary",
    "HookStarted",
    "LineRange",
    "McpToolCallAction",
    "NetworkAccessAction",
    "RequestPermissionsAction",
    "ReviewAction",
    "ReviewFinding",
    "ReviewOutput",
    "ReviewStatus",
    "ReviewTarget",
    "RiskLevel",
    "UncommittedChanges",
    "UserAuthorization",
]
