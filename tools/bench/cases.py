"""What is measured: the engine's answers as its adapter asks for them, each beside its plain twin.

Every case checks that both sides found the same; a fast wrong answer ends the run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeAlias

import anyio
from msgspec import Struct

from engine.clock import SystemClock
from engine.host import Host
from engine.index import Index
from engine.listing import list_threads
from engine.notes import Notification
from engine.threads import Client
from projections import protocol as p
from projections.session import rebuild
from rollouts import codec
from rollouts.layout import Home
from rollouts.log import FileLog
from tools.bench import plain
from tools.bench.histories import History
from tools.bench.meter import Cost, Meter

PAGE: Final = 20
APPENDS: Final = 1_000
_CLIENT: Final = Client(0, "bench")
_FLAGS: Final = {"model_provider": "demo"}


class WrongAnswer(Exception):
    """The two sides do not agree."""


class Row(Struct, frozen=True):
    """One line of the table."""

    case: str
    plain: Cost
    ours: Cost

    @property
    def ratio(self) -> float:
        """How many times the plain way takes as long as ours."""
        return self.plain.seconds / max(self.ours.seconds, 1e-9)


Side: TypeAlias = Callable[[Meter], Awaitable[object]]
"""Does the work once, measured, and returns what was found."""


class Case(Struct, frozen=True):
    """Two ways to one answer."""

    name: str
    plain: Side
    ours: Side


async def run(case: Case, rounds: int) -> Row:
    """Measure both sides in turns.

    :raises WrongAnswer: they differ.
    """
    meters = Meter(), Meter()
    for _ in range(rounds):
        answers = [await side(meter) for side, meter in zip((case.plain, case.ours), meters, strict=True)]
        if answers[0] != answers[1]:
            raise WrongAnswer(f"{case.name}: expected {answers[0]!r}, got {answers[1]!r}")
    return Row(case.name, *(meter.best for meter in meters))


def of_history(home: Path, history: History) -> Iterator[Case]:
    """The cases of one long thread, which is alone in its home."""
    resume, page, fork = _Resume(home, history), _Page(home, history), _Fork(home, history)
    load = resume.plain
    yield Case("decode every line", load, _decoding(history))
    yield Case("fold every line", load, _folding(history))
    for seen, when in ((False, "first sight"), (True, "seen before")):
        yield Case(f"resume, live context only; {when}", load, resume.side(seen=seen, turns=False))
        yield Case(f"resume with all turns; {when}", load, resume.side(seen=seen, turns=True))
        yield Case(f"newest {PAGE} turns; {when}", page.plain, page.side(seen=seen))
    yield Case("fork", fork.plain, fork.ours)


def of_appends(folder: Path, history: History) -> Case:
    """Appending line by line."""
    with history.path.open("rb") as file:
        lines = [line for line, _ in zip(file, range(APPENDS), strict=False)]

    async def plainly(meter: Meter) -> object:
        target = _fresh(folder / "plain.jsonl")
        with meter.measure():
            plain.append(target, lines)
        return target.stat().st_size

    async def ours(meter: Meter) -> object:
        target = _fresh(folder / "ours.jsonl")
        log, end = FileLog(target), 0
        with meter.measure():
            for line in lines:
                end = log.append([line], expected_end=end)
        return target.stat().st_size

    return Case(f"append {len(lines):,} lines one by one", plainly, ours)


def of_many(home: Path, count: int) -> Iterator[Case]:
    """Listing the newest threads of a home of many."""
    params = p.ThreadListParams(limit=25, sort_key="created_at")

    async def plainly(meter: Meter) -> object:
        with meter.measure():
            return plain.newest_threads(home, 25)

    async def listed(meter: Meter) -> object:
        index = Index(Home(home))
        try:
            with meter.measure():
                found = await list_threads(index, params, provider="demo")
        finally:
            index.close()
        return [thread.id for thread in found.data]

    async def first(meter: Meter) -> object:
        forget(home)
        return await listed(meter)

    yield Case(f"newest 25 of {count:,} threads; first sight", plainly, first)
    yield Case(f"newest 25 of {count:,} threads; seen before", plainly, listed)


class _Resume:
    """Resume in a new process: what the thread knows of its history."""

    def __init__(self, home: Path, history: History) -> None:
        self._home = home
        self._history = history

    async def plain(self, meter: Meter) -> object:
        with meter.measure():
            lines = plain.load(self._history.path)
        return len(lines)

    def side(self, *, seen: bool, turns: bool) -> Side:
        async def ours(meter: Meter) -> object:
            if not seen:
                forget(self._home)
            async with opened(self._home) as host:
                params = p.ThreadResumeParams(thread_id=self._history.thread_id, exclude_turns=not turns)
                with meter.measure():
                    answer = await host.threads.resume(params, _CLIENT)
            expect(len(answer.result.thread.turns), self._history.turns if turns else 0)
            return self._history.lines

        return ours


class _Page:
    """The newest turns, without loading the thread."""

    def __init__(self, home: Path, history: History) -> None:
        self._home = home
        self._history = history

    async def plain(self, meter: Meter) -> object:
        with meter.measure():
            return plain.last_turns(self._history.path, PAGE)

    def side(self, *, seen: bool) -> Side:
        async def ours(meter: Meter) -> object:
            if not seen:
                forget(self._home)
            async with opened(self._home) as host:
                params = p.ThreadTurnsListParams(thread_id=self._history.thread_id, limit=PAGE)
                with meter.measure():
                    found = await host.reading.turns(params)
            return [turn.id for turn in found.data]

        return ours


class _Fork:
    """A new thread with the same history."""

    def __init__(self, home: Path, history: History) -> None:
        self._home = home
        self._history = history

    async def plain(self, meter: Meter) -> object:
        target = _fresh(self._home / "fork.jsonl")
        with meter.measure():
            plain.copy(self._history.path, target, "fork")
        target.unlink()
        return self._history.thread_id

    async def ours(self, meter: Meter) -> object:
        forget(self._home)
        async with opened(self._home) as host:
            params = p.ThreadForkParams(thread_id=self._history.thread_id, exclude_turns=True)
            with meter.measure():
                answer = await host.threads.fork(params, _CLIENT)
        thread = answer.result.thread
        assert thread.path is not None
        Path(thread.path).unlink()
        return thread.forked_from_id


def _decoding(history: History) -> Side:
    async def ours(meter: Meter) -> object:
        log = FileLog(history.path)
        with meter.measure():
            lines = [codec.decode(record.data) for record in log.read()]
        return sum(isinstance(line, codec.Line) for line in lines)

    return ours


def _folding(history: History) -> Side:
    async def ours(meter: Meter) -> object:
        log = FileLog(history.path)
        with meter.measure():
            state = rebuild(log)
        assert state.turns is not None
        expect(len(state.turns.all_rows()), history.turns)
        return state.turns.lines

    return ours


class _Deaf:
    """A sink that drops what it is told."""

    def publish(self, note: Notification) -> None:
        """Nobody listens."""

    def ask(self, *_: object) -> int:
        raise WrongAnswer("nothing asks in these cases")

    def withdraw(self, question_id: int) -> None:
        """Nothing was asked."""


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[Host]:
    """An engine without the sweep of its index, which would be measured along."""
    async with anyio.create_task_group() as tasks:
        host = Host(home, _FLAGS, _Deaf(), tasks, SystemClock(), home)
        try:
            yield host
        finally:
            await host.threads.close()
            await host.operations.aclose()
            host.index.close()
            tasks.cancel_scope.cancel()


def forget(home: Path) -> None:
    """Drop all that is derived from the files of a home."""
    for path in home.glob("rollout_engine_*"):
        path.unlink()


def expect(found: object, wanted: object) -> None:
    """:raises WrongAnswer: they differ."""
    if found != wanted:
        raise WrongAnswer(f"expected {wanted!r}, got {found!r}")


def _fresh(path: Path) -> Path:
    path.unlink(missing_ok=True)
    return path
