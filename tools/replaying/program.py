"""What the command line does with an opened rollout; returns exit codes, prints to the console it is given."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import anyio
import msgspec
from rich.console import Console

from engine.parents import LostParent, whole
from rollouts.lines import Record
from rollouts.log import FileLog, Log, follow, open_log
from tools.replaying import integrity
from tools.replaying.difference import changes
from tools.replaying.entries import Entry, Teller
from tools.replaying.points import described, find, state_at
from tools.replaying.show import Printer, print_changes, print_report, watched
from tools.replaying.source import Source
from tools.replaying.source import find as find_thread

UNSOUND = 1
"""Exit code of a check that found something."""


class Refused(Exception):
    """What was asked makes no sense for this rollout; the message says why."""


class Program:
    """One rollout and how a person wants to see it."""

    def __init__(self, source: Source, console: Console, *, as_json: bool, details: bool, full: bool) -> None:
        self._source = source
        self._log = source.log
        self._console = console
        self._json = as_json
        self._details = details
        self._full = full
        self._printer = Printer(console, details=details, full=full)

    def timeline(self, until: str | None, *, followed: bool = False) -> int:
        """Print what happened, and with `followed` what happens from now on, until the program is interrupted."""
        if followed and (not isinstance(self._log, FileLog) or self._source.path is None):
            raise Refused("only a plain file can be followed")
        stop = self._stop(until)
        teller = Teller()
        number, end = 0, 0
        for record in self._records(stop, "reading"):
            if followed and record.torn:
                break  # told when it is whole
            number, end = number + 1, record.end
            self._tell(teller.tell(number, record))
        self._tell(teller.rest())
        self._console.file.flush()
        if followed:
            with contextlib.suppress(KeyboardInterrupt):  # the way to end it
                anyio.run(self._follow, teller, number, end)
        elif not self._json:
            self._printer.finish(number, end)
        return 0

    def state(self, until: str | None) -> int:
        """Print the state at a point (None: the end) as one JSON object."""
        self._print_json(self._state(self._stop(until)))
        return 0

    def diff(self, before: str, after: str) -> int:
        """Print what changed in the state between two points."""
        old, new = (msgspec.json.decode(self._state(self._stop(name))) for name in (before, after))
        found = list(changes(old, new))
        if self._json:
            for change in found:
                self._write(msgspec.json.encode(change))
        else:
            print_changes(self._console, found)
        return 0

    def check(self, until: str | None) -> int:
        """Print what is wrong up to a point; returns `UNSOUND` if anything is."""
        report = integrity.check(self._records(self._stop(until), "checking"))
        if report.bases:
            try:
                whole(self._log, self._parent)
            except LostParent as error:
                report.findings.append(integrity.Finding("damage", "lost parent", error.reason))
        found = None if self._source.path is None else integrity.misnamed(self._source.path, report)
        if found is not None:
            report.findings.append(found)
        if self._json:
            self._print_json(msgspec.json.encode({"sound": report.sound} | msgspec.to_builtins(report)))
        else:
            print_report(self._console, self._source.name, report)
        return 0 if report.sound else UNSOUND

    def materialise(self, target: Path) -> int:
        """Write the full copy of a fork by reference, a file that needs no parent: the fork's own meta, the part of the
        parent that it continues, what was written since. Nothing is left behind if that fails.

        :raises Refused: it is none, its parent is gone, or the target is there already.
        """
        if target.exists():
            raise Refused(f"{target} is there already")
        aside = target.with_name(f".{target.name}.{os.getpid()}")
        count = 0
        try:
            full = whole(self._log, self._parent)
            if full is self._log:
                raise Refused("no history_base line: the rollout is a full copy already")
            with aside.open("xb") as out:
                for record in full.read():
                    if record.data:
                        out.write(record.data + b"\n")
                        count += 1
                out.flush()
                os.fsync(out.fileno())
                size = out.tell()
            os.link(aside, target)  # unlike a rename, refuses a target that has come meanwhile
        except LostParent as error:
            raise Refused(error.reason) from error
        except OSError as error:
            raise Refused(f"{target}: {error.strerror}") from error
        finally:
            aside.unlink(missing_ok=True)
        self._console.print(f"{target}: {count} lines, {size:,} bytes", soft_wrap=True, highlight=False, markup=False)
        return 0

    async def _follow(self, teller: Teller, number: int, end: int) -> None:
        async for record in follow(self._log, end):
            number += 1
            self._tell(teller.tell(number, record))
            self._console.file.flush()

    def _tell(self, told: list[Entry]) -> None:
        for entry in told:
            if not self._json:
                self._printer.entry(entry)
            elif self._details or not entry.detail:
                self._write(msgspec.json.encode(entry))

    def _records(self, stop: int | None, what: str) -> Iterator[Record]:
        end = self._log.end() if stop is None else stop
        return watched(self._log.read(0, end), end, what)

    def _stop(self, point: str | None) -> int | None:
        """Where a point is, in bytes; None is the end."""
        return None if point is None else find(point, self._records(None, f"looking for {point}")).offset

    def _state(self, stop: int | None) -> bytes:
        records = self._records(stop, "rebuilding")
        return described(state_at(self._log, records), self._log)

    def _parent(self, thread_id: str) -> Log | None:
        """The log of another thread: of the home, else in the folder of this file."""
        found = find_thread(thread_id, self._source.home)
        if found is None and self._source.path is not None:
            found = next(self._source.path.absolute().parent.glob(f"*{thread_id}.jsonl*"), None)
        return None if found is None else open_log(found)

    def _print_json(self, data: bytes) -> None:
        self._write(data if self._json else msgspec.json.format(data, indent=2))

    def _write(self, data: bytes) -> None:
        self._console.file.write(data.decode() + "\n")
