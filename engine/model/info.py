"""What the engine knows of a model: `ModelInfo`, its limits as the configuration changes them, and its
instructions. Pure values and arithmetic; where the entries come from is `engine.model.catalog`'s business.
The JSON form is that of `model_catalog_json` and of a provider's `GET /models` (models-and-limits 1)."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

EffortLevel = Literal["none", "minimal", "low", "medium", "high", "xhigh"]
Modality = Literal["text", "image"]
Summary = Literal["auto", "concise", "detailed", "none"]
PERSONALITY_MARK: Final = "{{ personality }}"


class Effort(msgspec.Struct, frozen=True):
    """A reasoning effort a model offers."""

    effort: EffortLevel
    description: str = ""


class Truncation(msgspec.Struct, frozen=True):
    """How much of a tool's output goes to the model; `limit` counts `mode`."""

    mode: Literal["bytes", "tokens"]
    limit: int


class Upgrade(msgspec.Struct, frozen=True):
    """The model to offer instead of this one, with a text for the user."""

    model: str
    migration_markdown: str | None = None


class Nux(msgspec.Struct, frozen=True):
    """A text that introduces a new model to the user."""

    message: str


class Messages(msgspec.Struct, frozen=True):
    """Instructions with a place (`{{ personality }}`) for one of several manners."""

    instructions_template: str | None = None
    instructions_variables: Mapping[str, str | None] | None = None


class ModelInfo(msgspec.Struct, frozen=True):
    """A catalog entry. Windows and limits are tokens. Unknown keys of foreign catalogs are ignored, missing
    ones take the cautious values below, which are also those of a model nobody knows (`fallback`)."""

    slug: str
    display_name: str = ""
    description: str | None = None
    default_reasoning_level: EffortLevel | None = None
    supported_reasoning_levels: tuple[Effort, ...] = ()
    shell_type: str = "default"
    visibility: Literal["list", "hide", "none"] = "none"
    supported_in_api: bool = True
    priority: int = 99
    additional_speed_tiers: tuple[str, ...] = ()
    availability_nux: Nux | None = None
    upgrade: Upgrade | None = None
    base_instructions: str = ""
    model_messages: Messages | None = None
    supports_reasoning_summaries: bool = False
    default_reasoning_summary: Summary = "auto"
    support_verbosity: bool = False
    default_verbosity: Literal["low", "medium", "high"] | None = None
    apply_patch_tool_type: Literal["freeform", "function"] | None = None
    web_search_tool_type: Literal["text", "text_and_image"] = "text"
    truncation_policy: Truncation = Truncation("bytes", 10_000)
    supports_parallel_tool_calls: bool = False
    supports_image_detail_original: bool = False
    supports_search_tool: bool = False
    """Whether it can look for tools that it was not told of."""
    context_window: int | None = None
    max_context_window: int | None = None
    auto_compact_token_limit: int | None = None
    effective_context_window_percent: int = 95
    input_modalities: tuple[Modality, ...] = ("text", "image")
    used_fallback: bool = False

    @property
    def hidden(self) -> bool:
        """Is it left out of the picker?"""
        return self.visibility != "list"

    @property
    def window(self) -> int | None:
        """The context window to reckon with, in tokens."""
        return self.context_window if self.context_window is not None else self.max_context_window

    @property
    def effective_window(self) -> int | None:
        """The window as clients see it, 95 % of the real one unless the catalog says otherwise."""
        window = self.window
        return None if window is None else window * self.effective_context_window_percent // 100

    @property
    def compact_limit(self) -> int | None:
        """The context size from which the history is compacted: never more than 90 % of the window
        (compaction 1)."""
        window = self.window
        if window is None:
            return self.auto_compact_token_limit
        ceiling = window * 9 // 10
        limit = self.auto_compact_token_limit
        return ceiling if limit is None else min(limit, ceiling)

    @property
    def supports_personality(self) -> bool:
        """Can the instructions take on a manner?"""
        messages = self.model_messages
        if messages is None or PERSONALITY_MARK not in (messages.instructions_template or ""):
            return False
        variables = messages.instructions_variables or {}
        return all(variables.get(f"personality_{name}") is not None for name in ("default", "friendly", "pragmatic"))

    @property
    def accepts_images(self) -> bool:
        """Does it take images as input?"""
        return "image" in self.input_modalities

    def personality_text(self, personality: str | None) -> str | None:
        """The text of a manner, None if the model has no such manner."""
        variables = (self.model_messages and self.model_messages.instructions_variables) or {}
        return variables.get(f"personality_{personality or 'default'}")

    def instructions(self, personality: str | None = None) -> str:
        """The model's base instructions, in the manner `personality` (None: the default one)."""
        if self.model_messages is None or self.model_messages.instructions_template is None:
            return self.base_instructions
        manner = self.personality_text(personality) or ""
        return self.model_messages.instructions_template.replace(PERSONALITY_MARK, manner)


class Overrides(msgspec.Struct, frozen=True):
    """Keys of the configuration that change what is known of a model; None leaves it.

    `tool_output_token_limit` is in tokens, `base_instructions` replaces the catalog's, and `personalities`
    False (feature off) drops the manners."""

    model_context_window: int | None = None
    model_auto_compact_token_limit: int | None = None
    model_supports_reasoning_summaries: bool | None = None
    tool_output_token_limit: int | None = None
    base_instructions: str | None = None
    personalities: bool = True


def override(info: ModelInfo, overrides: Overrides) -> ModelInfo:
    """`info` as the configuration wants it. A window beyond the model's largest is cut down to that
    (observed), and summaries can be switched on but not off."""
    changes: dict[str, object] = {}
    if (window := overrides.model_context_window) is not None:
        largest = info.max_context_window
        changes["context_window"] = window if largest is None else min(window, largest)
    if overrides.model_auto_compact_token_limit is not None:
        changes["auto_compact_token_limit"] = overrides.model_auto_compact_token_limit
    if overrides.model_supports_reasoning_summaries:
        changes["supports_reasoning_summaries"] = True
    if (tokens := overrides.tool_output_token_limit) is not None:
        mode = info.truncation_policy.mode
        changes["truncation_policy"] = Truncation(mode, tokens * 4 if mode == "bytes" else tokens)
    if overrides.base_instructions is not None:
        changes |= {"base_instructions": overrides.base_instructions, "model_messages": None}
    elif not overrides.personalities:
        changes["model_messages"] = None
    return msgspec.structs.replace(info, **changes) if changes else info
