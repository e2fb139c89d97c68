"""Items of the model's history as the bytes that go to the model, with just enough known about each.

An item is kept as the JSON the reference would write for it; what an estimate, a rollback or a request needs is noted
beside it when it comes in. Nothing is decoded again until somebody asks for a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import cast

import msgspec

from projections.messages import is_context, is_summary, message_text
from projections.truncate import text_tokens, tokens_of, truncate_tokens
from rollouts import codec
from rollouts import events as ev

USER_MESSAGE_BUDGET = 20_000
"""Tokens of user messages that a compaction keeps (compaction.md 2)."""
NO_SUMMARY = "(no summary available)"
IMAGE_BYTES = 7373
"""What the base64 data of an image counts in an estimate (token-usage.md 2)."""
_ENCRYPTED_OVERHEAD = 650
_MODELS_KINDS = frozenset(
    {
        "reasoning",
        "function_call",
        "custom_tool_call",
        "local_shell_call",
        "tool_search_call",
        "web_search_call",
        "image_generation_call",
        "compaction",
    }
)
_DATA_URL = re.compile(r"data:image/[^,]*;base64,", re.IGNORECASE)
_IMAGE_TAG = re.compile(r"</?image>|<image name=\[[^\]]*\]>")


class WindowItem(msgspec.Struct, frozen=True, gc=False):
    """One item of the history.

    `kind` is its type on the wire, `raw` its compact JSON, `size` the bytes it counts in an estimate. `user` marks what
    a user said (or a client injected as such), `context` what the engine told the model about its surroundings.
    """

    kind: str
    raw: bytes
    size: int
    role: str | None = None
    call_id: str | None = None
    user: bool = False
    context: bool = False


def window_item(item: codec.Item | ev.Unknown) -> WindowItem | None:
    """An item as the window keeps it; None for what the model never sees."""
    if isinstance(item, ev.OtherItem | ev.GhostSnapshot | ev.Unknown):
        return None
    if isinstance(item, ev.Message) and item.role == "system":
        return None
    raw = codec.encode_item(item)
    role, context = None, False
    if isinstance(item, ev.Message):
        role, context = item.role, is_context(item)
    return WindowItem(
        kind=str(type(item).__struct_config__.tag),
        raw=raw,
        size=_size(item, raw),
        role=role,
        call_id=getattr(item, "call_id", None),
        user=role == "user" and not context,
        context=context,
    )


def window_items(payloads: Iterable[bytes | msgspec.Raw]) -> list[WindowItem]:
    """The items of a `replacement_history`, without what the model never sees."""
    items = (window_item(codec.decode_item(payload)) for payload in payloads)
    return [item for item in items if item is not None]


def estimate(items: Iterable[WindowItem], instructions: str) -> int:
    """Tokens of a history with its base instructions, estimated (token-usage.md 2, "Local estimate")."""
    return text_tokens(instructions) + sum(tokens_of(item.size) for item in items)


def unseen_tokens(items: Sequence[WindowItem]) -> int:
    """Estimated tokens of what stands behind the newest item of the model, which no usage has counted yet.

    0 as long as the model has made none (observed).
    """
    newest = next((at for at in range(len(items) - 1, -1, -1) if _is_models(items[at])), len(items))
    return sum(tokens_of(item.size) for item in items[newest + 1 :])


def past_reasoning_tokens(items: Sequence[WindowItem]) -> int:
    """Estimated tokens of encrypted reasoning before the newest user message: servers leave it out of their counts."""
    newest = next((at for at in range(len(items) - 1, -1, -1) if items[at].user), 0)
    return sum(tokens_of(item.size) for item in items[:newest] if item.kind == "reasoning" and _is_encrypted(item))


def last_assistant_text(items: Sequence[WindowItem]) -> str | None:
    """What the model said last, blank messages aside."""
    for item in reversed(items):
        if item.role == "assistant":
            text = message_text(cast("ev.Message", codec.decode_item(item.raw)))
            if text.strip():
                return text
    return None


def user_texts(items: Iterable[WindowItem]) -> list[str]:
    """What users said, without images and without the summaries of earlier compactions."""
    texts = (_text(item) for item in items if item.user)
    return [text for text in texts if not is_summary(text)]


def compacted_history(texts: Sequence[str], summary: str) -> list[ev.Message]:
    """The history after a compaction: the newest user texts that fit the budget, then the summary."""
    kept: list[str] = []
    left = USER_MESSAGE_BUDGET
    for text in reversed(texts):
        if left == 0:
            break
        tokens = text_tokens(text)
        kept.append(text if tokens <= left else truncate_tokens(text, left))
        left = max(left - tokens, 0)
    return [_user_message(text) for text in (*reversed(kept), summary or NO_SUMMARY)]


def _is_models(item: WindowItem) -> bool:
    return item.role == "assistant" or item.kind in _MODELS_KINDS


def _is_encrypted(item: WindowItem) -> bool:
    return b'"encrypted_content":"' in item.raw


def _user_message(text: str) -> ev.Message:
    return ev.Message(role="user", content=(ev.InputText(text=text),))


def _text(item: WindowItem) -> str:
    message = cast("ev.Message", codec.decode_item(item.raw))
    has_image = any(isinstance(part, ev.InputImage) for part in message.content)
    return "".join(
        part.text
        for part in message.content
        if isinstance(part, ev.InputText) and not (has_image and _IMAGE_TAG.fullmatch(part.text))
    )


def _size(item: codec.Item, raw: bytes) -> int:
    encrypted = getattr(item, "encrypted_content", None)
    if encrypted is not None:
        return max(len(encrypted.encode()) * 3 // 4 - _ENCRYPTED_OVERHEAD, 0)
    return len(raw) + sum(IMAGE_BYTES - length for length in _image_lengths(item))


def _image_lengths(item: codec.Item) -> Iterable[int]:
    """Lengths of the base64 data of the images in an item."""
    parts = getattr(item, "content", None) if isinstance(item, ev.Message) else getattr(item, "output", None)
    if parts is None or isinstance(parts, str):
        return
    for part in parts:
        if isinstance(part, ev.InputImage) and (head := _DATA_URL.match(part.image_url)):
            yield len(part.image_url) - head.end()
