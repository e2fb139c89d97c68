"""The table of rollouts: entries by path, pages in list order, folders and their times.

SQL and encoding only, no file is looked at here. A file that is known by its folder alone is a bare row: it has a
place in the order by creation, and is filled when a page reaches it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from engine.index.entry import Entry, Facts
from engine.index.files import ARCHIVED, SESSIONS
from engine.index.store import Store
from engine.index.tables import UNFINISHED
from projections.catalog import CatalogRow
from rollouts.layout import parse_name

SortKey: TypeAlias = Literal["created", "updated"]
Which: TypeAlias = Literal["all", "read", "unlooked"]
"""All files, those whose lines were read, those of which not even the size is known."""

_COLUMNS = "path, key, size, mtime, inode, covered, complete, anchor, row"
DAY = 86_400_000
"""Milliseconds."""


class Listed(Struct, frozen=True):
    """A row of a page: its place in the order (ms, id in the name) and its entry, None while it is bare."""

    path: str
    time: int
    key: str
    entry: Entry | None
    facts: Facts | None


class Bound(Struct, frozen=True):
    """A place in the order: rows strictly after it are meant.

    `time` is in ms. Among rows of that time `key` decides, "" before and "~" behind all ids; or, where it is given and
    the order is by creation (whose times are whole seconds), `created` does, the ms at which the thread was made.
    """

    time: int
    key: str = ""
    created: int | None = None


class Query(Struct, frozen=True, kw_only=True):
    """Which rows and in which order; None is no filter.

    `term` is looked for in names and previews, and in the names of `named` (ids); the caller checks what the title
    really is.
    """

    archived: bool = False
    sort: SortKey = "created"
    descending: bool = True
    bound: Bound | None = None
    providers: Sequence[str] | None = None
    kinds: Sequence[str] | None = None
    cwds: Sequence[str] | None = None
    term: str | None = None
    named: Sequence[str] = ()
    bare: bool = True


class Known(NamedTuple):
    """A file of the table, and how it looked."""

    path: str
    bare: bool
    facts: Facts | None


class Rows:
    """Entries of the rollouts of a home."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._decode = msgspec.msgpack.Decoder(CatalogRow).decode
        self._encode = msgspec.msgpack.Encoder().encode

    def of_path(self, path: str) -> Entry | None:
        """The entry of a file, None if it is unknown or bare."""
        found = self._select("path = ?", (path,))
        return found[0].entry if found else None

    def paths_of(self, thread_id: str) -> list[str]:
        """Files that hold this thread, or have its id in their name; live ones first."""
        sql = "SELECT path FROM files WHERE id = ? OR (key = ? AND id IS NULL) ORDER BY archived, path"
        return [str(row[0]) for row in self._store.rows(sql, (thread_id, thread_id))]

    def read_paths(self) -> list[str]:
        """Files of which the id inside is known."""
        return [row[0] for row in self._store.rows("SELECT path FROM files WHERE covered IS NOT NULL AND id != ''")]

    def put(self, items: Iterable[tuple[str, Entry]]) -> None:
        """Keep entries by path."""
        self._store.write_many(_PUT, [self._values(path, entry) for path, entry in items])

    def add_bare(self, paths: Iterable[str]) -> None:
        """Note files that were seen in a folder and not yet looked at."""
        self._store.write_many(
            "INSERT OR IGNORE INTO files (path, folder, archived, named, key) VALUES (?, ?, ?, ?, ?)",
            [(path, *_place(path)) for path in paths],
        )

    def set_facts(self, items: Iterable[tuple[str, Facts]]) -> None:
        """Note how files look whose rows stay as they are, or bare."""
        self._store.write_many(
            "UPDATE files SET size = ?, mtime = ?, inode = ?, updated = ? WHERE path = ?",
            [(*facts, facts.mtime // 1_000_000, path) for path, facts in items],
        )

    def drop(self, paths: Iterable[str]) -> None:
        """Forget files that are gone."""
        self._store.write_many("DELETE FROM files WHERE path = ?", [(path,) for path in paths])

    def page(self, query: Query, limit: int) -> list[Listed]:
        """The first rows after the bound, bare ones among them unless the query says otherwise."""
        column = "named" if query.sort == "created" else "updated"
        where, values = _conditions(query, column)
        direction = "DESC" if query.descending else "ASC"
        order = f"ORDER BY {column} {direction}, key {direction} LIMIT ?"
        return self._select(where, (*values, limit), order, column)

    def in_folder(self, folder: str) -> set[str]:
        """Paths of the known files of a folder."""
        sql = "SELECT path FROM files WHERE path > ? AND path < ? AND folder = ?"
        return {str(row[0]) for row in self._store.rows(sql, (f"{folder}/", f"{folder}0", folder))}

    def unfinished(self, limit: int) -> list[Listed]:
        """Bare and partly folded rows, newest first."""
        return self._select(UNFINISHED, (limit,), "ORDER BY named DESC LIMIT ?")

    def alone(self, row: Listed, *, archived: bool) -> bool:
        """Whether no other file has the time of creation of this one in its name."""
        found = self._store.rows("SELECT 1 FROM files WHERE archived = ? AND named = ? LIMIT 2", (archived, row.time))
        return len(found) < 2

    def known(self, archived: bool, which: Which, after: str, limit: int) -> list[Known]:
        """Files by path, from the one after `after` on."""
        sql = (
            "SELECT path, covered IS NULL, size, mtime, inode FROM files"
            f" WHERE +archived = ? AND path > ? AND folder != '' AND {_WHICH[which]} ORDER BY path LIMIT ?"
        )
        return [
            Known(path, bool(bare), None if facts[0] is None else Facts(*facts))
            for path, bare, *facts in self._store.rows(sql, (archived, after, limit))
        ]

    def count(self, *, archived: bool) -> int:
        """How many files are known."""
        return sum(row[0] for row in self._store.rows("SELECT count(*) FROM files WHERE archived = ?", (archived,)))

    def _select(self, where: str, values: Sequence[object], order: str = "", column: str = "named") -> list[Listed]:
        sql = f"SELECT {column}, {_COLUMNS} FROM files WHERE {where} {order}"
        return [self._listed(*row) for row in self._store.rows(sql, values)]

    def _listed(
        self,
        time: int,
        path: str,
        key: str,
        size: int | None,
        mtime: int | None,
        inode: int | None,
        covered: int | None,
        complete: int,
        anchor: int,
        row: bytes,
    ) -> Listed:
        facts = None if size is None or mtime is None or inode is None else Facts(size, mtime, inode)
        entry = None if covered is None else Entry(self._decode(row), covered, bool(complete), anchor, facts)
        return Listed(path, time, key, entry, facts)

    def _values(self, path: str, entry: Entry) -> tuple[object, ...]:
        row = entry.row
        size, mtime, inode = entry.facts or (None, None, None)
        folder, archived, named, key = _place(path) if entry.facts else ("", False, row.created_at, row.id)
        listed = row.listed and (not folder or is_shelf(folder))
        return (
            path, folder, archived, named, key, size, mtime, inode, row.updated_at, entry.covered, entry.complete,
            entry.anchor, row.id, row.kind, row.provider, row.cwd, row.name, row.preview, row.created_at, listed,
            self._encode(row),
        )  # fmt: skip


_WHICH: Final[Mapping[Which, str]] = {"all": "true", "read": "covered IS NOT NULL", "unlooked": "mtime IS NULL"}

_FILLED: Final = (
    "size", "mtime", "inode", "updated", "covered", "complete", "anchor",
    "id", "kind", "provider", "cwd", "name", "preview", "created", "listed", "row",
)  # fmt: skip
_PUT: Final = (
    f"INSERT INTO files (path, folder, archived, named, key, {', '.join(_FILLED)})"
    f" VALUES ({', '.join('?' * (5 + len(_FILLED)))})"
    f" ON CONFLICT (path) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _FILLED)}"
)


def _place(path: str) -> tuple[str, bool, int, str]:
    """Folder, archived, time and id by which a file is listed.

    The time is that of the name, kept inside the day of the folder: so the order by folder is the order of the list,
    and the newest day answers for the newest rows.
    """
    folder, _, name = path.rpartition("/")
    parsed = parse_name(name)
    archived = folder.startswith(ARCHIVED)
    if parsed is None:
        return folder, archived, 0, name
    named = int(parsed.created.replace(tzinfo=UTC).timestamp() * 1000)
    day = day_of(folder)
    if day >= 0:
        named = min(max(named, day), day + DAY - 1000)
    return folder, archived, named, parsed.thread_id


def is_shelf(folder: str) -> bool:
    """Whether the rollouts in a folder are listed: a day of the live ones, or the flat archive."""
    return folder == ARCHIVED or day_of(folder) >= 0


def day_of(folder: str) -> int:
    """Start of the day of a folder `sessions/YYYY/MM/DD`, epoch ms as if UTC; -1 for other folders."""
    parts = folder.split("/")
    if len(parts) != 4 or parts[0] != SESSIONS:
        return -1
    try:
        year, month, day = map(int, parts[1:])
        return int(datetime(year, month, day, tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        return -1


def _conditions(query: Query, column: str) -> tuple[str, list[object]]:
    """The WHERE clause of a query and its values."""
    wanted: list[str] = ["listed"]
    values: list[object] = []
    for name, allowed in (("provider", query.providers), ("kind", query.kinds), ("cwd", query.cwds)):
        if allowed is not None:
            wanted.append(f"{name} IN ({', '.join('?' * len(allowed))})")
            values += allowed
    if query.term is not None:
        ids = "id IN (SELECT value FROM json_each(?))"
        wanted.append(f"(instr(preview, ?) OR instr(coalesce(name, ''), ?) OR {ids})")
        values += [query.term, query.term, msgspec.json.encode(query.named).decode()]
    shown = " AND ".join(wanted)
    clauses = ["archived = ?", f"(({shown}) OR covered IS NULL)" if query.bare else shown]
    if query.bound is not None:
        clause, place = _beyond(query.bound, column, "<" if query.descending else ">")
        clauses.append(clause)
        values += place
    return " AND ".join(clauses), [query.archived, *values]


def _beyond(bound: Bound, column: str, sign: str) -> tuple[str, list[object]]:
    """The condition that rows come after a place, and its values."""
    if bound.created is None:
        return f"({column}, key) {sign} (?, ?)", [bound.time, bound.key]
    inside = f"{column} = ? AND (created {sign} ? OR created IS NULL)"
    return f"({column} {sign} ? OR ({inside}))", [bound.time, bound.time, bound.created]
