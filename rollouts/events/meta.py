"""Lines named by their outer type alone: session_meta, turn_context, compacted and session_state.

Key order and optional keys: rollout-format.md 3, 6, 7 and agent-identity.md. Policies and permission
profiles stay open JSON here; what they mean is decided in `engine.permissions`.
"""

from typing import Annotated

from msgspec import UNSET, Meta, Raw, UnsetType, field

from rollouts.events.base import NULL, Int, LineBody, Part, unset_nulls


class BaseInstructions(Part, frozen=True):
    """The base prompt of a session."""

    text: str


class GitInfo(Part, frozen=True):
    """The repository at the start of a session; unknown members are left out."""

    commit_hash: str | None = None
    branch: str | None = None
    repository_url: str | None = None


class ThreadSpawn(Part, frozen=True):
    """Source of a sub-agent that another thread spawned."""

    parent_thread_id: str
    depth: Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
    agent_path: str | None = NULL
    agent_nickname: str | None = NULL
    agent_role: str | None = NULL


class SubAgent(Part, frozen=True):
    """The object forms of a sub-agent source: exactly one member is set."""

    thread_spawn: ThreadSpawn | None = None
    other: str | None = None


class SourceObject(Part, frozen=True):
    """The object forms of `SessionMeta.source`: exactly one member is set."""

    custom: str | None = None
    subagent: str | SubAgent | None = None


class DynamicToolSpec(Part, frozen=True, kw_only=True):
    """A tool the client offers; the schema is kept as it came."""

    namespace: str | None = None
    name: str
    description: str
    input_schema: Raw = field(name="inputSchema")
    defer_loading: bool = field(default_factory=bool, name="deferLoading")


class SessionMeta(LineBody, frozen=True, kw_only=True):
    """Who and what a session is; the first one of a file names the thread."""

    id: str
    forked_from_id: str | None = None
    timestamp: str
    cwd: str
    originator: str
    cli_version: str
    source: str | SourceObject = field(default_factory=lambda: "vscode")
    agent_nickname: str | None = None
    agent_role: str | None = None
    agent_path: str | None = None
    model_provider: str | None = NULL
    base_instructions: BaseInstructions | None = NULL
    dynamic_tools: tuple[DynamicToolSpec, ...] | None = None
    memory_mode: str | None = None
    git: GitInfo | None = None


class CollaborationSettings(Part, frozen=True):
    """Model settings of a collaboration mode; nulls are written."""

    model: str
    reasoning_effort: str | None = NULL
    developer_instructions: str | None = NULL


class CollaborationMode(Part, frozen=True):
    """`mode` is `default`, `plan` or a name of a newer version."""

    mode: str
    settings: CollaborationSettings


class TruncationPolicy(Part, frozen=True):
    """`mode` is `bytes` or `tokens`; `limit` counts them."""

    mode: str
    limit: Int


_OPEN_CONTEXT = ("permission_profile", "network", "file_system_sandbox_policy", "final_output_json_schema")


class TurnContext(LineBody, frozen=True, kw_only=True):
    """The settings one turn ran with."""

    turn_id: str | None = None
    trace_id: str | None = None
    cwd: str
    current_date: str | None = None
    timezone: str | None = None
    approval_policy: str | dict[str, dict[str, bool]]
    sandbox_policy: Raw
    permission_profile: Raw | UnsetType = UNSET
    network: Raw | UnsetType = UNSET
    file_system_sandbox_policy: Raw | UnsetType = UNSET
    model: str
    personality: str | None = None
    collaboration_mode: CollaborationMode | None = None
    realtime_active: bool | None = None
    effort: str | None = None
    summary: str
    user_instructions: str | None = None
    developer_instructions: str | None = None
    final_output_json_schema: Raw | UnsetType = UNSET
    truncation_policy: TruncationPolicy | None = None

    def __post_init__(self) -> None:
        """Null means the same as absent and is not written."""
        unset_nulls(self, *_OPEN_CONTEXT)


class Compacted(LineBody, frozen=True):
    """A compaction; `replacement_history` holds the items that replace the model's history, as bytes.

    None (old files): history becomes the earlier user messages and one with `message`.
    """

    message: str
    replacement_history: tuple[Raw, ...] | None = None


class AgentTask(Part, frozen=True):
    """A registered agent task; `registered_at` is RFC 3339 in whole seconds."""

    agent_runtime_id: str
    task_id: str
    registered_at: str


class SessionState(LineBody, frozen=True):
    """The agent task in force from here on, or none; the last line of a file wins."""

    agent_task: AgentTask | None


__all__ = [
    "AgentTask",
    "BaseInstructions",
    "CollaborationMode",
    "CollaborationSettings",
    "Compacted",
    "DynamicToolSpec",
    "GitInfo",
    "SessionMeta",
    "SessionState",
    "SourceObject",
    "SubAgent",
    "ThreadSpawn",
    "TruncationPolicy",
    "TurnContext",
]
