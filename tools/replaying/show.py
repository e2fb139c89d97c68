"""The timeline, a report and a difference for people: one line for each, coloured on a terminal, plain in a pipe."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import UNSET
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from rollouts.lines import Record
from tools.replaying.brief import brief, one_line
from tools.replaying.difference import Change
from tools.replaying.entries import IMPLICIT, Entry
from tools.replaying.integrity import Report
from tools.replaying.telling import Kind

_LONG: Final = 32 << 20
"""Bytes from which on reading is shown as it goes."""

_PIPE_WIDTH: Final = 200
_VALUE_WIDTH: Final = 100
_INDENT: Final = 31
"""Columns before the text of an entry."""

_OF_A_KIND: Final = 20
"""Findings of one kind that a person is shown."""

_LOOKED_AT: Final = 1 << 16
"""Characters of a text that may be looked at for its one line."""

_CONTROLS: Final = dict.fromkeys(range(127, 160), "�") | {n: 0x2400 + n for n in range(32) if n not in (9, 10)}

_NEVER_ENDED: Final = f"{'':{_INDENT}}this turn has no end: it runs still, or whoever ran it stopped"

_STYLES: Final = {
    "thread": "bold",
    "turn": "bold cyan",
    "end": "cyan",
    "settings": "dim",
    "user": "bold green",
    "agent": "green",
    "reasoning": "dim italic",
    "call": "yellow",
    "output": "dim",
    "ran": "yellow",
    "patch": "yellow",
    "review": "magenta",
    "hook": "magenta",
    "approval": "magenta",
    "compaction": "bold blue",
    "rollback": "bold blue",
    "error": "bold red",
    "damaged": "bold red",
    "unknown": "red",
    "usage": "dim",
    "context": "dim",
    "damage": "bold red",
    "oddity": "yellow",
    "note": "dim",
}


class Printer:
    """Prints entries, each on one line (or in full), with a heading for each day and each turn."""

    def __init__(self, console: Console, *, details: bool = False, full: bool = False) -> None:
        """`details` shows what only the model needs, `full` all of a text instead of its beginning."""
        self._console = console
        self._details = details
        self._full = full
        self._hidden = 0
        self._damaged = 0
        self._turns = 0
        self._day = ""
        self._turn: str | None = None
        self._open = False
        self._thread = False
        self._width = console.width if console.is_terminal else _PIPE_WIDTH

    def entry(self, entry: Entry) -> None:
        """Print one entry, or count it as hidden."""
        self._thread = self._thread or entry.kind == "thread"
        if entry.detail and not self._details:
            self._hidden += 1
            return
        self._heading(entry)
        if entry.kind == "turn":
            return
        place = f"at byte {entry.offset}: " if entry.kind == "damaged" else ""
        self._damaged += entry.kind == "damaged"
        self._open = self._open and not (entry.kind == "end" and entry.turn == self._turn)
        number = f"{entry.line:>6} {clock(entry.time):<12} "
        body = self._body(entry.kind, place + entry.text)
        self._print((number, "dim"), (f"{entry.kind:<10} ", _STYLES.get(entry.kind, "")), (body, ""))

    def finish(self, lines: int, end: int) -> None:
        """Say how much that was, and what is missing."""
        if self._open:
            self._print((_NEVER_ENDED, "yellow"))
        if lines and not self._thread:
            self._print(("No line says which thread this is (session_meta): is it a rollout?", "bold red"))
        damaged = f", {self._damaged} damaged (--check)" if self._damaged else ""
        hidden = f", {counted(self._hidden, 'detail')} left out (--all)" if self._hidden else ""
        sizes = f"{counted(lines, 'line')}, {counted(end, 'byte')}, {counted(self._turns, 'turn')}"
        self._print((f"{sizes}{damaged}{hidden}", "dim"))

    def _heading(self, entry: Entry) -> None:
        """The day and the turn, where the entry begins one. Implicit turns begin with their first entry."""
        if len(entry.time) > 10 and entry.time[:10] != self._day:
            self._day = entry.time[:10]
            self._print((harmless(self._day), "bold"))
        implicit = entry.turn is not None and entry.turn.startswith(IMPLICIT) and entry.turn != self._turn
        if entry.kind == "turn" or implicit:
            if self._open:
                self._print((_NEVER_ENDED, "yellow"))
            self._turns += 1
            self._turn, self._open = entry.turn, entry.kind == "turn"
            self._print((f"turn {self._turns}  ", "bold cyan"), (harmless(entry.turn or ""), "dim"))

    def _body(self, kind: Kind, text: str) -> str:
        if self._full:
            return harmless(text).replace("\n", "\n" + " " * _INDENT)
        width = max(20, self._width - _INDENT)
        short = shortened(brief(kind, text[:_LOOKED_AT]), width)
        return short if len(text) <= _LOOKED_AT or short.endswith("…") else short + "…"

    def _print(self, *parts: tuple[str, str]) -> None:
        if self._console.is_terminal:
            self._console.print(Text.assemble(*parts), soft_wrap=True, highlight=False)
        else:
            # a pipe gets the same text ten times as fast
            self._console.file.write("".join(text for text, _ in parts) + "\n")


def counted(number: int, what: str) -> str:
    """`1 turn`, `2 turns`."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def clock(timestamp: str) -> str:
    """The time of day of a timestamp."""
    return timestamp[11:23].rstrip("Z") if len(timestamp) > 11 else timestamp


def harmless(text: str) -> str:
    """The text with control characters made visible, so that a log cannot drive the terminal."""
    return text.translate(_CONTROLS)


def shortened(text: str, width: int) -> str:
    """The text on one line of at most so many characters."""
    return harmless(one_line(text, width))


def print_report(console: Console, name: str, report: Report) -> None:
    """What `--check` found, worst first, of each kind the first few."""
    order = {"damage": 0, "oddity": 1, "note": 2}
    seen = Counter[tuple[str, str]]()
    for found in sorted(report.findings, key=lambda finding: order[finding.level]):
        seen[found.level, found.kind] += 1
        if seen[found.level, found.kind] > _OF_A_KIND:
            continue
        where = f"line {found.line}, byte {found.offset}: " if found.line else ""
        text = Text(f"{found.level:<7}", style=_STYLES[found.level]).append(
            harmless(f"{where}{found.kind}: {found.text}"), ""
        )
        console.print(text, soft_wrap=True, highlight=False)
    for (_, kind), count in seen.items():
        if count > _OF_A_KIND:
            more = f"{'':7}{kind}: {count - _OF_A_KIND:,} more of these (--json has them all)"
            console.print(Text(more, style="dim"), soft_wrap=True, highlight=False)
    verdict = "sound" if report.sound else "not sound"
    size = f"{counted(report.lines, 'line')}, {counted(report.bytes, 'byte')}, {counted(report.turns, 'turn')}"
    console.print(Text(f"{name}: {verdict}; {size}"), soft_wrap=True, highlight=False)


def print_changes(console: Console, changes: Iterable[Change]) -> None:
    """What `--diff` found: `+` new, `-` gone, `~` other."""
    for change in changes:
        if change.before is UNSET:
            text = Text(f"+ {change.path} ", style="green").append(_value(change.after), "")
        elif change.after is UNSET:
            text = Text(f"- {change.path} ", style="red").append(_value(change.before), "")
        else:
            text = Text(f"~ {change.path} ", style="yellow").append(
                f"{_value(change.before)} -> {_value(change.after)}", ""
            )
        console.print(text, soft_wrap=True, highlight=False)


def _value(value: object) -> str:
    return shortened(msgspec.json.encode(value).decode(), _VALUE_WIDTH)


def watched(records: Iterable[Record], size: int, what: str) -> Iterator[Record]:
    """The records, with a progress bar on a terminal while a long file is read."""
    if size < _LONG or not sys.stderr.isatty():
        yield from records
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=size)
        for number, record in enumerate(records):
            if number % 1000 == 0:
                progress.update(task, completed=record.offset)
            yield record
