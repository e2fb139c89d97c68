"""The operations of a turn as tasks: cancelled by their keys, which every turn counts from the same number."""

from __future__ import annotations

import anyio
import pytest

from engine.errands import Errands


@pytest.mark.anyio
async def test_work_that_outlives_its_turn_neither_reports_nor_takes_the_next_ones_place() -> None:
    began, finish, stopped = anyio.Event(), anyio.Event(), anyio.Event()
    reported: list[object] = []

    async def cannot_be_stopped() -> str:
        began.set()
        with anyio.CancelScope(shield=True):
            await finish.wait()
        return "late"

    async def next_one() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            errands = Errands(tasks)
            errands.start(1, cannot_be_stopped, lambda result, failed: reported.append(result))
            await began.wait()
            errands.cancel(1)
            errands.start(1, next_one, lambda result, failed: reported.append(result))
            finish.set()
            await anyio.wait_all_tasks_blocked()
            errands.cancel(1)
            await stopped.wait()
    assert reported == []
