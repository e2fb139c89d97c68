"""The end of a loaded thread: whoever still talks to it gets an answer or is not needed any more."""

from __future__ import annotations

from pathlib import Path

import anyio
import msgspec
import pytest

from engine.errors import BadRequest
from engine.thread import Thread
from projections import protocol as p
from rollouts.errors import LogError
from tests.engine.harness import Engine, engine, make_home, until


@pytest.mark.anyio
async def test_a_closed_thread_refuses_commands_and_hears_no_news(tmp_path: Path) -> None:
    async def action() -> None:
        raise AssertionError("nobody owns the thread any more")

    async with engine(make_home(tmp_path)) as one:
        thread = one.host.threads.get(await one.start())
        one.host.threads.drop(thread.id)
        await thread.close()
        thread.post(action)
        with pytest.raises(BadRequest, match="thread not found"):
            await thread.ask(action)


@pytest.mark.anyio
async def test_a_thread_may_be_closed_by_several(tmp_path: Path) -> None:
    async with engine(make_home(tmp_path)) as one:
        thread = one.host.threads.get(await one.start())
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(thread.close)
            await thread.close()


@pytest.mark.anyio
async def test_a_failure_beside_its_turns_neither_ends_a_thread_nor_keeps_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    failed = anyio.Event()

    async def work() -> None:
        failed.set()
        raise RuntimeError("a bug")

    async def action() -> str:
        return "alive"

    async with engine(make_home(tmp_path)) as one:
        thread = one.host.threads.get(await one.start())
        with anyio.fail_after(10):
            assert await thread.ask(action) == "alive"
            thread.beside(work)
            await failed.wait()
            assert await thread.ask(action) == "alive"
            await thread.close()
    assert "something beside its turns failed" in caplog.text


@pytest.mark.anyio
async def test_a_turn_that_begins_while_its_thread_is_closed_ends_with_it(tmp_path: Path) -> None:
    async with engine(make_home(tmp_path)) as one:
        thread = one.host.threads.get(await one.start())
        one.model.gate = anyio.Event()
        one.begin(thread.id)
        await until(lambda: one.sink.of("item/agentMessage/delta"))
        one.host.turns.compact(p.ThreadCompactStartParams(thread_id=thread.id))()
        waits_for_the_compaction = one.begin(thread.id)
        one.host.threads.drop(thread.id)
        with anyio.fail_after(10):
            await thread.close()
        assert one.sink.of("turn/started")[-1].turn.id == waits_for_the_compaction
        assert (await one.ended(waits_for_the_compaction)).status == "interrupted"


@pytest.mark.anyio
async def test_a_host_that_fails_ends_though_its_threads_have_no_owners_any_more(tmp_path: Path) -> None:
    async def fails() -> None:
        raise RuntimeError("a bug")

    with pytest.raises(ExceptionGroup) as failed:
        async with engine(make_home(tmp_path)) as one:
            await one.turn(await one.start())
            one.host._tasks.start_soon(fails)
            await anyio.sleep_forever()
    assert failed.group_contains(RuntimeError, match="a bug")


@pytest.mark.anyio
async def test_threads_are_closed_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closing, all_at_once, close = set[str](), anyio.Event(), Thread.close

    async def close_with_the_others(thread: Thread) -> None:
        closing.add(thread.id)
        if len(closing) == 3:
            all_at_once.set()
        await all_at_once.wait()
        await close(thread)

    async with engine(make_home(tmp_path)) as one:
        for _ in range(3):
            await one.start()
        monkeypatch.setattr(Thread, "close", close_with_the_others)
        with anyio.fail_after(10):
            await one.host.threads.close()


@pytest.mark.anyio
async def test_a_thread_that_is_resumed_while_it_is_unloaded_is_loaded_after_that(tmp_path: Path) -> None:
    async with engine(make_home(tmp_path)) as one, anyio.create_task_group() as tasks:
        thread_id = await one.start()
        await one.turn(thread_id)
        before, may_end = len(told(one, thread_id)), anyio.Event()
        one.host.threads.get(thread_id).post(may_end.wait)
        tasks.start_soon(one.host.threads.unload, thread_id)
        await until(lambda: one.host.threads.loaded(thread_id) is None)
        tasks.start_soon(one.resume, thread_id)
        await anyio.wait_all_tasks_blocked()
        may_end.set()
        await until(lambda: len(told(one, thread_id)) > before + 1)
        assert told(one, thread_id)[before:] == ["notLoaded", "idle"]


def told(running: Engine, thread_id: str) -> list[str]:
    """The statuses of a thread that clients have heard of."""
    notes = running.sink.of("thread/status/changed")
    return [note.status.__struct_config__.tag for note in notes if note.thread_id == thread_id]


@pytest.mark.anyio
async def test_a_failure_that_names_a_file_with_an_odd_name_can_be_told(tmp_path: Path) -> None:
    async def fail() -> None:
        raise LogError("a\udcffb", "cannot be written")

    async with engine(make_home(tmp_path)) as one:
        thread = one.host.threads.get(await one.start())
        thread.post(fail)
        await until(lambda: one.sink.of("error"))
        assert b"a?b" in msgspec.json.encode(one.sink.of("error")[0])
