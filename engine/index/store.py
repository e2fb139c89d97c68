"""The SQLite file behind the index, which may be lost, broken or locked at any time without anybody being hurt.

Owns opening, versions and recovery: a broken file is made anew, one that cannot be written is replaced by a database
in memory, a locked one makes a write be skipped. Nothing in here raises because of the file, so that the index can
never fail a turn; everything kept in it is derived from the rollouts and made again when it is missing.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

_T = TypeVar("_T")
Row: TypeAlias = "tuple[Any, ...]"
Statement: TypeAlias = "tuple[str, Sequence[object]]"

_BUSY_MS = 200
"""The longest a call waits for another process that writes; the loop stands still meanwhile."""

_PAGE = 1024
"""Bytes of a page: every commit writes all pages that it touches, the end of a turn six of them for few values."""

_OPENINGS = 5
"""Tries to open a file that another process is just making."""

_LOG = logging.getLogger(__name__)

_BUGS = (
    sqlite3.ProgrammingError,
    sqlite3.NotSupportedError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
)
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_UNUSABLE = (
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
)


class Store:
    """One disposable SQLite file with a fixed schema.

    :param path: the file; its folder need not exist.
    :param schema: statements that make all tables, run on an empty database.
    :param version: what `PRAGMA user_version` must say; a file with another one is emptied.
    """

    def __init__(self, path: Path, schema: Sequence[str], version: int) -> None:
        self.path = path
        self._schema = schema
        self._version = version
        self.lost = 0
        """How often everything in it was lost since it was opened."""
        self._db = self._opened()

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """The rows of a query; none if the file was lost and had to be made anew."""
        return self._guarded(lambda db: db.execute(sql, values).fetchall(), [])

    def write(self, *statements: Statement, when: Callable[[sqlite3.Connection], bool] = lambda _: True) -> bool:
        """Run the statements in one transaction; False if another process held the file too long.

        :param when: asked in the transaction; if it says no, nothing is run and the answer is False, too.
        """

        def work(db: sqlite3.Connection) -> bool:
            with _transaction(db):
                if not when(db):
                    return False
                for sql, values in statements:
                    db.execute(sql, values)
            return True

        return self._guarded(work, False)

    def write_many(self, sql: str, rows: Iterable[Sequence[object]]) -> bool:
        """Run one statement for each row in one transaction; as `write`."""
        values = list(rows)
        if not values:
            return True

        def work(db: sqlite3.Connection) -> bool:
            with _transaction(db):
                db.executemany(sql, values)
            return True

        return self._guarded(work, False)

    def close(self) -> None:
        """Close the file; what was written stays."""
        self._db.close()

    def _guarded(self, work: Callable[[sqlite3.Connection], _T], otherwise: _T) -> _T:
        for reopen in (self._made_anew, self._memory):
            try:
                return work(self._db)
            except _BUGS:
                raise
            except sqlite3.DatabaseError as error:
                code = _code(error)
                if code in _LOCKED:
                    _LOG.info("index %s is locked, skipped a step", self.path)
                    return otherwise
                _LOG.warning("index %s cannot be used (%s), starting over", self.path, error)
                with contextlib.suppress(sqlite3.Error):
                    self._db.close()
                self._db = self._memory() if code in _UNUSABLE else reopen()
                self.lost += 1
        return work(self._db)

    def _opened(self) -> sqlite3.Connection:
        for _ in range(_OPENINGS):
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                return self._ready(self._connect(str(self.path)))
            except (sqlite3.DatabaseError, OSError) as error:
                if _code(error) not in _LOCKED:
                    _LOG.warning("index %s cannot be opened (%s), making it anew", self.path, error)
                    return self._made_anew()
        _LOG.warning("index %s stays locked, keeping it in memory", self.path)
        return self._memory()

    def _made_anew(self) -> sqlite3.Connection:
        try:
            for suffix in ("", "-wal", "-shm", "-journal"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            return self._ready(self._connect(str(self.path)))
        except (sqlite3.DatabaseError, OSError) as error:
            _LOG.warning("index %s cannot be made (%s), keeping it in memory", self.path, error)
            return self._memory()

    def _memory(self) -> sqlite3.Connection:
        return self._ready(self._connect(":memory:"))

    def _connect(self, name: str) -> sqlite3.Connection:
        return sqlite3.connect(name, timeout=_BUSY_MS / 1000, isolation_level=None)

    def _ready(self, db: sqlite3.Connection) -> sqlite3.Connection:
        try:
            db.execute(f"PRAGMA page_size={_PAGE}")
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            if db.execute("PRAGMA user_version").fetchone()[0] != self._version:
                with _transaction(db):
                    self._empty(db)
        except sqlite3.DatabaseError:
            db.close()
            raise
        return db

    def _empty(self, db: sqlite3.Connection) -> None:
        if db.execute("PRAGMA user_version").fetchone()[0] == self._version:
            return  # another process was faster
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            db.execute(f'DROP TABLE "{name}"')
        for statement in self._schema:
            db.execute(statement)
        db.execute(f"PRAGMA user_version={self._version}")


def _code(error: Exception) -> int:
    """SQLite's primary result code, 0 for other errors."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
