"""What may stand in an HTTP header. The reference leaves out what may not, without a word; so do we. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_NO_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


def header_value(text: str) -> bool:
    """Whether a text may be the value of an HTTP header, in UTF-8."""
    return _NO_VALUE.search(text) is None


def sendable(headers: Mapping[str, str]) -> dict[str, str]:
    """Those that HTTP allows. Blanks around a value are no part of it, and the client library refuses them, as in a key
    that was pasted."""
    return {
        name: value.strip(" \t") for name, value in headers.items() if _NAME.fullmatch(name) and header_value(value)
    }
