"""All looking at files that the index does: folders, `stat`, heads, tails; counted, so that tests see what it cost.

Paths are text relative to the home. Nothing here knows the database; every method may run in a worker thread.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from engine.index.entry import Entry, Facts, anchor
from projections import catalog
from projections.catalog import EMPTY, CatalogRow
from rollouts import codec
from rollouts.layout import parse_name
from rollouts.lines import Record
from rollouts.log import FileLog, Log, LogError, open_log

SESSIONS = "sessions"
ARCHIVED = "archived_sessions"

_BLOCK = 1 << 16
"""Bytes of a first look at a file; the heads of most rollouts are smaller."""

_BROKEN = -1
"""Anchor of a file that cannot be read: nothing continues it."""

_LINE = 1 << 14
"""Bytes kept of a line that is only looked at; enough to tell its type."""


class Budget(NamedTuple):
    """How much of a file one look may read; a look ends earlier once it has found what a list shows."""

    lines: int
    bytes: int


HEAD = Budget(200, 4 << 20)
"""For a file met for the first time: as far as the reference looks for a user message (spec thread-lifecycle 6)."""

PIECE = Budget(50_000, 16 << 20)
"""For a step of the sweep through a large file: some 20 ms."""


class Seen(NamedTuple):
    """A folder's content: modification time in ns before the look, names of folders, names of rollouts."""

    mtime: int
    folders: list[str]
    rollouts: list[str]


class Counters:
    """What was done to the disk since the start."""

    def __init__(self) -> None:
        self.stats = 0
        self.folders = 0
        self.opened = 0
        self.bytes = 0


class Files:
    """The rollouts of one home, as the index looks at them."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self.counters = Counters()

    def _full(self, path: str) -> str:
        return os.path.join(self._root, path)

    def facts(self, path: str) -> Facts | None:
        """What `stat` says, None if there is no such file."""
        self.counters.stats += 1
        try:
            status = os.stat(self._full(path))
        except OSError:
            return None
        return Facts(status.st_size, status.st_mtime_ns, status.st_ino)

    def folder_time(self, folder: str) -> int | None:
        """Modification time in ns, None if there is no such folder."""
        self.counters.stats += 1
        try:
            return os.stat(self._full(folder)).st_mtime_ns
        except OSError:
            return None

    def look(self, folder: str) -> Seen | None:
        """What is in a folder, None if there is no such folder.

        :raises OSError: it is there and cannot be read.
        """
        mtime = self.folder_time(folder)
        self.counters.folders += 1
        folders, rollouts = [], []
        try:
            with os.scandir(self._full(folder)) as entries:
                for entry in entries:
                    if parse_name(entry.name):
                        rollouts.append(entry.name)
                    elif entry.name.isdecimal() and os.path.isdir(entry):
                        folders.append(entry.name)
        except FileNotFoundError:
            return None
        plain = set(rollouts)
        rollouts = [name for name in rollouts if name.removesuffix(".zst") not in plain - {name}]
        return None if mtime is None else Seen(mtime, folders, rollouts)

    def read(self, path: str, known: Entry | None = None, budget: Budget = HEAD) -> Entry | None:
        """An entry of the file as it is now, going on where `known` ends if the file still begins with that.

        The entry may cover less than the file, see `Entry.complete`; one that cannot be read is complete and
        empty. None if there is no such file any more.
        """
        facts = self.facts(path)
        if facts is None:
            return None
        self.counters.opened += 1
        log = self._log(path)
        try:
            if known is None or not self._continues(path, known, facts):
                known = Entry(EMPTY)
            row, covered, complete = _folded(log, known, budget)
            mark = self._anchor(path, covered)
        except (LogError, OSError):
            row, covered, complete, mark = EMPTY, facts.size, True, _BROKEN
        finally:
            self.counters.bytes += log.bytes_read
            log.close()
        return Entry(self._placed(row, path, facts), covered, complete, mark, facts)

    def seal(self, path: str, entry: Entry) -> Entry | None:
        """A writer's entry with the anchor and the facts of its file; None if there is no such file."""
        facts = self.facts(path)
        if facts is None:
            return None
        try:
            mark = self._anchor(path, entry.covered)
        except OSError:
            return None
        complete = entry.covered == facts.size
        return Entry(self._placed(entry.row, path, facts), entry.covered, complete, mark, facts)

    def _log(self, path: str) -> Log:
        full = Path(self._full(path))
        return open_log(full) if full.suffix == ".zst" else FileLog(full, block=_BLOCK)

    def _placed(self, row: CatalogRow, path: str, facts: Facts) -> CatalogRow:
        archived = path.startswith(ARCHIVED)
        return replace(row, path=self._full(path), archived=archived, updated_at=facts.mtime // 1_000_000)

    def _continues(self, path: str, known: Entry, facts: Facts) -> bool:
        """Whether the file only grew since `known`; one of the same length was changed in place."""
        if known.facts == facts:
            return True
        if known.facts is None or path.endswith(".zst") or facts.inode != known.facts.inode:
            return False
        return facts.size > known.facts.size and self._anchor(path, known.covered) == known.anchor

    def _anchor(self, path: str, covered: int) -> int:
        if path.endswith(".zst"):
            return 0
        fd = os.open(self._full(path), os.O_RDONLY | os.O_CLOEXEC)
        try:
            return anchor(lambda size, offset: os.pread(fd, size, offset), covered)
        finally:
            os.close(fd)


def _folded(log: Log, known: Entry, budget: Budget) -> tuple[CatalogRow, int, bool]:
    """The row, what it covers, and whether that is all there is."""
    row, covered = known.row, known.covered
    for number, record in enumerate(log.read(covered, limit=_LINE)):
        size = record.end - known.covered
        enough = size > budget.bytes or (row.id and row.preview and row.model and size > _BLOCK and budget is HEAD)
        if number and (number >= budget.lines or enough):
            return row, covered, False
        row = catalog.fold(row, _whole(log, record, row))
        if record.torn:
            break  # read again when it has its line break
        covered = record.end
    return row, covered, True


def _whole(log: Log, record: Record, row: CatalogRow) -> bytes:
    """The line, read in full only if it can change the row."""
    if not record.cut:
        return record.data
    head = codec.head(record.data)
    if head is not None and not catalog.wanted(*head, row):
        return b""
    return next(log.read(record.offset, record.end)).data
