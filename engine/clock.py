"""Time as the engine sees it: one small protocol, so that tests and replays bring their own."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""

    def zone(self) -> str:
        """Name of the local time zone, such as `Europe/Berlin`; dates shown to the model are in it."""


class SystemClock:
    """The computer's clock; `etc` is where the system says which zone it is in."""

    def __init__(self, etc: Path = Path("/etc")) -> None:
        self._etc = etc
        self._files = (str(etc / "timezone"), str(etc / "localtime"))
        self._seen: object = None
        self._zone = ""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""
        return datetime.now(UTC)

    def zone(self) -> str:
        """The IANA name of the local time zone; `Etc/UTC` if the system does not tell."""
        variable = os.environ.get("TZ")
        seen = (variable, *map(_version, self._files))
        if seen != self._seen:
            self._zone, self._seen = zone_name(variable, self._etc), seen
        return self._zone


def timestamp(when: datetime) -> str:
    """RFC 3339 in UTC with exactly three decimals, as rollout lines carry it: `2026-04-20T10:00:00.640Z`."""
    return when.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def local_date(when: datetime, zone: str) -> str:
    """The date `YYYY-MM-DD` at that moment in the named time zone."""
    return when.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d")


def zone_name(variable: str | None, etc: Path) -> str:
    """The first known zone that `TZ`, `<etc>/timezone` or the link `<etc>/localtime` names."""
    candidates = [(variable or "").lstrip(":")]
    try:
        candidates.append((etc / "timezone").read_text(encoding="ascii", errors="replace").strip())
    except OSError:
        candidates.append("")
    linked = os.path.realpath(etc / "localtime")
    candidates.append(linked.partition("/zoneinfo/")[2])
    return next((name for name in candidates if name and _known(name)), "Etc/UTC")


def _version(file: str) -> tuple[int, int] | None:
    """What is other when a file or a link was changed."""
    try:
        status = os.lstat(file)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _known(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, absolute or outside the zone folder, a folder
        return False
    return True


def jitter() -> Iterator[float]:
    """Factors for the delays between retries, so that clients do not retry in step."""
    while True:
        yield random.uniform(0.9, 1.1)
