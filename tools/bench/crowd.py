"""Many threads of one process, a turn in flight in each: CPU time, memory for each thread, and whether it comes back.

The model keeps everybody waiting for a moment, so that all turns are really in flight. The bare side has as many
requests in flight, sent by one client.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio

from tools.bench.bare import Bare
from tools.bench.figures import Figure, grown, resident
from tools.bench.meter import Meter
from tools.bench.provider import Provider, serving
from tools.bench.working import inside

WARM: Final = 2
"""Rounds after which everything is loaded that is loaded once."""

_KILO: Final = 1 << 10


async def in_flight(home: Path, threads: int, rounds: int = 6, hold: float = 0.2) -> list[Figure]:
    """So many threads with a turn each, several times over.

    :param hold: seconds that the model thinks.
    """
    bare_cost, our_cost = Meter(), Meter()
    sizes: list[int | None] = []
    async with serving(Provider(hold=hold)) as provider, inside(home, provider) as engine, Bare(provider) as bare:
        await engine.turn(await engine.thread())
        for _ in range(WARM):
            with bare_cost.measure():
                await _all(bare.ask for _ in range(threads))
        before = _settled()
        ids = [await engine.thread() for _ in range(threads)]
        for _ in range(max(rounds, WARM + 1)):
            with our_cost.measure():
                await _all(partial(engine.turn, thread_id) for thread_id in ids)
            sizes.append(_settled())
    return [
        Figure(f"{threads} turns in flight", "ms CPU", bare_cost.best.seconds * 1e3, our_cost.best.seconds * 1e3),
        Figure("memory for each of the threads", "KB", None, _kilobytes(grown(before, sizes[WARM - 1], threads))),
        Figure(
            f"memory of the process after round {WARM} and {len(sizes)}",
            "KB",
            _kilobytes(sizes[WARM - 1]),
            _kilobytes(sizes[-1]),
        ),
    ]


async def _all(works: Iterable[Callable[[], Coroutine[Any, Any, object]]]) -> None:
    async with anyio.create_task_group() as tasks:
        for work in works:
            tasks.start_soon(work)


def _settled() -> int | None:
    gc.collect()
    return resident()


def _kilobytes(size: float | None) -> float | None:
    return None if size is None else size / _KILO
