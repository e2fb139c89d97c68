"""A loaded thread whose file others cut, replace or move: nothing is written to it until it is resumed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from projections import protocol as p
from tests.engine.harness import engine, make_home

pytestmark = pytest.mark.anyio


def cut(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if b'"task_started"' in line)
    os.truncate(path, sum(map(len, lines[:last])))


def replace(path: Path) -> None:
    shutil.copy(path, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def move(path: Path) -> None:
    path.rename(path.parent.parent / path.name)


@pytest.mark.parametrize(("damage", "left"), [(cut, 1), (replace, 2), (move, 2)])
async def test_what_became_of_the_file_counts_after_a_resume(
    tmp_path: Path, damage: Callable[[Path], None], left: int
) -> None:
    async with engine(make_home(tmp_path)) as running:
        thread_id = await running.start()
        for _ in range(2):
            await running.turn(thread_id)
        path = running.host.threads.get(thread_id).path
        assert path is not None
        damage(path)
        refused = await running.ended(running.begin(thread_id))
        assert refused.status == "failed"
        assert refused.error is not None and " again" in refused.error.message
        resumed = await running.resume(thread_id)
        assert [turn.status for turn in resumed.thread.turns] == ["completed"] * left
        assert isinstance(resumed.thread.status, p.IdleThreadStatus)
        await running.turn(thread_id)
        assert len((await running.resume(thread_id)).thread.turns) == left + 1


async def test_a_file_that_was_moved_can_be_named_by_its_new_path(tmp_path: Path) -> None:
    async with engine(make_home(tmp_path)) as running:
        thread_id = await running.start()
        await running.turn(thread_id)
        path = running.host.threads.get(thread_id).path
        assert path is not None
        elsewhere = path.rename(tmp_path / path.name)
        assert (await running.resume(thread_id, path=str(elsewhere))).thread.path == str(elsewhere)
        await running.turn(thread_id)
        assert elsewhere.exists() and not path.exists()
