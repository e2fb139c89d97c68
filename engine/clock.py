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
    """The computer's clock."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""
        return datetime.now(UTC)

    def zone(self) -> str:
        """The IANA name of the local time zone; `Etc/UTC` if the system does not tell."""
        return zone_name(os.environ.get("TZ"), Path("/etc"))


def timestamp(when: datetime) -> str:
    """RFC 3339 in UTC with exactly three decimals, as rollout lines carry it: `2026-04-20T10:00:00.640Z`."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03}Z"


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
