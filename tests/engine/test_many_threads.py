"""Many threads in one process: turns side by side, and memory that hardly grows with the turns they have had."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import anyio
import pytest

from tests.engine.harness import Engine, engine, make_home, until

THREADS = 100
PER_TURN = 12 << 10
"""Bytes that a turn of two short messages may leave behind: its items in the live window, its row in the table."""


@pytest.mark.anyio
async def test_a_hundred_threads_have_a_turn_in_flight_at_once(tmp_path: Path) -> None:
    async with engine(make_home(tmp_path)) as one:
        one.model.gate = anyio.Event()
        threads = [await one.start() for _ in range(THREADS)]
        turns = [one.begin(thread, f"in {thread}") for thread in threads]
        await until(lambda: len(one.model.requests) == THREADS, "a request of each thread")
        assert not one.sink.of("turn/completed")
        one.model.gate.set()
        with anyio.fail_after(30):
            ended = [await one.ended(turn) for turn in turns]
        assert {turn.status for turn in ended} == {"completed"}
        for thread in threads:
            path = one.host.threads.get(thread).path
            assert path is not None
            assert path.read_text().count(f"in {thread}") == 2, "the message and its event, of this thread alone"


@pytest.mark.anyio
async def test_memory_is_flat_over_turns(tmp_path: Path) -> None:
    async with engine(make_home(tmp_path)) as one:
        threads = [await one.start() for _ in range(THREADS)]
        await round_of_turns(one, threads)
        tracemalloc.start()
        try:
            before = held()
            for _ in range(3):
                await round_of_turns(one, threads)
            grown = held() - before
        finally:
            tracemalloc.stop()
    assert grown < 3 * THREADS * PER_TURN, f"{grown // (3 * THREADS)} bytes a turn"


async def round_of_turns(one: Engine, threads: list[str]) -> None:
    """A turn in each thread, all at once; what the test itself keeps of them is dropped."""
    turns = [one.begin(thread) for thread in threads]
    with anyio.fail_after(60):
        for turn in turns:
            await one.ended(turn)
    one.sink.notes.clear()
    one.model.requests.clear()


def held() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
