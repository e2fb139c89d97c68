"""Threads as files: what can be moved and named, and what is refused."""

from pathlib import Path

import anyio
import pytest
import zstandard

from engine.errors import BadRequest
from projections import protocol as p
from tests.engine.harness import engine, make_home, until
from tests.engine.homes import thread, thread_id


async def test_a_thread_whose_file_is_linked_in_from_elsewhere_is_not_moved(tmp_path: Path) -> None:
    path = thread(make_home(tmp_path), 1)
    path.rename(tmp_path / path.name)
    path.symlink_to(tmp_path / path.name)
    async with engine(tmp_path) as running:
        with pytest.raises(BadRequest, match="not a file in"):
            await running.host.filing.archive(p.ThreadArchiveParams(thread_id=thread_id(1)))


async def test_a_thread_is_not_resumed_while_it_is_put_away(tmp_path: Path) -> None:
    thread(make_home(tmp_path), 1)
    async with engine(tmp_path) as running, anyio.create_task_group() as tasks:
        await running.resume(thread_id(1))
        may_end = anyio.Event()
        running.host.threads.get(thread_id(1)).post(may_end.wait)

        async def archive() -> None:
            await running.host.filing.archive(p.ThreadArchiveParams(thread_id=thread_id(1)))

        async def resume() -> None:
            with pytest.raises(BadRequest, match=f"no rollout found for thread id {thread_id(1)}"):
                await running.resume(thread_id(1))

        tasks.start_soon(archive)
        await until(lambda: running.host.threads.loaded(thread_id(1)) is None)
        tasks.start_soon(resume)
        await anyio.wait_all_tasks_blocked()
        assert running.host.threads.ids() == []
        may_end.set()


async def test_a_thread_is_not_forked_once_it_is_put_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    thread(make_home(tmp_path), 1)
    async with engine(tmp_path) as running:

        async def info(_: Path) -> None:
            await running.host.filing.archive(p.ThreadArchiveParams(thread_id=thread_id(1)))

        monkeypatch.setattr("engine.git.info", info)
        with pytest.raises(BadRequest, match=f"no rollout found for thread id {thread_id(1)}"):
            await running.fork(thread_id(1))


async def test_an_archived_thread_takes_no_name_and_no_memory_mode(tmp_path: Path) -> None:
    path = thread(make_home(tmp_path), 1, archived=True)
    before = path.read_bytes()
    async with engine(tmp_path) as running:
        with pytest.raises(BadRequest, match="thread not found"):
            await running.host.filing.set_name(p.ThreadSetNameParams(thread_id=thread_id(1), name="x"))
        with pytest.raises(BadRequest, match="thread not found"):
            await running.host.filing.memory_mode(p.ThreadMemoryModeSetParams(thread_id=thread_id(1), mode="enabled"))
    assert path.read_bytes() == before


async def test_reading_by_the_name_of_a_file_shows_the_thread_that_is_in_it(tmp_path: Path) -> None:
    path = thread(make_home(tmp_path), 1)
    path.rename(path.with_name(path.name.replace(thread_id(1), thread_id(2))))
    async with engine(tmp_path) as running:
        await running.resume(thread_id(2))
        shown = (await running.host.reading.read(p.ThreadReadParams(thread_id=thread_id(2)))).thread
    assert (shown.id, shown.status) == (thread_id(1), p.IdleThreadStatus())


async def test_a_thread_that_was_packed_is_shown_where_it_is_once_it_goes_on(tmp_path: Path) -> None:
    plain = thread(make_home(tmp_path), 1)
    packed = plain.with_name(plain.name + ".zst")
    packed.write_bytes(zstandard.ZstdCompressor().compress(plain.read_bytes()))
    plain.unlink()
    async with engine(tmp_path) as running:
        assert (await running.resume(thread_id(1))).thread.path == str(packed)
        await running.turn(thread_id(1))
        assert (await running.resume(thread_id(1))).thread.path == str(plain)
