"""What requests to the model and rollout files say, in the terms of the tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.mock_model import MockModel, Request, Usage

_TEXTS = ("input_text", "output_text")
#: Starts of user messages that engines write for the model and no user typed.
_CONTEXT = ("<environment_context>", "# AGENTS.md")


def asked(model: MockModel) -> list[Request]:
    """The requests for a reply, in order."""
    return [one for one in model.requests if one.method == "POST" and one.path.endswith("/responses")]


def conversation(items: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """Who said what, without what engines say for themselves."""
    said = [(item["role"], text_of(item)) for item in items if item.get("type") == "message"]
    return [(role, text) for role, text in said if role != "developer" and not text.startswith(_CONTEXT)]


def text_of(item: dict[str, Any]) -> str:
    """The text of a message."""
    return "".join(part["text"] for part in item["content"] if part["type"] in _TEXTS)


def events(lines: Sequence[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The payloads of one kind of event."""
    return [line["payload"] for line in lines if line["type"] == "event_msg" and line["payload"]["type"] == kind]


def total(usages: Sequence[Usage]) -> dict[str, int]:
    """What replies with these usages add up to, as clients see it."""
    given, cached, output, reasoning = (sum(column) for column in zip(*usages, strict=True))
    return {
        "totalTokens": given + output,
        "inputTokens": given,
        "cachedInputTokens": cached,
        "outputTokens": output,
        "reasoningOutputTokens": reasoning,
    }


def written(usages: Sequence[Usage]) -> dict[str, int]:
    """The same as files say it."""
    names = {
        "totalTokens": "total_tokens",
        "inputTokens": "input_tokens",
        "cachedInputTokens": "cached_input_tokens",
        "outputTokens": "output_tokens",
        "reasoningOutputTokens": "reasoning_output_tokens",
    }
    return {names[key]: value for key, value in total(usages).items()}
