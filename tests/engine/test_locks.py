"""Locks by name."""

from __future__ import annotations

import anyio
import pytest

from engine.locks import Locks

pytestmark = pytest.mark.anyio


async def test_holders_of_a_name_come_one_after_the_other_and_leave_nothing() -> None:
    locks = Locks()
    seen: list[tuple[str, int]] = []
    inside = 0

    async def use(name: str) -> None:
        nonlocal inside
        async with locks.of(name):
            inside += name == "a"
            await anyio.lowlevel.checkpoint()
            seen.append((name, inside))
            inside -= name == "a"

    async with anyio.create_task_group() as tasks:
        for name in ("a", "b", "a", "a"):
            tasks.start_soon(use, name)
    assert sorted(seen)[:3] == [("a", 1)] * 3
    assert len(locks) == 0
