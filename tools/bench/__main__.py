"""`python -m tools.bench`: generate histories, measure, print one table."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import cyclopts
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tools.bench import cases, histories
from tools.bench.cases import Row
from tools.bench.meter import Cost

MEGABYTE = 1 << 20

WIDTH = 118
"""Columns where the output is no terminal."""


def bench(*, size: float = 16.0, threads: int = 1_000, rounds: int = 3) -> None:
    """Compare the engine with the plainest Python that gives the same answers.

    Parameters
    ----------
    size
        Megabytes of each long history.
    threads
        How many threads the home for the lists has.
    rounds
        How often everything is measured; the cheapest round counts.
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


def _read(cost: Cost) -> str:
    if cost.read is None:
        return "-"
    return f"{cost.read / MEGABYTE:,.2f} MB" if cost.read >= MEGABYTE / 10 else f"{cost.read / 1024:,.1f} KB"


def main() -> None:
    """The command line."""
    cyclopts.run(bench)


if __name__ == "__main__":
    main()
