"""Times as lines carry them, dates as the model sees them, and the name of the local zone."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from engine.clock import SystemClock, local_date, timestamp, zone_name


def test_a_timestamp_has_three_decimals_in_utc() -> None:
    assert timestamp(datetime(2026, 4, 20, 10, 0, 0, 640_999, UTC)) == "2026-04-20T10:00:00.640Z"
    assert timestamp(datetime(2026, 1, 1, 1, 0, tzinfo=timezone(timedelta(hours=2)))) == "2025-12-31T23:00:00.000Z"


def test_the_date_is_that_of_the_zone() -> None:
    moment = datetime(2026, 4, 20, 23, 30, tzinfo=UTC)
    assert (local_date(moment, "Etc/UTC"), local_date(moment, "Asia/Tokyo")) == ("2026-04-20", "2026-04-21")


@pytest.mark.parametrize(
    ("variable", "file", "expected"),
    [
        ("Europe/Berlin", "Asia/Tokyo\n", "Europe/Berlin"),
        (":Europe/Berlin", None, "Europe/Berlin"),
        (None, "Asia/Tokyo\n", "Asia/Tokyo"),
        ("", None, "Etc/UTC"),
        ("/etc/localtime", None, "Etc/UTC"),
        ("no such zone", "../../x", "Etc/UTC"),
    ],
)
def test_the_zone_is_the_first_known_name(
    tmp_path: Path, variable: str | None, file: str | None, expected: str
) -> None:
    if file is not None:
        (tmp_path / "timezone").write_text(file)
    assert zone_name(variable, tmp_path) == expected


def test_the_zone_may_be_a_link(tmp_path: Path) -> None:
    target = tmp_path / "zoneinfo" / "Europe" / "Berlin"
    target.parent.mkdir(parents=True)
    target.touch()
    (tmp_path / "localtime").symlink_to(target)
    assert zone_name(None, tmp_path) == "Europe/Berlin"


def test_the_system_clock_is_aware_and_knows_a_zone() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    assert local_date(clock.now(), clock.zone())


def test_the_system_clock_sees_the_zone_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)
    clock = SystemClock(tmp_path)
    assert clock.zone() == "Etc/UTC"
    (tmp_path / "timezone").write_text("Asia/Tokyo")
    assert clock.zone() == clock.zone() == "Asia/Tokyo"
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert clock.zone() == "Europe/Berlin"
