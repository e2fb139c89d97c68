"""Background commands: numbers, yields, input, what is forgotten, and that all end with the store."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import anyio
import pytest
from anyio.abc import TaskGroup

from engine.processes import store as store_module
from engine.processes.session import StdinClosed
from engine.processes.spawn import Command, Size, SpawnError
from engine.processes.store import Running, Store, UnknownProcess, call_yield_ms, poll_yield_ms
from tests.engine.harness import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def tasks() -> AsyncIterator[TaskGroup]:
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            yield group
            group.cancel_scope.cancel()


@pytest.fixture
def store(tasks: TaskGroup) -> Store:
    return Store(tasks, Random(1))


def shell(script: str, tty: Size | None = None) -> Command:
    env = {"PATH": os.environ["PATH"]}
    return Command(argv=("sh", "-c", script), cwd="/", env=env, merged=True, tty=tty)


async def start(store: Store, script: str, tty: Size | None = None) -> Running:
    return await store.start(store.reserve(), "call_1", shell(script, tty))


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No command ends before its start has been answered."""
    monkeypatch.setattr(store_module, "EARLY_EXIT_SECONDS", 0)


async def test_a_command_that_ends_at_once_is_not_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "EARLY_EXIT_SECONDS", 20)
    running = await start(store, "echo hi; exit 3")
    assert (running.exit_code, running.output) == (3, "hi\n")
    with pytest.raises(UnknownProcess, match=f"^Unknown process id {running.number}$"):
        store.get(running.number)


async def test_a_start_that_is_given_up_leaves_nothing_behind(store: Store) -> None:
    async with anyio.create_task_group() as starting:
        starting.start_soon(start, store, "sleep 100")
        await anyio.wait_all_tasks_blocked()
        (running,) = store._kept.values()
        starting.cancel_scope.cancel()
    await running.session.finished.wait()
    with pytest.raises(UnknownProcess):
        store.get(running.number)


async def test_a_yield_takes_what_is_new(store: Store, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    running = await start(store, f"echo one; until [ -e {gate} ]; do sleep 0.01; done; echo two; exit 4")
    await until(lambda: running.output)
    first = await store.collect(running, 1)
    gate.touch()
    second = await store.collect(running, 20_000)
    assert (first.text, first.exit_code) == ("one\n", None)
    assert (second.text, second.exit_code) == ("two\n", 4)
    assert running.output == "one\ntwo\n"


@pytest.mark.usefixtures("at_once")
async def test_an_end_is_reported_once(store: Store) -> None:
    running = await start(store, "true")
    assert store.get(running.number) is running
    await store.collect(running, 20_000)
    with pytest.raises(UnknownProcess):
        store.get(running.number)


async def test_a_terminal_takes_input(store: Store) -> None:
    running = await start(store, "read x; echo got $x; exit 4", Size())
    await store.write(running, "yo\n")
    collected = await store.collect(running, 20_000)
    assert (collected.text, collected.exit_code) == ("yo\r\ngot yo\r\n", 4)


async def test_without_terminal_input_is_refused(store: Store) -> None:
    running = await start(store, "sleep 60")
    with pytest.raises(StdinClosed, match="rerun exec_command with tty=true"):
        await store.write(running, "\x03")


@pytest.mark.usefixtures("at_once")
async def test_input_to_a_terminal_that_has_just_ended_is_lost(store: Store) -> None:
    running = await start(store, "true", Size())
    await running.session.finished.wait()
    await store.write(running, "too late\n")
    assert (await store.collect(running, 1)).exit_code == 0


async def test_clients_see_the_output_and_the_end(store: Store) -> None:
    seen: list[bytes] = []
    ended = anyio.Event()
    running = await start(store, "echo early; sleep 0.3; printf 'l\\303'; sleep 0.05; printf '\\244te\\n'")
    store.watch(running, seen.append, lambda _: ended.set())
    await ended.wait()
    assert b"".join(seen) == b"early\nl\xc3\xa4te\n"
    assert running.output == "early\nläte\n"


async def test_an_end_can_be_told_without_waiting_for_trailing_output(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "TRAILING_SECONDS", 60)
    told: list[int] = []
    ending, running = [await start(store, command) for command in ("sleep 0.3", "sleep 60")]
    for each in (ending, running):
        store.watch(each, lambda _: None, lambda ended: told.append(ended.number))
    await ending.session.finished.wait()
    assert told == []
    for _ in range(2):
        store.tell_ends()
        assert told == [ending.number]


async def test_what_cannot_start_frees_its_number(store: Store) -> None:
    number = store.reserve()
    with pytest.raises(SpawnError):
        await store.start(number, "call_1", Command(argv=("no-such-x",), cwd="/", env={}))
    with pytest.raises(UnknownProcess):
        store.get(number)


@pytest.mark.usefixtures("at_once")
async def test_the_least_recently_used_command_makes_room(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_PROCESSES", 10)
    first, second, *_ = [await start(store, "sleep 60") for _ in range(10)]
    store.get(first.number)
    await start(store, "sleep 60")
    with pytest.raises(UnknownProcess):
        store.get(second.number)
    assert store.get(first.number) is first
    await second.session.finished.wait()


@pytest.mark.usefixtures("at_once")
async def test_a_command_that_has_ended_makes_room_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_PROCESSES", 10)
    first = await start(store, "sleep 60")
    ended = await start(store, "true")
    await ended.session.finished.wait()
    for _ in range(9):
        await start(store, "sleep 60")
    assert store.get(first.number) is first
    with pytest.raises(UnknownProcess):
        store.get(ended.number)


async def test_cleaning_ends_all(store: Store) -> None:
    running = [await start(store, "sleep 60") for _ in range(3)]
    await store.clean()
    assert all(each.session.finished.is_set() for each in running)
    with pytest.raises(UnknownProcess):
        store.get(running[0].number)


async def test_numbers_have_four_or_five_digits(store: Store) -> None:
    numbers = {store.reserve() for _ in range(500)}
    assert len(numbers) == 500
    assert all(1_000 <= number <= 99_999 for number in numbers)


def test_yields_are_clamped() -> None:
    assert [call_yield_ms(ms) for ms in (0, 300, 99_999)] == [250, 300, 30_000]
    assert [poll_yield_ms(ms) for ms in (250, 6_000, 999_999)] == [5_000, 6_000, 300_000]
