"""Cost follows the live context: bytes and lines read through `Log`, on a history and on one 100 times as long.

No clock is looked at. What may grow with the history is an answer that shows all of it, and one pass over a file that
was never seen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from engine.restore import NEAR_BYTES
from projections import protocol as p
from rollouts import codec
from rollouts.log import FileLog
from tests.engine.harness import Engine, engine, make_home, until
from tests.engine.harness_histories import COMPACTED_EVERY, THREAD, Counted, write_history

pytestmark = pytest.mark.anyio

TURNS = 120
TIMES = 100
BLOCK = 1 << 15
"""Bytes that a log reads at least; an answer that is found a few bytes further away may cost a few more of them."""


class Cost(NamedTuple):
    bytes: int
    lines: int


class Home(NamedTuple):
    path: Path
    rollout: Path


NOTED = msgspec.Raw(b'{"type":"message","role":"assistant","content":[{"type":"output_text","text":"noted"}]}')
Command = Callable[[Engine], Awaitable[Any]]


async def seen(folder: Path, turns: int) -> Home:
    """A home with one thread whose file was read once."""
    home = make_home(folder)
    rollout = write_history(home, turns, weight=200)
    assert rollout.stat().st_size > NEAR_BYTES
    async with engine(home) as running:
        await running.host.reading.turns(p.ThreadTurnsListParams(thread_id=THREAD, limit=1))
    return Home(home, rollout)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def short(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> Home:
    return await seen(tmp_path_factory.mktemp("short"), TURNS)


@pytest.fixture(scope="module")
async def long(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> Home:
    return await seen(tmp_path_factory.mktemp("long"), TURNS * TIMES)


async def cost(home: Home, command: Command, before: Command | None = None) -> Cost:
    async with engine(home.path, storage=Counted) as running:
        storage = running.host.storage
        assert isinstance(storage, Counted)
        if before is not None:
            await before(running)
        storage.start()
        await command(running)
        return Cost(storage.bytes, storage.lines)


async def resume(running: Engine) -> p.ThreadResumeResponse:
    return await running.resume(THREAD, exclude_turns=True)


async def middle(running: Engine) -> p.ThreadTurnsListResponse:
    """A page from somewhere in the middle of the history."""
    reading = running.host.reading
    first = await reading.turns(p.ThreadTurnsListParams(thread_id=THREAD, limit=40))
    return await reading.turns(p.ThreadTurnsListParams(thread_id=THREAD, limit=20, cursor=first.next_cursor))


def page(**params: Any) -> Command:
    return lambda running: running.host.reading.turns(p.ThreadTurnsListParams(thread_id=THREAD, **params))


COMMANDS: dict[str, Command] = {
    "resume without turns": resume,
    "the newest 20 turns": page(limit=20),
    "the oldest 20 turns": page(limit=20, sort_direction="asc"),
    "20 turns behind a cursor": middle,
    "read without turns": lambda running: running.host.reading.read(p.ThreadReadParams(thread_id=THREAD)),
    "the list": lambda running: running.host.reading.list_threads(p.ThreadListParams()),
    "a name": lambda running: running.host.filing.set_name(p.ThreadSetNameParams(thread_id=THREAD, name="n")),
}
LOADED: dict[str, Command] = {
    "a turn": lambda running: running.turn(THREAD),
    "a page while it is loaded": page(limit=20),
    "to resume it again without turns": resume,
    "an injected item": lambda running: running.host.edits.inject_items(
        p.ThreadInjectItemsParams(thread_id=THREAD, items=[NOTED])
    ),
}


@pytest.mark.parametrize("what", COMMANDS)
async def test_a_history_100_times_as_long_costs_as_much_to(what: str, short: Home, long: Home) -> None:
    check(await cost(short, COMMANDS[what]), await cost(long, COMMANDS[what]))


@pytest.mark.parametrize("what", LOADED)
async def test_once_loaded_it_costs_as_much_to(what: str, short: Home, long: Home) -> None:
    check(await cost(short, LOADED[what], resume), await cost(long, LOADED[what], resume))


def check(one: Cost, hundred: Cost) -> None:
    assert hundred.lines <= one.lines + 3 * COMPACTED_EVERY
    assert hundred.bytes <= one.bytes + 2 * BLOCK


async def test_a_file_never_seen_is_resumed_from_its_end_and_then_read_once(long: Home, tmp_path: Path) -> None:
    home = make_home(tmp_path)
    size = write_history(home, TURNS * TIMES, weight=200).stat().st_size
    async with engine(home, storage=Counted) as running:
        storage = running.host.storage
        assert isinstance(storage, Counted)
        await resume(running)
        assert storage.bytes < 10 * BLOCK
        thread = running.host.threads.get(THREAD)
        await until(lambda: thread.journal.state.complete)
        assert size <= storage.bytes < size * 1.1 + 10 * BLOCK  # a step ends in the middle of a block
        storage.start()
        await page(limit=20)(running)
        assert storage.bytes < 10 * BLOCK


async def test_all_turns_cost_their_own_lines_and_not_those_between(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    size = write_history(home, TURNS, weight=20_000).stat().st_size
    await cost(Home(home, home), page(limit=1))
    shown = sum(len(line) for line in lines_of_turns(home))
    read = await cost(Home(home, home), lambda running: running.resume(THREAD))
    assert shown < size / 50
    assert read.bytes < 3 * shown + 12 * BLOCK


async def test_two_processes_with_the_same_thread_do_not_take_away_what_the_other_has_kept(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    size = write_history(home, 4 * TURNS).stat().st_size
    await cost(Home(home, home), page(limit=1))
    async with engine(home, storage=Counted) as one, engine(home, storage=Counted) as other:
        sides = (one, other)
        for running in sides:
            await resume(running)
        for running in (*sides, *sides):
            storage = running.host.storage
            assert isinstance(storage, Counted)
            storage.start()
            for step in (page(limit=2), lambda running: running.turn(THREAD), page(limit=2)):
                await step(running)
            assert storage.bytes < size / 2
        answers = [await page(limit=20)(running) for running in sides]
    assert answers[0] == answers[1]
    assert answers[0] == await shown_anew(home)


async def shown_anew(home: Path) -> p.ThreadTurnsListResponse:
    """The newest turns as somebody shows them who has the file alone."""
    for index in home.glob("*.sqlite*"):
        index.unlink()
    async with engine(home) as running:
        return await page(limit=20)(running)  # type: ignore[no-any-return]


def lines_of_turns(home: Path) -> list[bytes]:
    (path,) = home.glob("sessions/*/*/*/*.jsonl")
    return [
        record.data
        for record in FileLog(path).read()
        if (codec.head(record.data) or ("", ""))[1] in ("user_message", "agent_message", "context_compacted")
    ]


@pytest.mark.parametrize("harm", ["DELETE FROM turns", "UPDATE turns SET data = x'00'", "UPDATE turns SET data = x''"])
async def test_rows_that_are_lost_or_broken_are_made_again(tmp_path: Path, harm: str) -> None:
    home = make_home(tmp_path)
    write_history(home, TURNS)
    async with engine(home) as running:
        before = await page(limit=5)(running)
        running.host.index.store.write((harm, ()))
        assert await page(limit=5)(running) == before
        await resume(running)
        running.host.index.store.write((harm, ()))
        assert await page(limit=5)(running) == before
        await running.turn(THREAD)
    async with engine(home, storage=Counted) as running:
        storage = running.host.storage
        assert isinstance(storage, Counted)
        assert (await page(limit=6)(running)).data[1:] == before.data
        assert storage.bytes < 10 * BLOCK
