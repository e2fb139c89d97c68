"""The measurements of a working engine on tiny input: they run to their end, and their figures say what they claim.

No times are looked at.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tools.bench import crowd, latency, turns
from tools.bench.bare import Bare
from tools.bench.figures import Figure, bytes_written, cpu_seconds, grown, resident
from tools.bench.provider import WORDS, Provider, serving
from tools.bench.working import inside

pytestmark = pytest.mark.anyio


def check(figures: list[Figure], units: list[str]) -> None:
    """Every figure has a name of its own and something measured by us."""
    assert [figure.unit for figure in figures] == units
    assert len({figure.name for figure in figures}) == len(figures)


async def test_turns_in_process(tmp_path: Path) -> None:
    figures = await turns.in_process(tmp_path, 1)
    check(figures, ["ms CPU", "us CPU"])
    assert figures[0].bare and figures[0].ours


async def test_turns_over_stdio(tmp_path: Path) -> None:
    figures = await turns.over_stdio(tmp_path, 2)
    check(figures, ["ms CPU", "a second", "bytes"])
    assert figures[2].bare and figures[2].bare > 500, "what two turns have recorded, for each"


async def test_deltas_on_their_way(tmp_path: Path) -> None:
    figures = await latency.of_deltas(tmp_path, 4, pace=0.001)
    check(figures, ["us", "us"])
    for figure in figures:
        assert figure.bare and figure.ours and figure.ratio


async def test_a_crowd(tmp_path: Path) -> None:
    figures = await crowd.in_flight(tmp_path, 3, rounds=3, hold=0.01)
    check(figures, ["ms CPU", "KB", "KB"])
    assert figures[0].bare and figures[0].ours
    files = list(tmp_path.glob("sessions/*/*/*/*.jsonl"))
    assert len(files) == 4
    assert sorted(path.read_bytes().count(b'"task_complete"') for path in files) == [1, 3, 3, 3]


async def test_the_bare_client_repeats_what_the_engine_asked(tmp_path: Path) -> None:
    async with serving(Provider()) as provider, inside(tmp_path, provider) as engine, Bare(provider) as bare:
        await engine.turn(await engine.thread())
        asked, headers = provider.body, dict(provider.headers)
        kinds = [event["type"] for event in await bare.ask()]
        assert (provider.body, provider.requests) == (asked, 2)
        assert headers.items() <= dict(provider.headers).items()
    deltas = ["response.output_text.delta"] * len(WORDS)
    around = ["response.created", "response.output_item.added"], ["response.output_item.done", "response.completed"]
    assert kinds == [*around[0], *deltas, *around[1]]


def test_a_ratio_says_how_many_times_the_bare_figure_ours_is() -> None:
    assert Figure("x", "ms", 2.0, 6.0).ratio == 3.0
    assert Figure("x", "ms", None, 6.0).ratio is None
    assert Figure("x", "ms", 0.0, 6.0).ratio is None


def test_what_a_system_does_not_say_is_nothing() -> None:
    gone = 2**22 + 1  # above the largest process id
    assert (cpu_seconds(gone), bytes_written(gone), resident(gone)) == (None, None, None)
    assert (grown(None, 1), grown(1, 4, 3)) == (None, 1.0)
    if Path("/proc/self/statm").exists():
        assert resident(os.getpid())
