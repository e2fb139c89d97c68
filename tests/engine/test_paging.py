"""Cursors that are offsets."""

from __future__ import annotations

import pytest

from engine.errors import BadRequest
from engine.paging import offset


@pytest.mark.parametrize(("cursor", "start"), [(None, 0), ("0", 0), ("+3", 3), ("05", 5)])
def test_numbers_up_to_the_total(cursor: str | None, start: int) -> None:
    assert offset(cursor, 5, "models") == start


@pytest.mark.parametrize("cursor", ["", "x", "-1", " 1", "1.0", "++1", "٣", "18446744073709551616"])
def test_what_is_no_number(cursor: str) -> None:
    with pytest.raises(BadRequest) as refused:
        offset(cursor, 5, "models")
    assert refused.value.message == f"invalid cursor: {cursor}"


def test_what_is_behind_the_end() -> None:
    with pytest.raises(BadRequest, match="cursor 6 exceeds total models 5"):
        offset("6", 5, "models")
