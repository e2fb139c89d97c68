"""Decoding the base64 of requests strictly, and saying what is wrong in the words of the reference's decoder."""

from __future__ import annotations

import base64
import string

_SYMBOLS = (string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/").encode()
_PAD = ord("=")


class BadBase64(ValueError):
    """The text is no canonical base64 with padding; the message says where."""


def decode(text: str) -> bytes:
    """The bytes a text stands for.

    :raises BadBase64: for any other alphabet, missing or surplus padding, line ends and stray bits.
    """
    data = text.encode()
    last = data[-1] if data else 0
    if len(data) % 4 == 1 and last != _PAD and last not in _SYMBOLS:
        raise BadBase64(f"Invalid symbol {last}, offset {len(data) - 1}.")
    start = len(data) - (len(data) % 4 or 4) if data else 0
    for offset, symbol in enumerate(data[:start]):
        if symbol not in _SYMBOLS:
            raise BadBase64(f"Invalid symbol {symbol}, offset {offset}.")
    _check_end(data[start:], start)
    return base64.b64decode(data)


def _check_end(end: bytes, start: int) -> None:
    """Check the last group of up to four symbols, the only one that may be padded."""
    symbols = end.rstrip(b"=")
    for offset, symbol in enumerate(symbols):
        if symbol not in _SYMBOLS:
            raise BadBase64(f"Invalid symbol {symbol}, offset {start + offset}.")
    if len(symbols) < min(2, len(end)) and len(end) > len(symbols):
        raise BadBase64(f"Invalid symbol {_PAD}, offset {start + len(symbols)}.")
    if len(symbols) == 1:
        raise BadBase64(f"Invalid input length: {start + 1}")
    if len(end) % 4:
        raise BadBase64("Invalid padding")
    unused = {2: 0b1111, 3: 0b11}.get(len(symbols), 0)
    if unused and _SYMBOLS.index(symbols[-1]) & unused:
        raise BadBase64(f"Invalid last symbol {symbols[-1]}, offset {start + len(symbols) - 1}.")
