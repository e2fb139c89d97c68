"""Shortening text in the middle, and the token arithmetic that goes with it.

One estimate is used everywhere: four bytes of UTF-8 are a token. The engine shortens tool outputs with it, the window
rebuilds old compactions with it. Nothing here knows what the text is.
"""

from __future__ import annotations

BYTES_PER_TOKEN = 4


def tokens_of(size: int) -> int:
    """Estimated tokens of `size` bytes, rounded up."""
    return -(-size // BYTES_PER_TOKEN)


def text_tokens(text: str) -> int:
    """Estimated tokens of a text."""
    return tokens_of(len(text.encode()))


def truncate_tokens(text: str, budget: int) -> str:
    """Keep the ends of a text within `budget` tokens, `…<k> tokens truncated…` between them."""
    return _truncate(text, budget * BYTES_PER_TOKEN, "tokens")


def truncate_bytes(text: str, budget: int) -> str:
    """Keep the ends of a text within `budget` bytes, `…<k> chars truncated…` between them."""
    return _truncate(text, budget, "chars")


def _truncate(text: str, budget: int, unit: str) -> str:
    data = text.encode()
    if len(data) <= budget:
        return text
    left = budget // 2
    right = budget - left
    head = data[:left].decode(errors="ignore")
    tail = _whole_chars(data[len(data) - right :]) if right else ""
    removed = tokens_of(len(data) - budget) if unit == "tokens" else len(text) - len(head) - len(tail)
    return f"{head}…{removed} {unit} truncated…{tail}"


def _whole_chars(data: bytes) -> str:
    """Decode the end of a text, dropping the torn character at its start."""
    start = 0
    while start < len(data) and data[start] & 0xC0 == 0x80:
        start += 1
    return data[start:].decode()
