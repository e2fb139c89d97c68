"""Memory that a large answer took, given back to the system.

The C library keeps what is freed for the next time: after one long history a server would stay as large as its answer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache


def give_back() -> None:
    """Let go of freed memory. Costs some milliseconds; does nothing where the C library has no word for it."""
    _trim()(0)


@cache
def _trim() -> Callable[[int], object]:
    import ctypes

    return getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)
