"""Rate-limit headers to snapshots, and what a new snapshot keeps of the old one."""

from typing import Any

import msgspec
import pytest

from engine.model import rate_limits
from rollouts import events as ev


def limits(limit_id: str = "codex", /, **more: Any) -> ev.RateLimitSnapshot:
    return ev.RateLimitSnapshot(limit_id=limit_id, **more)


def window(used: float, minutes: int | None = None, resets_at: int | None = None) -> ev.RateLimitWindow:
    return ev.RateLimitWindow(used_percent=used, window_minutes=minutes, resets_at=resets_at)


def test_there_is_always_a_codex_snapshot() -> None:
    assert rate_limits.snapshots({}) == (limits(),)


@pytest.mark.parametrize(
    ("headers", "primary"),
    [
        ({"used-percent": "12.5", "window-minutes": "300", "reset-at": "1900000000"}, window(12.5, 300, 1900000000)),
        ({"used-percent": "12.5"}, window(12.5)),
        ({"used-percent": "0"}, None),
        ({"used-percent": "0", "window-minutes": "0"}, None),
        ({"used-percent": "0", "window-minutes": "5"}, window(0, 5)),
        ({"used-percent": "0", "reset-at": "7"}, window(0, None, 7)),
        ({"window-minutes": "5"}, None),
        ({"used-percent": "nan"}, None),
        ({"used-percent": "inf"}, None),
        ({"used-percent": "much"}, None),
        ({"used-percent": "1e1", "reset-at": "12.5"}, window(10)),
        ({"used-percent": "1", "reset-at": "9" * 30}, window(1)),
    ],
)
@pytest.mark.parametrize("kind", ["primary", "secondary"])
def test_windows(kind: str, headers: dict[str, str], primary: ev.RateLimitWindow | None) -> None:
    given = {f"x-codex-{kind}-{name}": value for name, value in headers.items()}
    assert rate_limits.snapshots(given) == (msgspec.structs.replace(limits(), **{kind: primary}),)


@pytest.mark.parametrize(
    ("headers", "credits"),
    [
        ({"has-credits": "true", "unlimited": "false", "balance": "9.99"}, (True, False, "9.99")),
        ({"has-credits": "1", "unlimited": "0"}, (True, False, None)),
        ({"has-credits": "TRUE", "unlimited": "FALSE", "balance": "  "}, (True, False, None)),
        ({"has-credits": "true"}, None),
        ({"unlimited": "true", "balance": "1"}, None),
        ({"has-credits": "yes", "unlimited": "true"}, None),
    ],
)
def test_credits(headers: dict[str, str], credits: tuple[bool, bool, str | None] | None) -> None:
    given = {f"x-codex-credits-{name}": value for name, value in headers.items()}
    expected = credits and ev.CreditsSnapshot(has_credits=credits[0], unlimited=credits[1], balance=credits[2])
    assert rate_limits.snapshots(given) == (limits(credits=expected),)


def test_further_families_follow_in_order_if_they_have_data() -> None:
    headers = {
        "x-codex-primary-used-percent": "1",
        "x-codex-limit-name": " Main ",
        "x-codex-zip-primary-used-percent": "2",
        "x-codex-other-primary-used-percent": "3",
        "x-codex-other-limit-name": "gpt-sonic",
        "x-codex-none-primary-used-percent": "0",
        "x-codex-late-secondary-used-percent": "4",
    }
    assert rate_limits.snapshots(headers) == (
        limits(primary=window(1), limit_name="Main"),
        limits("codex_other", primary=window(3), limit_name="gpt-sonic"),
        limits("codex_zip", primary=window(2)),
    )


@pytest.mark.parametrize(
    ("header", "limit_id"),
    [
        (None, "codex"),
        ("codex_other", "codex_other"),
        ("codex-other", "codex_other"),
        (" CODEX_Other ", "codex_other"),
        ("", "codex"),
    ],
)
def test_the_active_limit_of_a_usage_limit_error(header: str | None, limit_id: str) -> None:
    headers = {"x-codex-other-primary-used-percent": "100"}
    if header is not None:
        headers["x-codex-active-limit"] = header
    snapshot = rate_limits.active(headers)
    assert snapshot.limit_id == limit_id
    assert snapshot.primary == (window(100) if limit_id == "codex_other" else None)
