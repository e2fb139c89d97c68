"""What a message in the model's history is for: real user input, context the engine wrote, or a hook's prompt.

The model sees all of them as messages; only their text tells them apart, by the marks the engine puts around what it
writes itself. Rollbacks, previews and turns count real user input only (rollout-format.md 4, "Special user messages").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollouts import events as ev

SUMMARY_START = "Another language model started to solve this problem and produced a summary of its thinking process."
"""How a compaction summary begins (compaction.md 2); a message that begins so is not the user's."""

_USER_MARKS = (
    ("# agents.md instructions for ", "</instructions>"),
    ("<environment_context>", "</environment_context>"),
    ("<skill>", "</skill>"),
    ("<user_shell_command>", "</user_shell_command>"),
    ("<turn_aborted>", "</turn_aborted>"),
    ("<subagent_notification>", "</subagent_notification>"),
)
_DEVELOPER_MARKS = (
    "<permissions instructions>",
    "<model_switch>",
    "<collaboration_mode>",
    "<realtime_conversation>",
    "<personality_spec>",
)
_HOOK_PROMPT = "<hook_prompt"
IMAGE_OPEN = "<image>"
IMAGE_CLOSE = "</image>"
_NAMED_IMAGE = "<image name="


def is_user_input(item: ev.Message) -> bool:
    """Whether a user wrote this message, or a client injected it as one: what a rollback counts."""
    return item.role == "user" and not is_context(item)


def is_context(item: ev.Message) -> bool:
    """Whether the engine wrote this message to tell the model about its surroundings."""
    if item.role == "user":
        return any(map(_is_user_context, _input_texts(item.content)))
    if item.role == "developer":
        return any(text.lstrip().lower().startswith(_DEVELOPER_MARKS) for text in _input_texts(item.content))
    return False


def message_text(item: ev.Message) -> str:
    """The text parts of a message in one string."""
    return "".join(part.text for part in item.content if not isinstance(part, ev.InputImage))


def as_read(message: ev.Message) -> Iterator[ev.UserInput]:
    """The input that a user message amounts to, for those who have only what the model reads of it."""
    parts = message.content
    for index, part in enumerate(parts):
        if isinstance(part, ev.InputImage):
            yield ev.ImageInput(part.image_url)
        elif isinstance(part, ev.InputText) and not _frames_image(parts, index, part.text):
            yield ev.TextInput(part.text)


def _frames_image(parts: tuple[ev.ContentItem, ...], index: int, text: str) -> bool:
    """Whether a text only says where an image begins or ends."""
    if text == IMAGE_CLOSE:
        return index > 0 and isinstance(parts[index - 1], ev.InputImage)
    opens = text == IMAGE_OPEN or (text.startswith(_NAMED_IMAGE) and text.endswith(">"))
    return opens and index + 1 < len(parts) and isinstance(parts[index + 1], ev.InputImage)


def is_summary(text: str) -> bool:
    """Whether a user message's text is the summary of a compaction."""
    return text.startswith(SUMMARY_START)


def hook_prompt(item: ev.Message) -> tuple[ev.HookPromptFragment, ...]:
    """The prompts of Stop hooks a user message is made of; empty if it is anything else."""
    if item.role != "user":
        return ()
    fragments = []
    for part in item.content:
        fragment = _fragment(part.text) if isinstance(part, ev.InputText) else None
        if fragment is None:
            return ()
        fragments.append(fragment)
    return tuple(fragments)


def _fragment(text: str) -> ev.HookPromptFragment | None:
    text = text.strip()
    if not text.startswith(_HOOK_PROMPT) or "<!" in text:
        return None
    from xml.etree import ElementTree  # takes long to load, and hooks speak seldom

    try:
        element = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return None
    run_id = element.get("hook_run_id", "")
    if element.tag != "hook_prompt" or not run_id.strip() or not element.text:
        return None
    return ev.HookPromptFragment(text=element.text, hook_run_id=run_id)


def _input_texts(content: Sequence[ev.ContentItem]) -> list[str]:
    return [part.text for part in content if isinstance(part, ev.InputText)]


def _is_user_context(text: str) -> bool:
    lowered = text.strip().lower()
    if any(lowered.startswith(start) and lowered.endswith(end) for start, end in _USER_MARKS):
        return True
    return _fragment(text) is not None
