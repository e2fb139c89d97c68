"""One row of the thread list: what a picker shows and a resume starts from, folded from the lines of a rollout.

Readers fold the head of a file and later what was appended, writers fold each line they write. Folding a line again,
or with a gap before it, is allowed: later lines win, and what only the first line may say is not overwritten (spec
thread-lifecycle 6, rollout-format 3, 9, 11). Never parses a line of which nothing is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from projections import metadata
from projections.messages import as_read, is_user_input
from projections.metadata import Git, Metadata
from rollouts import codec
from rollouts import events as ev

Json: TypeAlias = Any

SourceKind: TypeAlias = Literal[
    "cli", "vscode", "exec", "appServer", "custom", "unknown", "subAgentReview", "subAgentCompact",
    "subAgentMemory", "subAgentThreadSpawn", "subAgentOther",
]  # fmt: skip

IMAGE_ONLY: Final = "[Image]"
"""Preview of a message that has images and no text."""

_REQUEST: Final = "## My request for Codex:"
"""What front ends put between the context they add and the words of the user."""


class CatalogRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the list knows about one thread.

    Times are epoch milliseconds. `path`, `archived` and `updated_at` are facts of the file, set by whoever reads it
    (path "" for a thread without a file); all else is folded from lines. `source` is the published form: a word, or
    an object with one member. `sandbox_policy` is that of the last `turn_context`, as written there.
    """

    metadata: Metadata = Metadata()
    path: str = ""
    archived: bool = False
    created_at: int = 0
    updated_at: int = 0
    source: Json = "unknown"
    kind: SourceKind = "unknown"
    provider: str = ""
    cwd: str = ""
    cli_version: str = ""
    originator: str = ""
    forked_from: str | None = None
    agent_nickname: str | None = None
    agent_role: str | None = None
    has_user_message: bool = False
    preview: str = ""
    opening: str | None = None
    model: str | None = None
    effort: str | None = None
    approval_policy: Json = None
    sandbox_policy: Json = None
    tokens_used: int = 0

    @property
    def id(self) -> str:
        """The thread id; "" as long as no `session_meta` was seen."""
        return self.metadata.thread_id

    @property
    def name(self) -> str | None:
        """The last name in the rollout itself."""
        return self.metadata.name

    @property
    def memory_mode(self) -> str | None:
        """`enabled`, `disabled` or None for the default."""
        return self.metadata.memory_mode

    @property
    def git(self) -> Git | None:
        """Git data with the overrides of `thread/metadata/update`."""
        return self.metadata.git

    @property
    def listed(self) -> bool:
        """Whether the list shows the thread: it has a meta, and the user has said something."""
        return bool(self.id) and self.has_user_message


EMPTY: Final = CatalogRow()


def fold(row: CatalogRow, data: bytes) -> CatalogRow:
    """The row after a line given as bytes, which are parsed only if they can change it."""
    head = codec.head(data)
    if head is None or not wanted(head[0], head[1], row):
        return row
    line = codec.decode(data)
    return row if isinstance(line, codec.BadLine) else apply(row, line.body)


def wanted(kind: str, subtype: str | None, row: CatalogRow) -> bool:
    """Whether a line with these types (outer, payload) can change the row."""
    if subtype == "user_message" and kind == "event_msg":
        return not row.preview
    if kind == "response_item":
        return subtype == "message" and row.opening is None
    return (kind, subtype if kind in ("event_msg", "engine_event") else None) in _WANTED


def apply(row: CatalogRow, body: ev.Body) -> CatalogRow:
    """The row after a line; the same object if the line says nothing about it."""
    known = metadata.apply(row.metadata, body)
    if known is not row.metadata:
        first = not row.id
        row = replace(row, metadata=known)
        return _first_meta(row, body) if first and isinstance(body, ev.SessionMeta) else row
    step = _STEPS.get(type(body))
    return step(row, body) if step else row


def request_text(message: str) -> str:
    """What the user asked, without the context a front end put in front; trimmed, never cut."""
    before, heading, after = message.partition(_REQUEST)
    return (after if heading else before).strip()


def published_source(source: str | ev.SourceObject) -> tuple[Json, SourceKind]:
    """The published form of a recorded source, and its kind in filters (spec rollout-format 3).

    Words of other versions are published as `unknown`, those for sub-agents as `other` ones.
    """
    if isinstance(source, str):
        kind = _WORDS.get(source, "unknown")
        return kind, kind
    if source.custom is not None:
        return {"custom": source.custom}, "custom"
    agent = source.subagent
    if isinstance(agent, str):
        known = _SUB_AGENTS.get(agent)
        return {"subAgent": agent if known else {"other": agent}}, known or "subAgentOther"
    if agent is None:
        return "unknown", "unknown"
    if agent.thread_spawn is not None:
        return {"subAgent": {"thread_spawn": msgspec.to_builtins(agent.thread_spawn)}}, "subAgentThreadSpawn"
    return {"subAgent": {"other": agent.other or ""}}, "subAgentOther"


def milliseconds(timestamp: str) -> int:
    """Epoch milliseconds of an RFC 3339 time, 0 if it is none."""
    try:
        when = datetime.fromisoformat(timestamp)
    except ValueError:
        return 0
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def _first_meta(row: CatalogRow, body: ev.SessionMeta) -> CatalogRow:
    source, kind = published_source(body.source)
    spawn = _spawn(body.source)
    return replace(
        row,
        created_at=milliseconds(body.timestamp),
        source=source,
        kind=kind,
        provider=body.model_provider or "",
        cwd=body.cwd,
        cli_version=body.cli_version,
        originator=body.originator,
        forked_from=body.forked_from_id,
        agent_nickname=spawn and (body.agent_nickname or spawn.agent_nickname),
        agent_role=spawn and (body.agent_role or spawn.agent_role),
    )


def _spawn(source: str | ev.SourceObject) -> ev.ThreadSpawn | None:
    agent = None if isinstance(source, str) else source.subagent
    return agent.thread_spawn if isinstance(agent, ev.SubAgent) else None


def _turn_context(row: CatalogRow, body: ev.TurnContext) -> CatalogRow:
    return replace(
        row,
        model=body.model,
        effort=body.effort,
        approval_policy=body.approval_policy,
        sandbox_policy=msgspec.json.decode(body.sandbox_policy),
    )


def _token_count(row: CatalogRow, body: ev.TokenCount) -> CatalogRow:
    return replace(row, tokens_used=body.info.total_token_usage.total_tokens) if body.info else row


def _user_message(row: CatalogRow, body: ev.UserMessage) -> CatalogRow:
    return _said(row, body.message, bool(body.images or body.local_images))


def _item_completed(row: CatalogRow, body: ev.ItemCompleted) -> CatalogRow:
    if not isinstance(body.item, ev.UserMessageItem):
        return row
    texts = [part.text for part in body.item.content if isinstance(part, ev.TextInput)]
    images = any(isinstance(part, ev.ImageInput | ev.LocalImageInput) for part in body.item.content)
    return _said(row, "".join(texts), images)


def _said(row: CatalogRow, message: str, images: bool) -> CatalogRow:
    if row.preview:
        return row
    preview = request_text(message) or (IMAGE_ONLY if images else "")
    return replace(row, has_user_message=True, preview=preview)


def _message(row: CatalogRow, body: ev.Message) -> CatalogRow:
    """The first words of the user among the items shown to the model, which resume and fork show as preview."""
    if row.opening is not None or not is_user_input(body):
        return row
    words = "".join(part.text for part in as_read(body) if isinstance(part, ev.TextInput))
    return replace(row, opening=request_text(words) if _REQUEST in words else words)


_STEPS: Final[Mapping[type, Callable[[CatalogRow, Any], CatalogRow]]] = {
    ev.TurnContext: _turn_context,
    ev.TokenCount: _token_count,
    ev.UserMessage: _user_message,
    ev.ItemCompleted: _item_completed,
    ev.Message: _message,
}

_WANTED: Final = frozenset(
    {
        ("session_meta", None),
        ("turn_context", None),
        ("event_msg", "token_count"),
        ("event_msg", "item_completed"),
        ("event_msg", "thread_name_updated"),
        ("engine_event", "thread_metadata"),
    }
)

_WORDS: Final[Mapping[str, SourceKind]] = {
    "cli": "cli",
    "vscode": "vscode",
    "exec": "exec",
    "mcp": "appServer",
}

_SUB_AGENTS: Final[Mapping[str, SourceKind]] = {
    "review": "subAgentReview",
    "compact": "subAgentCompact",
    "memory_consolidation": "subAgentMemory",
}
