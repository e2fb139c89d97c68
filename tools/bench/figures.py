"""One line of the table of a working engine, and what the system says about a process.

What a system does not say (there is no `/proc`, the files are in memory) is None and shown as nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from msgspec import Struct

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Figure(Struct, frozen=True):
    """What was measured on both sides, in the same unit; `bare` does the same work without an engine."""

    name: str
    unit: str
    bare: float | None
    ours: float | None

    @property
    def ratio(self) -> float | None:
        """How many times the bare figure ours is."""
        return self.ours / self.bare if self.ours is not None and self.bare else None


def cpu_seconds(pid: int) -> float | None:
    """CPU time of a process so far, in steps of some milliseconds."""
    text = _read(pid, "stat")
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else None


def bytes_written(pid: int) -> int | None:
    """Bytes that a process has made the system write to disks, in whole pages."""
    counters = dict(line.split(": ") for line in _read(pid, "io").splitlines())
    return int(counters.get("write_bytes", 0)) or None


def resident(pid: int | None = None) -> int | None:
    """Bytes of memory of a process, by default of this one."""
    fields = _read(pid or os.getpid(), "statm").split()
    return int(fields[1]) * _PAGE if fields else None


def grown(before: float | None, after: float | None, count: int = 1) -> float | None:
    """The difference of two readings, for each of `count`."""
    return None if before is None or after is None else (after - before) / count


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""
