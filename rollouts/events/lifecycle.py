"""Events about a thread and its turns: starts and ends, usage, names, rollbacks, errors and notices.

Written keys: rollout-format.md 5; usage and rate limits: token-usage.md 1. Times are epoch seconds,
durations milliseconds.
"""

from typing import Literal, TypeAlias

from msgspec import Raw, UnsetType, field

from rollouts.events.base import NULL, UNSET, Count, EventMsg, Int, Part


class TaskStarted(EventMsg, frozen=True):
    """A turn starts. Old files have no `started_at`."""

    turn_id: str
    started_at: Int | None = None
    model_context_window: Int | None = NULL
    collaboration_mode_kind: str = field(default_factory=lambda: "default")


class TaskComplete(EventMsg, frozen=True):
    """A turn ended by itself, well or not; `time_to_first_token_ms` is left out when no text came."""

    turn_id: str
    last_agent_message: str | None = NULL
    completed_at: Int | None = None
    duration_ms: Int | None = None
    time_to_first_token_ms: Int | None = None


AbortReason: TypeAlias = Literal["interrupted", "replaced", "review_ended"]


class TurnAborted(EventMsg, frozen=True, kw_only=True):
    """A turn was ended from outside."""

    turn_id: str | None = NULL
    reason: AbortReason
    completed_at: Int | None = None
    duration_ms: Int | None = None


class TokenUsage(Part, frozen=True):
    """Tokens of a reply or a thread; `input_tokens` includes the cached ones."""

    input_tokens: Int
    cached_input_tokens: Int
    output_tokens: Int
    reasoning_output_tokens: Int
    total_tokens: Int


class TokenUsageInfo(Part, frozen=True):
    """Usage of the whole thread and of the last reply; the window is that of the model, in tokens."""

    total_token_usage: TokenUsage
    last_token_usage: TokenUsage
    model_context_window: Int | None = NULL


class RateLimitWindow(Part, frozen=True):
    """One limit: share used in percent, length in minutes, end as epoch seconds."""

    used_percent: float
    window_minutes: Int | None = NULL
    resets_at: Int | None = NULL


class CreditsSnapshot(Part, frozen=True):
    """Credits of the account; `balance` is a decimal text."""

    has_credits: bool
    unlimited: bool
    balance: str | None = NULL


class RateLimitSnapshot(Part, frozen=True):
    """What the last reply said about limits; unknown plans and reasons are kept as they came."""

    limit_id: str | None = NULL
    limit_name: str | None = NULL
    primary: RateLimitWindow | None = NULL
    secondary: RateLimitWindow | None = NULL
    credits: CreditsSnapshot | None = NULL
    plan_type: str | None = NULL
    rate_limit_reached_type: str | None = NULL


class TokenCount(EventMsg, frozen=True):
    """Usage so far and the limits last heard of."""

    info: TokenUsageInfo | None = NULL
    rate_limits: RateLimitSnapshot | None = NULL


class ThreadNameUpdated(EventMsg, frozen=True):
    """The thread was named; no name: the name was taken away."""

    thread_id: str
    thread_name: str | None = None


class ContextCompacted(EventMsg, frozen=True, forbid_unknown_fields=True):
    """A compaction is done; the `compacted` line before it says what changed. Other keys make it unreadable."""


class ThreadRolledBack(EventMsg, frozen=True):
    """The last `num_turns` user turns are dropped."""

    num_turns: Count


class UndoStarted(EventMsg, frozen=True):
    """Old versions: an undo begins."""

    message: str | None = None


class UndoCompleted(EventMsg, frozen=True):
    """Old versions: an undo ended."""

    success: bool
    message: str | None = None


ErrorInfo: TypeAlias = str | dict[str, dict[str, int | str | None]]


class ErrorEvent(EventMsg, frozen=True, tag="error"):
    """A turn failed; `codex_error_info` is a snake_case word or one word with details."""

    message: str
    codex_error_info: ErrorInfo | None = NULL


class StreamError(EventMsg, frozen=True):
    """A model stream broke and is tried again."""

    message: str
    codex_error_info: ErrorInfo | None = NULL
    additional_details: str | None = NULL


class Warning(EventMsg, frozen=True):
    """Something the user should know; the turn goes on."""

    message: str


class GuardianWarning(EventMsg, frozen=True):
    """What the automatic reviewer has to say to the user."""

    message: str


class BackgroundEvent(EventMsg, frozen=True):
    """A note of old versions."""

    message: str


class DeprecationNotice(EventMsg, frozen=True):
    """A setting or method in use will go."""

    summary: str
    details: str | None = None


class ModelReroute(EventMsg, frozen=True):
    """Another model than the one asked for answered."""

    from_model: str
    to_model: str
    reason: str


class ModelVerification(EventMsg, frozen=True):
    """The backend recommends verifying the account."""

    verifications: tuple[str, ...]


class SessionConfigured(EventMsg, frozen=True, kw_only=True):
    """A session is ready; front ends read what they need from the method's response instead."""

    session_id: str
    forked_from_id: str | None = None
    thread_name: str | None = None
    model: str
    model_provider_id: str
    service_tier: str | None = None
    approval_policy: str | dict[str, dict[str, bool]]
    sandbox_policy: Raw | UnsetType = UNSET
    cwd: str
    rollout_path: str | None = None


class ShutdownComplete(EventMsg, frozen=True):
    """The thread was unloaded."""


class SkillsUpdateAvailable(EventMsg, frozen=True):
    """Skill files changed on disk."""


class ThreadSettingsApplied(EventMsg, frozen=True):
    """0.169.0: the settings of the thread changed; kept open."""

    thread_id: str
    thread_settings: Raw


__all__ = [
    "AbortReason",
    "BackgroundEvent",
    "ContextCompacted",
    "CreditsSnapshot",
    "DeprecationNotice",
    "ErrorEvent",
    "ErrorInfo",
    "GuardianWarning",
    "ModelReroute",
    "ModelVerification",
    "RateLimitSnapshot",
    "RateLimitWindow",
    "SessionConfigured",
    "ShutdownComplete",
    "SkillsUpdateAvailable",
    "StreamError",
    "TaskComplete",
    "TaskStarted",
    "ThreadNameUpdated",
    "ThreadRolledBack",
    "ThreadSettingsApplied",
    "TokenCount",
    "TokenUsage",
    "TokenUsageInfo",
    "TurnAborted",
    "UndoCompleted",
    "UndoStarted",
    "Warning",
]
