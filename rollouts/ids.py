"""Thread ids: UUIDv7s made from a clock that is passed in, and the check that an id from outside is one.

No file, no clock of its own; the only state is the last id a source gave.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

PATTERN = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
"""A hyphenated UUID in lower case, as a regular expression."""

_UUID = re.compile(PATTERN)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RANDOM = (1 << 62) - 1


def check_id(thread_id: str) -> str:
    """Return the id in lower case; raises ValueError unless it is a hyphenated UUID, so safe in a path."""
    low = thread_id.lower()
    if not _UUID.fullmatch(low):
        raise ValueError(f"not a thread id: {thread_id!r}")
    return low


def new_id(now: datetime, entropy: Callable[[int], int] = secrets.randbits) -> str:
    """A UUIDv7 for `now` (aware); ids of different microseconds sort by time (RFC 9562, 6.2 method 3)."""
    micros = (now - _EPOCH) // timedelta(microseconds=1)
    return _uuid7(micros // 1000 << 12 | micros % 1000 * 4096 // 1000, entropy(62))


def id_time(thread_id: str) -> datetime | None:
    """When a UUIDv7 was made (UTC, to the millisecond), None for ids of another kind."""
    value = int(check_id(thread_id).replace("-", ""), 16)
    if value >> 76 & 0xF != 7:
        return None
    try:
        return _EPOCH + timedelta(milliseconds=value >> 80)
    except OverflowError:
        return None


class Ids:
    """A source of UUIDv7s, each greater than the one before, also while the clock stands still or goes
    back."""

    def __init__(self, entropy: Callable[[int], int] = secrets.randbits) -> None:
        """`entropy(n)` gives n random bits."""
        self._entropy = entropy
        self._last = ""

    def new(self, now: datetime) -> str:
        """A new id for `now` (aware)."""
        candidate = new_id(now, self._entropy)
        if candidate <= self._last:
            last = int(self._last.replace("-", ""), 16)
            ticks = last >> 80 << 12 | last >> 64 & 0xFFF
            random = (last & _RANDOM) + 1
            candidate = _uuid7(ticks + (random >> 62), random & _RANDOM)
        self._last = candidate
        return candidate


def _uuid7(ticks: int, random: int) -> str:
    """`ticks` are milliseconds since 1970 times 4096, `random` has 62 bits."""
    text = f"{ticks >> 12 << 80 | 7 << 76 | (ticks & 0xFFF) << 64 | 2 << 62 | random:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
