"""Turn items: the things a turn is made of, as `item_started` and `item_completed` carry them.

0.125.0 writes only completed plans; 0.169.0 files hold user messages, commands and compactions in this form
and no longer the older events (rollout-format.md 11). Their tags are CamelCase: class name without `Item`.
"""

from typing import TypeAlias

from msgspec import Raw, field

from rollouts.events.base import EMPTY, NULL, Count, Duration, Int, Part, TaggedPart
from rollouts.events.response import Phase, WebSearchAction


class ByteRange(Part, frozen=True):
    """Half-open range of UTF-8 bytes in a text."""

    start: Count
    end: Count


class TextElement(Part, frozen=True):
    """A span of the user's text that stands for something else, shown as `placeholder`."""

    byte_range: ByteRange
    placeholder: str | None = NULL


class TextInput(TaggedPart, frozen=True, tag="text"):
    """Text the user typed."""

    text: str
    text_elements: tuple[TextElement, ...] = EMPTY


class ImageInput(TaggedPart, frozen=True, tag="image"):
    """An image by URL."""

    image_url: str


class LocalImageInput(TaggedPart, frozen=True, tag="local_image"):
    """An image by path."""

    path: str


class SkillInput(TaggedPart, frozen=True, tag="skill"):
    """A skill the user named."""

    name: str
    path: str


class MentionInput(TaggedPart, frozen=True, tag="mention"):
    """A file, app or plugin the user named."""

    name: str
    path: str


UserInput: TypeAlias = TextInput | ImageInput | LocalImageInput | SkillInput | MentionInput


def item_tag(class_name: str) -> str:
    """`PlanItem` -> `Plan`: the tag of an item class by its name."""
    return class_name.removesuffix("Item")


class ItemPart(Part, frozen=True, tag_field="type", tag=item_tag):
    """Base of all turn items."""


class UserMessageItem(ItemPart, frozen=True):
    """What the user sent."""

    id: str
    content: tuple[UserInput, ...]


class HookPromptFragment(Part, frozen=True):
    """What one hook wants the model to do."""

    text: str
    hook_run_id: str = field(name="hookRunId")


class HookPromptItem(ItemPart, frozen=True):
    """A prompt made by Stop hooks."""

    id: str
    fragments: tuple[HookPromptFragment, ...]


class MemoryCitationEntry(Part, frozen=True, rename="camel"):
    """A span of lines of a memory file that a message rests on."""

    path: str
    line_start: Int
    line_end: Int
    note: str


class MemoryCitation(Part, frozen=True, rename="camel"):
    """The memories a message rests on, and the rollouts they came from."""

    entries: tuple[MemoryCitationEntry, ...]
    rollout_ids: tuple[str, ...]


class AgentText(Part, frozen=True, tag_field="type", tag="Text"):
    """Text of an agent message."""

    text: str


class AgentMessageItem(ItemPart, frozen=True):
    """What the model said."""

    id: str
    content: tuple[AgentText, ...]
    phase: Phase | None = None
    memory_citation: MemoryCitation | None = None


class PlanItem(ItemPart, frozen=True):
    """The plan of a plan-mode turn, in Markdown."""

    id: str
    text: str


class ReasoningItem(ItemPart, frozen=True):
    """Reasoning, in summary and raw."""

    id: str
    summary_text: tuple[str, ...] = EMPTY
    raw_content: tuple[str, ...] = EMPTY


class WebSearchItem(ItemPart, frozen=True):
    """A web search."""

    id: str
    query: str
    action: WebSearchAction


class ImageGenerationItem(ItemPart, frozen=True, kw_only=True):
    """A generated image; `result` is base64, `saved_path` where the engine put it."""

    id: str
    status: str
    revised_prompt: str | None = None
    result: str
    saved_path: str | None = None


class ContextCompactionItem(ItemPart, frozen=True):
    """A compaction as clients see it."""

    id: str


class CommandExecutionItem(ItemPart, frozen=True, kw_only=True):
    """0.169.0: a command; None where it does not say."""

    id: str
    process_id: str | None = None
    command: tuple[str, ...] | str = EMPTY
    cwd: str | None = None
    parsed_cmd: tuple[Raw, ...] = EMPTY
    source: str | None = None
    status: str | None = None
    aggregated_output: str | None = None
    exit_code: Int | None = None
    duration: Duration | None = None


TurnItem: TypeAlias = (
    UserMessageItem
    | HookPromptItem
    | AgentMessageItem
    | PlanItem
    | ReasoningItem
    | WebSearchItem
    | ImageGenerationItem
    | ContextCompactionItem
    | CommandExecutionItem
)


__all__ = [
    "AgentMessageItem",
    "AgentText",
    "ByteRange",
    "CommandExecutionItem",
    "ContextCompactionItem",
    "HookPromptFragment",
    "HookPromptItem",
    "ImageGenerationItem",
    "ImageInput",
    "LocalImageInput",
    "MemoryCitation",
    "MemoryCitationEntry",
    "MentionInput",
    "PlanItem",
    "ReasoningItem",
    "SkillInput",
    "TextElement",
    "TextInput",
    "TurnItem",
    "UserInput",
    "UserMessageItem",
    "WebSearchItem",
]
