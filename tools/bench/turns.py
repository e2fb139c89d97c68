"""What a turn costs: CPU time in process and of a server on stdio, of the turn and of each delta; bytes written.

The bare side sends the same requests and reads the same replies. The provider's own cost is in both, but for that of a
server process, which has no provider inside.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from tools.bench.bare import Bare
from tools.bench.figures import Figure, bytes_written, cpu_seconds, grown
from tools.bench.meter import Meter
from tools.bench.provider import WORDS, Provider, serving
from tools.bench.working import Outside, inside, outside

LONG: Final = tuple(f"word {number} " for number in range(400))
"""A reply whose deltas are nearly all of its cost."""

ROUNDS: Final = 4

Work = Callable[[], Awaitable[object]]


async def in_process(home: Path, turns: int) -> list[Figure]:
    """Turns of an engine in this process."""
    costs: dict[str, tuple[Meter, Meter]] = {}
    async with serving(Provider()) as provider, inside(home, provider) as engine, Bare(provider) as bare:
        for words in _replies(provider):
            meters = costs.setdefault(words, (Meter(), Meter()))
            thread_id = await engine.thread()
            await engine.turn(thread_id)
            await bare.ask()
            works: tuple[Work, Work] = (bare.ask, partial(engine.turn, thread_id))
            for meter, work in zip(meters, works, strict=True):
                with meter.measure():
                    await _repeat(work, turns)
    short, long = ([meter.best.seconds / turns for meter in costs[words]] for words in ("short", "long"))
    deltas = len(LONG) - len(WORDS)
    return [
        Figure(f"a turn of {len(WORDS)} deltas, in process", "ms CPU", *(seconds * 1e3 for seconds in short)),
        Figure(
            "each delta of a long reply",
            "us CPU",
            *((after - before) / deltas * 1e6 for before, after in zip(short, long, strict=True)),
        ),
    ]


async def over_stdio(home: Path, turns: int) -> list[Figure]:
    """Turns of a server process."""
    meter = Meter()
    async with serving(Provider()) as provider, outside(home, provider) as server, Bare(provider) as bare:
        thread_id = await server.thread()
        await server.turn(thread_id)
        started = time.perf_counter()
        with meter.measure():
            await _repeat(bare.ask, turns)
        bare_time = time.perf_counter() - started
        before = _readings(home, server)
        started = time.perf_counter()
        await _repeat(partial(server.turn, thread_id), turns)
        our_time = time.perf_counter() - started
        after = _readings(home, server)
    cpu, written, recorded = (grown(*pair, count=turns) for pair in zip(before, after, strict=True))
    return [
        Figure(
            f"a turn of {len(WORDS)} deltas, over stdio",
            "ms CPU",
            meter.best.seconds / turns * 1e3,
            None if cpu is None else cpu * 1e3,
        ),
        Figure("turns of one thread, over stdio", "a second", turns / bare_time, turns / our_time),
        Figure("written to disk for a turn, beside what is recorded", "bytes", recorded, written),
    ]


def _replies(provider: Provider) -> Iterator[str]:
    """Lets the provider give short and long replies in turns."""
    for _ in range(ROUNDS):
        for name, words in (("short", WORDS), ("long", LONG)):
            provider.words = words
            yield name


def _readings(home: Path, server: Outside) -> tuple[float | None, float | None, float | None]:
    recorded = sum(path.stat().st_size for path in home.glob("sessions/*/*/*/*.jsonl"))
    return cpu_seconds(server.pid), bytes_written(server.pid), recorded


async def _repeat(work: Work, count: int) -> None:
    for _ in range(count):
        await work()
