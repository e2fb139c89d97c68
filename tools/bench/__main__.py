"""`python -m tools.bench`: measure histories and a working engine, print two tables."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import cyclopts
from msgspec import Struct
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tools.bench import cases, crowd, histories, latency
from tools.bench import turns as turning
from tools.bench.cases import Row
from tools.bench.figures import Figure
from tools.bench.meter import Cost

MEGABYTE = 1 << 20

WIDTH = 118
"""Columns where the output is no terminal."""


def bench(
    *,
    size: float = 16.0,
    threads: int = 1_000,
    rounds: int = 3,
    turns: int = 50,
    deltas: int = 300,
    in_flight: int = 100,
) -> None:
    """Compare the engine with the plainest Python that gives the same answers.

    Parameters
    ----------
    size
        Megabytes of each long history.
    threads
        How many threads the home for the lists has.
    rounds
        How often everything is measured; the cheapest round counts.
    turns
        How many turns in a row are measured.
    deltas
        How many deltas of a slow reply are timed.
    in_flight
        How many threads have a turn at once.
    """
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    with (
        tempfile.TemporaryDirectory(prefix="rollout-engine-bench-") as folder,
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        groups = list(_groups(Path(folder), round(size * MEGABYTE), threads))
        task = progress.add_task("measuring", total=sum(len(each) for _, each in groups))
        table = _table(size)
        for title, group in groups:
            table.add_row(f"[bold]{title}")
            for case in group:
                _add(table, anyio.run(cases.run, case, rounds))
                progress.advance(task)
            table.add_section()
        console.print(table)
        progress.add_task("measuring turns", total=None)
        work = Work(turns, deltas, in_flight)
        console.print(_working_table(anyio.run(_working, Path(folder), work)))


class Work(Struct, frozen=True):
    """How much a working engine has to do; see `bench`."""

    turns: int
    deltas: int
    in_flight: int


async def _working(folder: Path, work: Work) -> list[Figure]:
    return [
        *await turning.in_process(folder / "inside", work.turns),
        *await turning.over_stdio(folder / "outside", work.turns),
        *await latency.of_deltas(folder / "deltas", work.deltas),
        *await crowd.in_flight(folder / "crowd", work.in_flight),
    ]


def _groups(folder: Path, size: int, threads: int) -> Iterator[tuple[str, list[cases.Case]]]:
    for profile in histories.LONG:
        history = histories.write(folder / profile, profile, size)
        title = f"{profile}: {history.size / MEGABYTE:.1f} MB, {history.lines:,} lines, {history.turns:,} turns"
        yield title, list(cases.of_history(folder / profile, history))
    many = folder / "many"
    appended = histories.write(folder, "tools", size)
    histories.write_many(many, threads)
    yield "many", [cases.of_appends(folder, appended), *cases.of_many(many, threads)]


def _table(size: float) -> Table:
    caption = (
        "CPU time, best round. Plain: json.loads of every line, a walk over all files. "
        "x: how many times as long the plain way takes; below 1 it is the faster one."
    )
    table = Table(title=f"rollout-engine against plain Python, {size:g} MB", caption=caption)
    table.add_column("answer")
    for name in ("plain", "ours", "x", "plain reads", "ours reads"):
        table.add_column(name, justify="right")
    return table


def _add(table: Table, row: Row) -> None:
    costs = row.plain, row.ours
    times = (f"{cost.seconds * 1000:,.2f} ms" for cost in costs)
    table.add_row(f"  {row.case}", *times, f"{row.ratio:,.{0 if row.ratio >= 10 else 2}f}", *map(_read, costs))


def _working_table(figures: list[Figure]) -> Table:
    caption = (
        "Bare: the same requests by a client without an engine; for deltas a process that passes bytes on; "
        "for bytes what is recorded. x: how many times the bare figure ours is."
    )
    table = Table(title="rollout-engine at work against the bare requests", caption=caption)
    table.add_column("figure")
    table.add_column("unit")
    for name in ("bare", "ours", "x"):
        table.add_column(name, justify="right")
    for figure in figures:
        table.add_row(figure.name, figure.unit, *map(_shown, (figure.bare, figure.ours, figure.ratio)))
    return table


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:,.{0 if value >= 100 else 2}f}"


def _read(cost: Cost) -> str:
    if cost.read is None:
        return "-"
    return f"{cost.read / MEGABYTE:,.2f} MB" if cost.read >= MEGABYTE / 10 else f"{cost.read / 1024:,.1f} KB"


def main() -> None:
    """The command line."""
    cyclopts.run(bench)


if __name__ == "__main__":
    main()
