"""A command line as one readable string, quoted as the reference quotes it.

Python's `shlex.join` picks other quotes, so the rule is here: the longest stretch that one style can hold is written in
the plainest such style (bare, single quotes, double quotes), then the next stretch follows without a space.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

_BARE = frozenset(string.ascii_letters + string.digits + "+-./:@]_")
_NOT_SINGLE = frozenset("'^\\")
_NOT_DOUBLE = frozenset("`$!^")

# Nearly every word is of one of these kinds, and need not be looked at character by character.
_ALL_BARE = re.compile(r"[A-Za-z0-9+\-./:@\]_]+")
_ALL_SINGLE = re.compile(r"[^'^\\]+")

BARE, SINGLE, DOUBLE = 1, 2, 4


def join(argv: Sequence[str]) -> str:
    """The words of a command, quoted for a POSIX shell and joined by spaces."""
    if any("\0" in word for word in argv):
        return "<command included NUL byte>"
    return " ".join(map(quote, argv))


def quote(word: str) -> str:
    """One word, quoted where a shell would need it."""
    if not word:
        return "''"
    if _ALL_BARE.fullmatch(word):
        return word
    if _ALL_SINGLE.fullmatch(word):
        return f"'{word}'"
    parts = []
    start = 0
    while start < len(word):
        end, styles = _stretch(word, start)
        parts.append(_quoted(word[start:end], styles))
        start = end
    return "".join(parts)


def _stretch(word: str, start: int) -> tuple[int, int]:
    """The end of the longest stretch from `start` that some style can hold, and the styles that can."""
    styles = BARE | SINGLE | DOUBLE
    end = start
    if word[start] == "^":  # bash takes it for history expansion unless a single quote opens right before it
        styles = SINGLE
        end += 1
    while end < len(word):
        still = styles & _styles(word[end])
        if not still:
            break
        styles = still
        end += 1
    return end, styles


def _styles(char: str) -> int:
    styles = BARE if char in _BARE else 0
    if char not in _NOT_SINGLE:
        styles |= SINGLE
    if char not in _NOT_DOUBLE:
        styles |= DOUBLE
    return styles


def _quoted(text: str, styles: int) -> str:
    if styles & BARE:
        return text
    if styles & SINGLE:
        return f"'{text}'"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
