"""Measuring: CPU seconds and bytes read of a piece of work, the best of some rounds.

CPU time of all threads of the process, so that the load of the machine and the cache of its disk do not decide. Bytes
are those the process asked the system for, through whatever library; systems that do not count them show none.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

_COUNTERS = Path("/proc/self/io")


class Cost(Struct, frozen=True, order=True):
    """CPU time in seconds, and bytes read where they are counted."""

    seconds: float
    read: int | None = None


class Meter:
    """Collects the costs of the rounds of one piece of work."""

    def __init__(self) -> None:
        self.rounds: list[Cost] = []

    @contextmanager
    def measure(self) -> Iterator[None]:
        """Measure the block as one round."""
        gc.collect()
        read, started = bytes_read(), time.process_time()
        yield
        seconds, after = time.process_time() - started, bytes_read()
        self.rounds.append(Cost(seconds, after - read if after is not None and read is not None else None))

    @property
    def best(self) -> Cost:
        """The cheapest round."""
        return min(self.rounds)


def bytes_read() -> int | None:
    """Bytes this process has read so far; None where the system does not say."""
    try:
        return int(_COUNTERS.read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
