"""One request to a model, as bytes and headers. Pure: history, tools and settings in, `ModelRequest` out; the
same values give the same bytes. Which endpoint, which key and which transport it goes to is
`engine.model.client`'s business.

Fields, their order and what is left out: turns 4.1 to 4.3."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from engine.model.info import ModelInfo

INSTALLATION_HEADER: Final = "x-codex-installation-id"
METADATA_HEADER: Final = "x-codex-turn-metadata"
WINDOW_HEADER: Final = "x-codex-window-id"
TIERS: Final[Mapping[str, str]] = {"fast": "priority", "flex": "flex"}
"""A thread's service tier -> the request's; other tiers are not sent."""


class Prompt(msgspec.Struct, frozen=True):
    """What is said: instructions, history (Responses items, ready to send), tools, and an optional schema of
    the answer. `parallel_tool_calls` None takes the model's; compaction says False."""

    instructions: str
    input: Sequence[Raw]
    tools: Sequence[Raw] = ()
    parallel_tool_calls: bool | None = None
    output_schema: Raw | None = None


class RequestSettings(msgspec.Struct, frozen=True):
    """Under which circumstances: the thread, the turn and the settings frozen for it.

    `window` counts the compactions of the thread so far. `effort`, `summary`, `verbosity` None take the
    model's defaults. `sandbox` is the tag of turns 4.3 (`none`, `seccomp`, ...). `turn_state` echoes the
    header of an earlier reply of the same turn. `client_metadata` may add keys to the turn metadata, never
    replace one. `workspaces` is the JSON object of git roots once it is known. `store` is for Azure
    endpoints."""

    thread_id: str
    turn_id: str
    model: ModelInfo
    installation_id: str
    originator: str
    user_agent: str
    sandbox: str
    window: int = 0
    effort: str | None = None
    summary: str | None = None
    verbosity: str | None = None
    service_tier: str | None = None
    thread_source: str = "user"
    subagent: str | None = None
    turn_state: str | None = None
    client_metadata: Mapping[str, str] = {}
    workspaces: Raw | None = None
    store: bool = False


class Reasoning(msgspec.Struct, frozen=True):
    """`reasoning` of a request."""

    effort: str | UnsetType = UNSET
    summary: str | UnsetType = UNSET


class Format(msgspec.Struct, frozen=True):
    """`text.format` of a request."""

    type: str
    strict: bool
    schema: Raw
    name: str


class Text(msgspec.Struct, frozen=True):
    """`text` of a request."""

    verbosity: str | UnsetType = UNSET
    format: Format | UnsetType = UNSET


class Body(msgspec.Struct, frozen=True):
    """The body of `POST /responses`, fields in wire order."""

    model: str
    instructions: str | UnsetType
    input: Sequence[Raw]
    tools: Sequence[Raw]
    tool_choice: str
    parallel_tool_calls: bool
    reasoning: Reasoning | None
    store: bool
    stream: bool
    include: Sequence[str]
    service_tier: str | UnsetType
    prompt_cache_key: str
    text: Text | UnsetType
    client_metadata: Mapping[str, str]


class ModelRequest(msgspec.Struct, frozen=True):
    """A request ready to send. `headers` are those that do not depend on the provider."""

    body: Body
    headers: tuple[tuple[str, str], ...]

    def encode(self) -> bytes:
        """The JSON body."""
        return msgspec.json.encode(self.body)


def build(prompt: Prompt, settings: RequestSettings) -> ModelRequest:
    """The request for one sampling of a turn."""
    model = settings.model
    parallel = prompt.parallel_tool_calls
    body = Body(
        model=model.slug,
        instructions=prompt.instructions or UNSET,
        input=prompt.input,
        tools=prompt.tools,
        tool_choice="auto",
        parallel_tool_calls=model.supports_parallel_tool_calls if parallel is None else parallel,
        reasoning=reasoning(settings),
        store=settings.store,
        stream=True,
        include=("reasoning.encrypted_content",) if model.supports_reasoning_summaries else (),
        service_tier=TIERS.get(settings.service_tier or "", UNSET),
        prompt_cache_key=settings.thread_id,
        text=text(prompt, settings),
        client_metadata={INSTALLATION_HEADER: settings.installation_id},
    )
    return ModelRequest(body, headers(settings))


def reasoning(settings: RequestSettings) -> Reasoning | None:
    """`reasoning` as a request has it; None for models without summaries."""
    model = settings.model
    if not model.supports_reasoning_summaries:
        return None
    summary = settings.summary or model.default_reasoning_summary
    return Reasoning(
        effort=settings.effort or model.default_reasoning_level or UNSET,
        summary=UNSET if summary == "none" else summary,
    )


def text(prompt: Prompt, settings: RequestSettings) -> Text | UnsetType:
    """`text` as a request has it; left out when it would be empty."""
    model = settings.model
    verbosity = (settings.verbosity or model.default_verbosity) if model.support_verbosity else None
    schema = prompt.output_schema
    if verbosity is None and schema is None:
        return UNSET
    return Text(
        verbosity=verbosity or UNSET,
        format=UNSET if schema is None else Format("json_schema", True, schema, "codex_output_schema"),
    )


def headers(settings: RequestSettings) -> tuple[tuple[str, str], ...]:
    """The headers of a request that do not depend on the provider (turns 4.2)."""
    optional = (
        ("x-codex-turn-state", settings.turn_state),
        ("x-openai-subagent", settings.subagent),
    )
    return (
        (METADATA_HEADER, turn_metadata(settings)),
        (WINDOW_HEADER, window_id(settings)),
        ("x-client-request-id", settings.thread_id),
        ("session_id", settings.thread_id),
        *((name, value) for name, value in optional if value is not None),
        ("user-agent", settings.user_agent),
        ("originator", settings.originator),
    )


def compact_headers(settings: RequestSettings) -> tuple[tuple[str, str], ...]:
    """The headers of a request to compact a history (compaction 3)."""
    left_out = (METADATA_HEADER, "x-client-request-id", "x-codex-turn-state")
    kept = (header for header in headers(settings) if header[0] not in left_out)
    return ((INSTALLATION_HEADER, settings.installation_id), *kept)


def window_id(settings: RequestSettings) -> str:
    """`<thread id>:<number of compactions>`."""
    return f"{settings.thread_id}:{settings.window}"


def turn_metadata(settings: RequestSettings) -> str:
    """The compact JSON object of turns 4.3, in ASCII so that it is a valid header value. Also for MCP
    `_meta`."""
    known: dict[str, object] = {
        "session_id": settings.thread_id,
        "thread_source": settings.thread_source,
        "turn_id": settings.turn_id,
    }
    if settings.workspaces is not None:
        known["workspaces"] = msgspec.json.decode(settings.workspaces)
    known["sandbox"] = settings.sandbox
    extra = {key: value for key, value in settings.client_metadata.items() if key not in known}
    return json.dumps(known | extra, separators=(",", ":"))
