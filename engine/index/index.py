"""The index as the engine sees it: rows of threads, fresh pages, names, the sweep.

Calls that are not `async` are short and may run on the event loop; files are read in worker threads, some at a time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

import anyio
import anyio.to_thread
from msgspec.structs import replace

from engine.index.derived import Derived
from engine.index.entry import Entry, Facts
from engine.index.files import HEAD, PIECE, Budget, Counters, Files
from engine.index.rows import DAY, Listed, Query, Rows, Which, day_of
from engine.index.store import Store
from engine.index.tables import FILE_NAME, SCHEMA, VERSION
from engine.index.tree import Tree
from rollouts.errors import LogError
from rollouts.ids import check_id
from rollouts.layout import Home

_AT_ONCE = 128
"""Files read by one call of a worker thread."""

_STATS_AT_ONCE = 500

_STAT_ALL = 2_000
"""Homes up to this size are looked at whole when a page is sorted by update; for larger ones the sweep does it."""

_LARGEST = 4_096
"""Rows asked for at once while bare ones are filled."""

_DAYS_AT_ONCE = 8

_PAUSE = 5.0
"""Seconds between two sweeps at least."""

_REST = 3.0
"""The background reads long files a quarter of the time at most."""

_LOG = logging.getLogger(__name__)

Accept = Callable[[Entry], bool]
Task = tuple[str, Entry | None, Budget]


def _log_name(thread_id: str) -> str:
    return f"log:{thread_id}"


def _any(_: Entry) -> bool:
    return True


class Index:
    """The index of one home."""

    def __init__(self, home: Home, *, now: Callable[[], int] = time.time_ns) -> None:
        """`now` gives epoch ns by the clock of the file system."""
        self.home = home
        self.store = Store(home.path / FILE_NAME, SCHEMA, VERSION)
        self.derived = Derived(self.store)
        self._files = Files(home.path)
        self._rows = Rows(self.store)
        self._tree = Tree(self.store, self._files, self._rows, now)
        self._wanted = anyio.Event()
        self.warm = self.seen
        """Whether the reference would know the threads of this home: it opened a session here, now or earlier."""

    @property
    def counters(self) -> Counters:
        """What was done to the disk so far."""
        return self._files.counters

    @property
    def seen(self) -> bool:
        """Whether anything is known of this home yet."""
        return any(self._rows.count(archived=archived) for archived in (False, True))

    def close(self) -> None:
        """Close the file."""
        self.store.close()

    def entry(self, path: Path) -> Entry | None:
        """The entry of one file as it is now, None if there is none; reads at most its head or what was appended."""
        name = self._name(path)
        known = self._rows.of_path(name)
        if known is not None and known.facts == self._files.facts(name):
            return known
        found = self._files.read(name, known)
        self._keep([(name, found)])
        return found

    def recorded(self, thread_id: str) -> Entry | None:
        """The entry of a thread in a store, as it was last put."""
        return self._rows.of_path(_log_name(thread_id))

    def find(self, thread_id: str, *, archived: bool = False) -> Path | None:
        """The file of a thread, from the table if it is there, else by looking for it.

        :raises ValueError: not a UUID.
        """
        wanted = check_id(thread_id)
        for name in self._rows.paths_of(wanted):
            path = self.home.path / name
            if path.is_relative_to(self.home.archived) == archived and self._files.facts(name):
                return path
        read = cache(lambda: frozenset(self._rows.read_paths()))
        look = self.home.find_archived if archived else self.home.find
        return look(wanted, known=lambda path: self._name(path) in read())

    def put(self, path: Path | None, entry: Entry) -> None:
        """Keep what a writer has folded; `path` None is a thread in a store."""
        if path is None:
            self._rows.put([(_log_name(entry.row.id), replace(entry, facts=None, complete=True))])
        else:
            name = self._name(path)
            sealed = self._files.seal(name, entry)
            if sealed is not None and not sealed.complete:
                # the writer began with the head of a long file; what the sweep has read since is not read again
                known = self._rows.of_path(name)
                if known is not None and known.covered > sealed.covered:
                    sealed = self._files.read(name, known)
            self._keep([(name, sealed)])

    def moved(self, old: Path, new: Path) -> None:
        """Note that a file was archived or brought back."""
        known = self._rows.of_path(self._name(old))
        self._rows.drop([self._name(old)])
        if known is not None:
            self.put(new, known)

    def forget(self, path: Path) -> None:
        """Note that a file is gone."""
        self._rows.drop([self._name(path)])

    def names(self) -> dict[str, str]:
        """Names by thread id, as `session_index.jsonl` has them."""
        try:
            return self.home.names()
        except LogError as error:
            _LOG.warning("names cannot be read: %s", error)
            return {}

    def _listed_name(self, thread_id: str) -> str | None:
        try:
            return self.home.name(thread_id)
        except LogError as error:
            _LOG.warning("names cannot be read: %s", error)
            return None

    def name(self, entry: Entry) -> str | None:
        """The name of a thread that is not loaded.

        What the rollout says wins over `session_index.jsonl` (spec rollout-format 8). In a home that is not `warm` a
        name in the rollout alone is not shown (observed).
        """
        listed = self._listed_name(entry.row.id)
        own = entry.row.name if entry.complete and (listed or self.warm) else None
        return own or listed

    async def page(self, query: Query, limit: int, accept: Accept = _any) -> list[Listed]:
        """The first `limit` rows of a query as the disk has them now, without bare ones.

        :param accept: says whether a row really fits, for what SQL cannot tell.
        :raises OSError: the folder of all rollouts is there and cannot be read.
        """
        while True:
            lost = self.store.lost
            page = await self._page(query, limit, accept)
            if self.store.lost == lost:
                return page

    async def _page(self, query: Query, limit: int, accept: Accept) -> list[Listed]:
        await self._tree.refresh(archived=query.archived)
        looked = await self._look_at_all(query.archived) if query.sort == "updated" else set()
        size = limit
        tried: object = None
        while True:
            rows = self._rows.page(query, size)
            page, bare = _taken(rows, limit, accept)
            full = len(page) == limit
            days = [] if bare else self._days_wanted(query, page[-1].time if full else None)
            trying = (bare, days, size)
            if trying == tried:
                return page  # the index is locked: what it has is the answer
            tried = trying
            if bare:
                await self._read([(path, None, HEAD) for path in bare])
                looked.update(bare)
                size = min(size * 2, _LARGEST)
            elif not full and len(rows) == size:
                size *= 2
            elif days:
                await self._tree.look(days)
            elif changed := self._changed(page, looked):
                await self._read(changed)
                tried = None
            else:
                return page

    def indexed(self, query: Query, limit: int, accept: Accept = _any) -> list[Listed]:
        """The first rows of a query as the index has them, without a look at the disk."""
        size = limit
        while True:
            rows = self._rows.page(replace(query, bare=False), size)
            page, _ = _taken(rows, limit, accept)
            if len(page) == limit or len(rows) < size:
                return page
            size *= 2

    def alone(self, row: Listed, *, archived: bool) -> bool:
        """Whether no other file has the time of creation of this one in its name."""
        return self._rows.alone(row, archived=archived)

    async def sweep(self, *, rest: float = 0.0) -> None:
        """Bring the whole index up to date: new and lost files, changed ones, long ones to their end.

        :param rest: so many times as long as it takes to read a piece of a long file, nothing is done after it.
        """
        for archived in (False, True):
            await self._tree.refresh(archived=archived)
            if not archived:
                await self._tree.look(self._tree.days())
            await self._look_again(archived, "read")
        done: object = None
        while rows := self._rows.unfinished(_AT_ONCE):
            left = [(row.path, row.entry and row.entry.covered) for row in rows]
            if left == done:
                return  # the index is locked: another time
            done = left
            await self._read([(row.path, None, HEAD) for row in rows if row.entry is None])
            for row in rows:
                if row.entry is not None:
                    began = anyio.current_time()
                    await self._read([(row.path, row.entry, PIECE)])
                    await anyio.sleep(rest * (anyio.current_time() - began))

    async def keep_fresh(self, interval: float = 300.0) -> None:
        """Sweep now, every `interval` seconds and soon after `sweep_soon`; runs until it is cancelled."""
        while True:
            try:
                await self.sweep(rest=_REST)
            except OSError as error:
                _LOG.warning("the index is not brought up to date: %s", error)
            self._wanted = anyio.Event()
            await anyio.sleep(min(interval, _PAUSE))
            with anyio.move_on_after(max(0.0, interval - _PAUSE)):
                await self._wanted.wait()

    def sweep_soon(self) -> None:
        """Ask the background for a sweep."""
        self._wanted.set()

    def _name(self, path: Path) -> str:
        """How a path is written in the table: relative to the home if it is in it."""
        return str(path.relative_to(self.home.path) if path.is_relative_to(self.home.path) else path)

    def _keep(self, found: Iterable[tuple[str, Entry | None]]) -> None:
        items = list(found)
        self._rows.drop([name for name, entry in items if entry is None])
        self._rows.put([(name, entry) for name, entry in items if entry is not None])

    async def _read(self, tasks: Sequence[Task]) -> None:
        for start in range(0, len(tasks), _AT_ONCE):
            step = tasks[start : start + _AT_ONCE]
            self._keep(await anyio.to_thread.run_sync(_reads, self._files, step))

    async def _look_at_all(self, archived: bool) -> set[str]:
        """Bring times of change up to date for a page sorted by them; returns the paths that were looked at."""
        if not archived:
            await self._tree.look(self._tree.days())
        if self._rows.count(archived=archived) > _STAT_ALL:
            self.sweep_soon()
            return await self._look_again(archived, "unlooked")
        return await self._look_again(archived, "all")

    async def _look_again(self, archived: bool, which: Which) -> set[str]:
        """`stat` known files, note how they look, and read again what has changed; returns their paths."""
        looked: set[str] = set()
        after = ""
        while step := self._rows.known(archived, which, after, _STATS_AT_ONCE):
            after = step[-1].path
            facts = await anyio.to_thread.run_sync(_stats, self._files, [row.path for row in step])
            looked |= facts.keys()
            changed = [row for row in step if facts[row.path] != row.facts]
            self._rows.drop([row.path for row in changed if facts[row.path] is None])
            self._rows.set_facts([(row.path, new) for row in changed if row.bare and (new := facts[row.path])])
            await self._read([(row.path, self._rows.of_path(row.path), HEAD) for row in changed if not row.bare])
        return looked

    def _changed(self, page: Iterable[Listed], looked: set[str]) -> list[Task]:
        """The rows of a page whose file is not as it was; `looked` files are not looked at twice."""
        new = [row for row in page if row.path not in looked and row.facts is not None]
        looked.update(row.path for row in new)
        return [(row.path, row.entry, HEAD) for row in new if self._files.facts(row.path) != row.facts]

    def _days_wanted(self, query: Query, last: int | None) -> list[str]:
        """Day folders that may hold rows of a page ending at `last`; of a page that is not full the next few."""
        if query.archived or query.sort == "updated":
            return []
        start = query.bound.time if query.bound else None
        newest, oldest = (start, last) if query.descending else (last, start)
        days = [
            path
            for path in self._tree.days()
            if (newest is None or day_of(path) <= newest) and (oldest is None or day_of(path) + DAY > oldest)
        ]
        ordered = days if query.descending else days[::-1]
        return ordered[:_DAYS_AT_ONCE] if last is None else ordered


def _taken(rows: Iterable[Listed], limit: int, accept: Accept) -> tuple[list[Listed], list[str]]:
    """The rows of a page, and the bare ones met on the way."""
    page: list[Listed] = []
    bare: list[str] = []
    for row in rows:
        if row.entry is None:
            bare.append(row.path)
        elif accept(row.entry):
            page.append(row)
            if len(page) == limit:
                break
    return page, bare


def _reads(files: Files, tasks: Sequence[Task]) -> list[tuple[str, Entry | None]]:
    return [(path, files.read(path, known, budget)) for path, known, budget in tasks]


def _stats(files: Files, paths: Sequence[str]) -> dict[str, Facts | None]:
    return {path: files.facts(path) for path in paths}
