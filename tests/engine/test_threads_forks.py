"""Forks by reference: large histories are not copied, and nobody can tell but by the size of the file."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import forks
from engine.forks import copied_lines
from engine.parents import LostParent, whole
from engine.rollout_files import finder
from engine.thread import Thread
from projections import protocol as p
from projections.session import SessionState, rebuild
from projections.turns import build_turns
from projections.window_tail import from_tail
from rollouts import codec
from rollouts import events as ev
from rollouts.log import FileLog, Log
from rollouts.spliced import SplicedLog
from tests.engine.harness import Engine, engine, make_home, until
from tests.engine.harness_histories import THREAD, Counted, write_history
from tests.engine.test_threads_durable import plain
from tests.projections import logs

pytestmark = pytest.mark.anyio


@contextmanager
def large_from(size: int) -> Iterator[None]:
    """Histories of more bytes are forked by reference."""
    before = forks.LARGE_BYTES
    forks.LARGE_BYTES = size
    try:
        yield
    finally:
        forks.LARGE_BYTES = before


async def fork(running: Engine, thread_id: str = THREAD, *, by_reference: bool = True, **params: Any) -> p.Thread:
    with large_from(0 if by_reference else 1 << 40):
        return (await running.fork(thread_id, persist_extended_history=True, **params)).thread


def state_of(running: Engine, thread_id: str) -> SessionState:
    return running.host.threads.get(thread_id).journal.state


def is_complete(thread: Thread) -> bool:
    return thread.journal.state.complete


def context_of(running: Engine, thread_id: str) -> Any:
    window = state_of(running, thread_id).window
    return [item.raw for item in window.items], told(window.context), told(window.previous_context)


def told(context: ev.TurnContext | None) -> Any:
    return context and msgspec.structs.replace(context, turn_id=None)


def own_file(running: Engine, thread_id: str) -> FileLog:
    path = running.host.threads.get(thread_id).path
    assert path is not None
    return FileLog(path)


async def test_a_large_history_is_forked_in_a_few_kilobytes_at_the_cost_of_its_live_context(tmp_path: Path) -> None:
    costs = []
    for turns in (200, 2000):
        home = make_home(tmp_path / str(turns))
        size = write_history(home, turns, weight=25_000).stat().st_size
        assert size > forks.LARGE_BYTES
        async with engine(home, storage=Counted) as running:
            await running.host.reading.turns(p.ThreadTurnsListParams(thread_id=THREAD, limit=1))
            storage = running.host.storage
            assert isinstance(storage, Counted)
            storage.start()
            forked = await running.fork(THREAD, exclude_turns=True)
            costs.append((storage.bytes, storage.lines, own_file(running, forked.thread.id).end()))
            thread = running.host.threads.get(forked.thread.id)
            await until(functools.partial(is_complete, thread))
            assert storage.bytes < size / 2  # what the index knows of the parent is not read again
    assert costs[1][0] <= costs[0][0] + (1 << 16)
    assert costs[1][1] <= costs[0][1] + 30
    assert costs[1][2] <= costs[0][2] + 100


@settings(max_examples=25, deadline=None)
@given(lines=logs.logs(), then=st.sampled_from(["turn", "rollback", "name"]))
def test_a_fork_by_reference_is_the_same_thread_as_a_full_copy(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], then: str
) -> None:
    home = make_home(tmp_path_factory.mktemp("forks"))
    store(home, logs.THREAD, lines)
    anyio.run(check_same, home, then)
    shutil.rmtree(home)


def store(home: Path, thread_id: str, lines: Iterable[bytes]) -> Path:
    folder = home / "sessions" / "2026" / "04" / "20"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"rollout-2026-04-20T10-00-00-{thread_id}.jsonl"
    path.write_bytes(b"".join(lines))
    return path


async def check_same(home: Path, then: str) -> None:
    """Go on with a fork by reference, then with a copy in its place, and compare."""
    async with engine(home) as running:
        forked = await fork(running, logs.THREAD)
        path, meta = own_file(running, forked.id).path, running.host.threads.get(forked.id).journal.meta
    source = FileLog(next(home.glob(f"sessions/*/*/*/*{logs.THREAD}.jsonl")))
    copied = [codec.encode(body, logs.STAMP) for body in (meta, *copied_lines(source))]
    reference = path.read_bytes()
    one = await gone_on(home, forked.id, then)
    assert path.read_bytes().startswith(reference)
    path.write_bytes(b"".join(copied))
    assert await gone_on(home, forked.id, then) == one
    assert one[0] == (forked.turns, forked.preview)


async def gone_on(home: Path, thread_id: str, then: str) -> list[Any]:
    """All that can be seen of a thread that is resumed, goes on, and is resumed once more."""
    async with engine(home) as running:
        thread = (await running.resume(thread_id)).thread
        seen = [(thread.turns, thread.preview), state_of(running, thread_id).usage, context_of(running, thread_id)]
        await go_on(running, thread_id, then)
        seen += [turns_like(await read(running, thread_id)), context_of(running, thread_id)]
    async with engine(home) as running:
        thread = (await running.resume(thread_id)).thread
        return [*seen, turns_like(thread.turns), context_of(running, thread_id)]


async def go_on(running: Engine, thread_id: str, then: str) -> None:
    if then == "turn":
        running.model.replies.append("the same")
        await running.turn(thread_id)
    elif then == "rollback":
        await running.host.edits.rollback(p.ThreadRollbackParams(thread_id=thread_id, num_turns=2))
    else:
        await running.host.filing.set_name(p.ThreadSetNameParams(thread_id=thread_id, name="a name"))


async def read(running: Engine, thread_id: str) -> list[p.Turn]:
    params = p.ThreadReadParams(thread_id=thread_id, include_turns=True)
    return (await running.host.reading.read(params)).thread.turns


def turns_like(turns: list[p.Turn]) -> Any:
    """Turns without what two runs of the same turn do not have in common."""
    return [(turn.items, turn.status) for turn in turns]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with one thread of 40 turns."""
    home = make_home(tmp_path)
    write_history(home, 40)
    return home


async def forked_from(home: Path, thread_id: str = THREAD) -> p.Thread:
    async with engine(home) as running:
        return await fork(running, thread_id)


async def resumed(home: Path, thread_id: str) -> tuple[p.Thread, Any]:
    async with engine(home) as running:
        thread = (await running.resume(thread_id)).thread
        return thread, context_of(running, thread_id)


async def test_what_the_reference_reads_is_the_context_and_a_message_to_list_it_by(home: Path) -> None:
    forked = await forked_from(home)
    assert forked.path is not None
    own = FileLog(Path(forked.path))
    bodies = [line.body for record in own.read() if isinstance(line := codec.decode(record.data), codec.Line)]
    counted = [body for body in bodies if codec.counts(body)]
    assert isinstance(counted[0], ev.SessionMeta) and counted[0].forked_from_id == THREAD
    assert isinstance(bodies[1], ev.HistoryBase)
    assert any(isinstance(body, ev.UserMessage) and body.message == "request 0" for body in counted[:3])
    whole = from_tail(FileLog(next(home.glob(f"sessions/*/*/*/*{THREAD}.jsonl")))).window
    alone = rebuild(own).window
    assert [item.raw for item in alone.items] == [item.raw for item in whole.items]
    assert (alone.context, alone.previous_context) == (whole.context, whole.previous_context)
    assert rebuild(own).usage.info == rebuild(FileLog(next(home.glob(f"sessions/*/*/*/*{THREAD}.jsonl")))).usage.info


async def test_the_parent_goes_on_and_the_fork_does_not_notice(home: Path) -> None:
    forked = await forked_from(home)
    async with engine(home) as running:
        await running.resume(THREAD)
        await running.turn(THREAD)
        await running.host.edits.rollback(p.ThreadRollbackParams(thread_id=THREAD, num_turns=10))
        await running.turn(THREAD)
        assert len(await read(running, THREAD)) == 32
        assert await read(running, forked.id) == forked.turns
    assert (await resumed(home, forked.id))[0].turns == forked.turns


@pytest.mark.parametrize("by_reference", [True, False])
async def test_what_another_program_wrote_to_the_parent_is_in_the_fork(home: Path, by_reference: bool) -> None:
    async with engine(home) as running:
        await running.resume(THREAD)
        with own_file(running, THREAD).path.open("ab") as file:
            file.write(codec.encode(ev.TaskStarted(turn_id="theirs"), logs.STAMP))
            file.write(codec.encode(ev.UserMessage(message="from elsewhere", images=()), logs.STAMP))
            file.write(codec.encode(ev.TaskComplete(turn_id="theirs"), logs.STAMP))
        assert (await fork(running, by_reference=by_reference)).turns[-1].id == "theirs"


@pytest.mark.parametrize("loaded", [True, False])
async def test_the_parent_may_be_archived_and_brought_back(home: Path, loaded: bool) -> None:
    async with engine(home) as running:
        forked = await fork(running)
        if not loaded:
            await running.host.threads.unload(forked.id)
        await running.host.filing.archive(p.ThreadArchiveParams(thread_id=THREAD))
        assert await read(running, forked.id) == forked.turns
        await running.host.filing.unarchive(p.ThreadUnarchiveParams(thread_id=THREAD))
        assert (await running.resume(forked.id)).thread.turns == forked.turns
        await running.host.edits.rollback(p.ThreadRollbackParams(thread_id=forked.id, num_turns=30))
        assert await read(running, forked.id) == forked.turns[:-30]


@pytest.mark.parametrize("how", ["deleted", "rewritten", "cut"])
async def test_without_its_parent_a_fork_has_its_context_and_its_own_turns(home: Path, how: str) -> None:
    forked = await forked_from(home)
    before, context = await resumed(home, forked.id)
    async with engine(home) as running:
        await running.resume(forked.id)
        turn_id = await running.turn(forked.id)
    parent = next(home.glob(f"sessions/*/*/*/*{THREAD}.jsonl"))
    text = parent.read_bytes()
    parent.unlink()
    if how != "deleted":
        parent.write_bytes(text.replace(b"answer 39", b"ANSWER 39") if how == "rewritten" else text[:-10])
    async with engine(home) as running:
        thread = (await running.resume(forked.id)).thread
        assert thread.turns[-1].id == turn_id and len(thread.turns) < len(before.turns)
        items, _, _ = context_of(running, forked.id)
        assert items[: len(context[0])] == context[0]
        await running.turn(forked.id)
        assert thread.preview == forked.preview


async def test_a_fork_that_was_cut_while_it_was_made_loses_nothing_said_to_it_later(home: Path) -> None:
    forked = await forked_from(home)
    assert forked.path is not None
    path, text = Path(forked.path), Path(forked.path).read_bytes()
    base = text.index(b"\n", text.index(b"history_base")) + 1
    for cut in (base, base + 1, (base + len(text)) // 2, len(text) - 1, len(text)):
        path.write_bytes(text[:cut])
        async with engine(home) as running:
            await running.resume(forked.id)
            turn_id = await running.turn(forked.id)
        for _ in range(2):
            async with engine(home) as running:
                turns = (await running.resume(forked.id)).thread.turns
                assert turn_id in [turn.id for turn in turns], cut
                assert cut < len(text) or len(turns) > 40
                for _ in range(2):
                    await running.turn(forked.id)


async def test_forks_of_forks_show_the_turns_of_all_of_them(home: Path) -> None:
    thread_id, turns = THREAD, 40
    for _ in range(3):
        async with engine(home) as running:
            await running.resume(thread_id, exclude_turns=True)
            await running.turn(thread_id)
            forked = await fork(running, thread_id)
            await running.turn(thread_id)
        thread_id, turns = forked.id, turns + 1
        assert len(forked.turns) == turns
        assert isinstance(await log_of(home, thread_id), SplicedLog)
    assert len((await resumed(home, thread_id))[0].turns) == 43


async def log_of(home: Path, thread_id: str) -> Log:
    async with engine(home) as running:
        await running.resume(thread_id, exclude_turns=True)
        return running.host.threads.get(thread_id).journal.log


async def test_a_turn_that_runs_in_the_parent_is_interrupted_in_the_fork(home: Path) -> None:
    async with engine(home) as running:
        await running.resume(THREAD, exclude_turns=True)
        running.model.gate = anyio.Event()
        turn_id = running.begin(THREAD)
        await until(lambda: running.model.requests)
        forked = await fork(running)
        running.model.gate.set()
        await running.ended(turn_id)
        assert (forked.turns[-1].id, forked.turns[-1].status) == (turn_id, "interrupted")
        assert (await read(running, THREAD))[-1].status == "completed"
    assert (await resumed(home, forked.id))[0].turns == forked.turns


async def test_an_ephemeral_fork_of_a_large_thread_keeps_nothing(home: Path) -> None:
    async with engine(home) as running:
        forked = await fork(running, ephemeral=True)
        assert forked.path is None and len(forked.turns) == 40
        await running.turn(forked.id)
        assert len(running.model.requests[-1].body.input) > 10
    assert len(list(home.glob("sessions/*/*/*/*"))) == 1


async def test_a_whole_log_needs_the_parent(home: Path) -> None:
    forked = await forked_from(home)
    assert forked.path is not None
    async with engine(home) as running:
        find, own = finder(running.host.storage), FileLog(Path(forked.path))
        assert build_turns(codec.decode(record.data) for record in whole(own, find).read()) == forked.turns
        parent = FileLog(next(home.glob(f"sessions/*/*/*/*{THREAD}.jsonl")))
        assert whole(parent, find) is parent
        parent.path.unlink()
        with pytest.raises(LostParent, match="is not there"):
            whole(own, find)


async def test_a_thread_that_names_itself_as_its_parent_is_read_as_it_is(home: Path) -> None:
    forked = await forked_from(home)
    assert forked.path is not None
    path = Path(forked.path)
    path.write_bytes(
        path.read_bytes().replace(f'"thread_id":"{THREAD}"'.encode(), f'"thread_id":"{forked.id}"'.encode())
    )
    thread, context = await resumed(home, forked.id)
    assert len(thread.turns) < 40 and context[0]


@pytest.mark.parametrize("index", ["kept", "lost"])
async def test_the_state_of_a_fork_is_the_fold_of_its_log_however_it_was_found(tmp_path: Path, index: str) -> None:
    home = make_home(tmp_path)
    write_history(home, 200)
    async with engine(home) as running:
        await running.resume(THREAD)
        await running.host.filing.set_name(p.ThreadSetNameParams(thread_id=THREAD, name="of the source"))
        patch = p.ThreadMetadataGitInfoUpdateParams(branch="elsewhere")  # the last line is not the fork's
        await running.host.filing.metadata_update(p.ThreadMetadataUpdateParams(thread_id=THREAD, git_info=patch))
        forked = await fork(running, exclude_turns=True)
    if index == "lost":
        for path in home.glob("*.sqlite*"):
            path.unlink()
    async with engine(home) as running:
        assert len((await running.resume(forked.id)).thread.turns) == 200
        assert plain(state_of(running, forked.id)) == plain(rebuild(await log_of(home, forked.id)))
        await running.turn(forked.id)
        assert plain(state_of(running, forked.id)) == plain(rebuild(await log_of(home, forked.id)))


@pytest.mark.parametrize("by_reference", [True, False])
async def test_a_fork_has_the_name_of_its_source_until_it_gets_its_own(home: Path, by_reference: bool) -> None:
    async with engine(home) as running:
        await running.resume(THREAD)

        async def name_of(thread_id: str) -> str | None:
            return (await running.host.reading.read(p.ThreadReadParams(thread_id=thread_id))).thread.name

        await running.host.filing.set_name(p.ThreadSetNameParams(thread_id=THREAD, name="of the source"))
        forked = await fork(running, by_reference=by_reference)
        assert forked.name is None  # the answer alone does not say it
        assert await name_of(forked.id) == "of the source"
        assert (await running.resume(forked.id)).thread.name == "of the source"
        await running.host.filing.set_name(p.ThreadSetNameParams(thread_id=forked.id, name="its own"))
        assert await name_of(forked.id) == "its own"
        assert await name_of(THREAD) == "of the source"
    async with engine(home) as running:
        assert (await running.resume(forked.id)).thread.name == "its own"
