"""`make bench` on tiny input: every case runs, both sides agree, the histories are what they claim to be.

No times are looked at: what an answer may read is proven elsewhere by counting.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from projections.session import rebuild
from rollouts import codec
from rollouts import events as ev
from rollouts.log import FileLog
from tools.bench import cases, histories
from tools.bench.__main__ import bench
from tools.bench.cases import Case, WrongAnswer, expect
from tools.bench.histories import History, Profile
from tools.bench.meter import Cost, Meter


def test_the_table_has_a_row_for_every_case(capsys: pytest.CaptureFixture[str]) -> None:
    bench(size=0.05, threads=30, rounds=1, turns=1, deltas=3, in_flight=2)
    shown = capsys.readouterr().out
    for profile in histories.LONG:
        assert f"{profile}: 0." in shown
    for case, times in {
        "decode every line": 2,
        "fold every line": 2,
        "resume, live context only": 4,
        "resume with all turns": 4,
        "newest 20 turns": 4,
        "fork ": 2,
        "append": 1,
        "newest 25 of 30 threads": 2,
    }.items():
        assert shown.count(f" {case}") == times, case
    for figure in ("a turn of 20 deltas", "turns of one thread", "a delta from model to client", "2 turns in flight"):
        assert figure in shown


@pytest.fixture(params=histories.LONG)
def history(request: pytest.FixtureRequest, tmp_path: Path) -> History:
    profile: Profile = request.param
    return histories.write(tmp_path, profile, 300_000)


def bodies(history: History) -> list[ev.Body]:
    lines = [codec.decode(line) for line in history.path.read_bytes().splitlines()]
    return [line.body for line in lines if isinstance(line, codec.Line)]


def test_a_history_is_as_large_as_asked_and_all_of_it_is_known(history: History) -> None:
    found = bodies(history)
    assert history.path.stat().st_size == history.size >= 300_000
    assert len(found) == history.lines
    assert not any(isinstance(body, ev.Unknown | ev.OtherItem) for body in found)


def test_a_history_folds_to_the_turns_it_says_it_has(history: History) -> None:
    state = rebuild(FileLog(history.path))
    assert state.turns is not None
    assert [row.status for row in state.turns.all_rows()] == ["completed"] * history.turns
    assert state.meta is not None
    assert state.meta.id == history.thread_id


def test_compactions_are_nearly_all_of_the_profile_named_for_them(tmp_path: Path) -> None:
    history = histories.write(tmp_path, "compacted", 2 << 20)
    lines = history.path.read_bytes().splitlines(keepends=True)
    compacted = sum(len(line) for line in lines if codec.head(line) == ("compacted", None))
    assert compacted > 0.9 * history.size


def test_tool_sessions_are_compacted_now_and_then(tmp_path: Path) -> None:
    found = bodies(histories.write(tmp_path, "tools", 2 << 20))
    assert 1 <= sum(isinstance(body, ev.Compacted) for body in found) <= 4
    assert sum(isinstance(body, ev.FunctionCall) for body in found) > 100


@pytest.mark.anyio
async def test_sides_that_disagree_end_the_run() -> None:
    async def one(meter: Meter) -> object:
        return 1

    async def two(meter: Meter) -> object:
        return 2

    with pytest.raises(WrongAnswer, match="count: expected 1, got 2"):
        await cases.run(Case("count", one, two), 1)
    with pytest.raises(WrongAnswer):
        expect(1, 2)


def test_a_ratio_says_how_many_times_as_long_the_plain_way_takes() -> None:
    assert cases.Row("x", Cost(3.0), Cost(1.5)).ratio == 2.0


def test_a_meter_counts_what_a_block_reads_where_the_system_says_so(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100_000)
    meter = Meter()
    for _ in range(2):
        with meter.measure():
            path.read_bytes()
    assert len(meter.rounds) == 2
    assert meter.best == min(meter.rounds)
    assert meter.best.read is None or 100_000 <= meter.best.read < 110_000
