"""Lines of which only a part is there: of a crash, or of another program in the middle of its write."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.restore import NEAR_BYTES
from engine.thread import Thread
from projections.session import rebuild
from rollouts import codec
from rollouts import events as ev
from rollouts.log import FileLog
from tests.engine.harness import Engine, engine, make_home, until
from tests.engine.harness_histories import STAMP, THREAD, write_history
from tests.engine.test_threads_durable import plain

pytestmark = pytest.mark.anyio

LINE = codec.encode(ev.ThreadNameUpdated(THREAD, "named by another program"), STAMP)
SIZES = pytest.mark.parametrize("turns", [2, 200], ids=["small", "large"])


def put(rollout: Path, data: bytes) -> None:
    with rollout.open("ab") as file:
        file.write(data)


async def loaded(running: Engine, *, exclude_turns: bool = False) -> Thread:
    await running.resume(THREAD, exclude_turns=exclude_turns)
    thread = running.host.threads.get(THREAD)
    await until(lambda: thread.journal.state.complete)
    return thread


def check(thread: Thread, rollout: Path) -> None:
    assert plain(thread.journal.state) == plain(rebuild(FileLog(rollout)))


@SIZES
@pytest.mark.parametrize("exclude_turns", [True, False])
async def test_a_file_with_a_torn_end_is_resumed_and_goes_on(tmp_path: Path, turns: int, exclude_turns: bool) -> None:
    home = make_home(tmp_path)
    rollout = write_history(home, turns)
    put(rollout, LINE[:50])
    assert (rollout.stat().st_size > NEAR_BYTES) == (turns > 2)
    async with engine(home) as running:
        thread = await loaded(running, exclude_turns=exclude_turns)
        check(thread, rollout)
        await running.turn(THREAD)
        check(thread, rollout)
        assert len((await thread.history()).turns) == turns + 1


@SIZES
@pytest.mark.parametrize("when", ["before it is loaded", "while it is loaded"])
async def test_a_line_that_is_being_written_counts_once_it_is_whole(tmp_path: Path, turns: int, when: str) -> None:
    home = make_home(tmp_path)
    rollout = write_history(home, turns)
    async with engine(home) as running:
        if when == "before it is loaded":
            put(rollout, LINE[:50])
        thread = await loaded(running)
        if when == "while it is loaded":
            put(rollout, LINE[:50])
        thread.catch_up()
        put(rollout, LINE[50:])
        await running.turn(THREAD)
        assert thread.journal.state.facts.metadata.name == "named by another program"
        check(thread, rollout)
