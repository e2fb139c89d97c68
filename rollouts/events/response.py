"""Response items: what the model said or is shown, as kept in its history (rollout-format.md 4).

The server's item id is read, and known to the engine while it is live, but `codec.encode` does not write it
except for image generation calls.
"""

from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from rollouts.events.base import NULL, Int, Part, ResponseItem, TaggedPart


class InputText(TaggedPart, frozen=True):
    """Text shown to the model."""

    text: str


class InputImage(TaggedPart, frozen=True):
    """An image shown to the model, mostly a data URL."""

    image_url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class OutputText(TaggedPart, frozen=True):
    """Text the model wrote."""

    text: str


Phase: TypeAlias = Literal["commentary", "final_answer"]
ContentItem: TypeAlias = InputText | InputImage | OutputText
OutputBody: TypeAlias = str | tuple[InputText | InputImage, ...]


class Message(ResponseItem, frozen=True, kw_only=True):
    """A message; `role` is user, assistant, developer or system."""

    id: str | None = None
    role: str
    content: tuple[ContentItem, ...]
    end_turn: bool | None = None
    phase: Phase | None = None


class SummaryText(TaggedPart, frozen=True):
    """One part of a reasoning summary."""

    text: str


class ReasoningText(TaggedPart, frozen=True):
    """One part of raw reasoning."""

    text: str


class PlainText(TaggedPart, frozen=True, tag="text"):
    """The other form in which raw reasoning comes."""

    text: str


class Reasoning(ResponseItem, frozen=True, kw_only=True):
    """Reasoning, in summary, raw or encrypted for the server.

    `content` is written as null when there is none, and not at all when no part of it is reasoning text.
    """

    id: str | None = None
    summary: tuple[SummaryText, ...]
    content: tuple[ReasoningText | PlainText, ...] | UnsetType | None = NULL
    encrypted_content: str | None = NULL

    def __post_init__(self) -> None:
        """The reference leaves `content` out unless it is null or holds reasoning text."""
        if isinstance(self.content, tuple) and not any(isinstance(part, ReasoningText) for part in self.content):
            msgspec.structs.force_setattr(self, "content", UNSET)


class FunctionCall(ResponseItem, frozen=True, kw_only=True):
    """A tool call; `arguments` is the JSON text as the model wrote it."""

    id: str | None = None
    name: str
    namespace: str | None = None
    arguments: str
    call_id: str


class FunctionCallOutput(ResponseItem, frozen=True):
    """The answer to a function call: a text or content parts."""

    call_id: str
    output: OutputBody


class CustomToolCall(ResponseItem, frozen=True, kw_only=True):
    """A call of a free-text tool such as apply_patch."""

    id: str | None = None
    status: str | None = None
    call_id: str
    name: str
    input: str


class CustomToolCallOutput(ResponseItem, frozen=True, kw_only=True):
    """The answer to a custom tool call."""

    call_id: str
    name: str | None = None
    output: OutputBody


class LocalShellAction(Part, frozen=True, tag_field="type", tag="exec"):
    """What a local shell call runs; nulls are written."""

    command: tuple[str, ...]
    timeout_ms: Int | None = NULL
    working_directory: str | None = NULL
    env: dict[str, str] | None = NULL
    user: str | None = NULL


class LocalShellCall(ResponseItem, frozen=True, kw_only=True):
    """A command of models with a built-in shell tool."""

    id: str | None = None
    call_id: str | None = NULL
    status: Literal["completed", "in_progress", "incomplete"]
    action: LocalShellAction


_SEARCH_TYPES = frozenset({"search", "open_page", "find_in_page", "other"})


class WebSearchAction(Part, frozen=True):
    """What the model looked up: `type` is search, open_page, find_in_page or other; members by type.

    An unknown type reads as `other`, without members.
    """

    type: str
    query: str | None = None
    queries: tuple[str, ...] | None = None
    url: str | None = None
    pattern: str | None = None

    def __post_init__(self) -> None:
        """Newer kinds of action are no error."""
        if self.type not in _SEARCH_TYPES:
            msgspec.structs.force_setattr(self, "type", "other")
            for name in ("query", "queries", "url", "pattern"):
                msgspec.structs.force_setattr(self, name, None)


class WebSearchCall(ResponseItem, frozen=True, kw_only=True):
    """A web search the model's side ran."""

    id: str | None = None
    status: str | None = None
    action: WebSearchAction | None = None


class ImageGenerationCall(ResponseItem, frozen=True, kw_only=True):
    """An image the model made; `result` is base64. The id is kept."""

    id: str
    status: str
    revised_prompt: str | None = None
    result: str


class ToolSearchCall(ResponseItem, frozen=True, kw_only=True):
    """A search for deferred tools; `arguments` is open JSON."""

    id: str | None = None
    call_id: str | None = NULL
    status: str | None = None
    execution: str
    arguments: Raw


class ToolSearchOutput(ResponseItem, frozen=True, kw_only=True):
    """The tools found."""

    call_id: str | None = NULL
    status: str
    execution: str
    tools: tuple[Raw, ...]


class GhostSnapshot(ResponseItem, frozen=True):
    """A commit old versions kept for undo; never shown to the model."""

    ghost_commit: Raw


class Compaction(ResponseItem, frozen=True):
    """History the server compacted, readable only to it."""

    encrypted_content: str


class OtherItem(msgspec.Struct, frozen=True, gc=False):
    """An item of a type this version does not know: it counts as parsed, but is not shown to the model."""

    type: str
    payload: Raw


__all__ = [
    "Compaction",
    "ContentItem",
    "CustomToolCall",
    "CustomToolCallOutput",
    "FunctionCall",
    "FunctionCallOutput",
    "GhostSnapshot",
    "ImageGenerationCall",
    "InputImage",
    "InputText",
    "LocalShellAction",
    "LocalShellCall",
    "Message",
    "OtherItem",
    "OutputBody",
    "OutputText",
    "Phase",
    "PlainText",
    "Reasoning",
    "ReasoningText",
    "SummaryText",
    "ToolSearchCall",
    "ToolSearchOutput",
    "WebSearchAction",
    "WebSearchCall",
]
