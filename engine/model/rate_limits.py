"""Rate-limit headers of model replies -> snapshots. Pure functions over header mappings with lower-case names;
nothing here is sent or stored. Snapshots have the shape of rollout lines (`ev.RateLimitSnapshot`): the percentage
stays a float there and is rounded for the wire (`projections.usage`), where it is also told what becomes of the
snapshot before.

Rules: models-and-limits 2, token-usage 5. There is always a `codex` snapshot, even with no header at all."""

import math
import re
from collections.abc import Mapping
from typing import Final

from rollouts import events as ev

DEFAULT_LIMIT: Final = "codex"
_FAMILY_SUFFIX: Final = "-primary-used-percent"
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_TRUE, _FALSE = frozenset({"true", "1"}), frozenset({"false", "0"})


def snapshots(headers: Mapping[str, str]) -> tuple[ev.RateLimitSnapshot, ...]:
    """One snapshot per limit family of a reply, `codex` first, the others sorted and only if they have
    data."""
    others = sorted({limit for name in headers if (limit := _family(name)) not in (None, DEFAULT_LIMIT)})
    found = (snapshot(headers, limit) for limit in others)
    return (snapshot(headers), *(one for one in found if one.primary or one.secondary or one.credits))


def snapshot(headers: Mapping[str, str], limit: str = DEFAULT_LIMIT) -> ev.RateLimitSnapshot:
    """The snapshot of one family. Credits have one set of headers, whatever the family."""
    name = limit.strip().lower().replace("_", "-") or DEFAULT_LIMIT
    prefix = f"x-{name}"
    return ev.RateLimitSnapshot(
        limit_id=name.replace("-", "_"),
        limit_name=_text(headers, f"{prefix}-limit-name"),
        primary=_window(headers, f"{prefix}-primary"),
        secondary=_window(headers, f"{prefix}-secondary"),
        credits=_credits(headers),
        plan_type=None,
        rate_limit_reached_type=None,
    )


def active(headers: Mapping[str, str]) -> ev.RateLimitSnapshot:
    """The snapshot of the family that a usage-limit error is about (`x-codex-active-limit`)."""
    return snapshot(headers, headers.get("x-codex-active-limit", DEFAULT_LIMIT))


def _family(header: str) -> str | None:
    """`codex_other` for `x-codex-other-primary-used-percent`; None for other headers."""
    if not (header.startswith("x-") and header.endswith(_FAMILY_SUFFIX)):
        return None
    return header[2 : -len(_FAMILY_SUFFIX)].replace("-", "_") or None


def _window(headers: Mapping[str, str], prefix: str) -> ev.RateLimitWindow | None:
    used = _float(headers.get(f"{prefix}-used-percent"))
    minutes = _int(headers.get(f"{prefix}-window-minutes"))
    resets_at = _int(headers.get(f"{prefix}-reset-at"))
    if used is None or (used == 0 and not minutes and resets_at is None):
        return None
    return ev.RateLimitWindow(used_percent=used, window_minutes=minutes, resets_at=resets_at)


def _credits(headers: Mapping[str, str]) -> ev.CreditsSnapshot | None:
    has = _bool(headers.get("x-codex-credits-has-credits"))
    unlimited = _bool(headers.get("x-codex-credits-unlimited"))
    if has is None or unlimited is None:
        return None
    return ev.CreditsSnapshot(has_credits=has, unlimited=unlimited, balance=_text(headers, "x-codex-credits-balance"))


def _text(headers: Mapping[str, str], name: str) -> str | None:
    return headers.get(name, "").strip() or None


def _float(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _int(value: str | None) -> int | None:
    """A number that fits the wire's 64 bits."""
    return int(value) if value is not None and _INTEGER.fullmatch(value) else None


def _bool(value: str | None) -> bool | None:
    text = (value or "").lower()
    return True if text in _TRUE else False if text in _FALSE else None
