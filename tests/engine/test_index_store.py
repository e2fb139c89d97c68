"""The index file may be lost, broken, locked or forbidden: the engine goes on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from engine.index.store import Store

SCHEMA = ("CREATE TABLE t (a INTEGER)",)


def opened(path: Path, version: int = 1) -> Store:
    return Store(path, SCHEMA, version)


def filled(path: Path) -> Store:
    store = opened(path)
    assert store.write(("INSERT INTO t VALUES (?)", (7,)))
    return store


def content(store: Store) -> list[tuple[int, ...]]:
    return store.rows("SELECT a FROM t")


def test_what_is_written_is_there_for_the_next_process(tmp_path: Path) -> None:
    filled(tmp_path / "new" / "i.sqlite").close()
    store = opened(tmp_path / "new" / "i.sqlite")
    assert content(store) == [(7,)]


def test_a_file_of_another_version_is_emptied(tmp_path: Path) -> None:
    filled(tmp_path / "i.sqlite").close()
    assert content(opened(tmp_path / "i.sqlite", 2)) == []


@pytest.mark.parametrize("junk", [b"not a database, not at all" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_broken_file_is_made_anew(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "i.sqlite").write_bytes(junk)
    store = filled(tmp_path / "i.sqlite")
    assert content(store) == [(7,)]
    assert content(opened(tmp_path / "i.sqlite")) == [(7,)]


def test_a_file_that_breaks_while_it_is_open_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "i.sqlite"
    store = opened(path)
    store.write_many("INSERT INTO t VALUES (?)", [(n,) for n in range(20_000)])
    store.close()
    store = opened(path)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    assert content(store) == []
    assert store.write(("INSERT INTO t VALUES (?)", (1,)))
    assert content(store) == [(1,)]


def test_a_table_that_somebody_dropped_comes_back(tmp_path: Path) -> None:
    store = filled(tmp_path / "i.sqlite")
    with sqlite3.connect(tmp_path / "i.sqlite") as other:
        other.execute("DROP TABLE t")
    other.close()
    assert content(store) == []
    assert store.write(("INSERT INTO t VALUES (?)", (1,)))


def test_where_no_file_can_be_the_index_is_kept_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = filled(tmp_path / "file" / "i.sqlite")
    assert content(store) == [(7,)]


def test_a_write_is_skipped_while_another_process_holds_the_file(tmp_path: Path) -> None:
    store = filled(tmp_path / "i.sqlite")
    other = sqlite3.connect(tmp_path / "i.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert not store.write(("INSERT INTO t VALUES (?)", (8,)))
    assert content(store) == [(7,)]
    other.execute("ROLLBACK")
    other.close()
    assert store.write(("INSERT INTO t VALUES (?)", (8,)))


def test_two_processes_see_each_other(tmp_path: Path) -> None:
    one, two = opened(tmp_path / "i.sqlite"), opened(tmp_path / "i.sqlite")
    one.write(("INSERT INTO t VALUES (?)", (1,)))
    two.write(("INSERT INTO t VALUES (?)", (2,)))
    assert content(one) == content(two) == [(1,), (2,)]


def test_a_failed_transaction_leaves_nothing_behind(tmp_path: Path) -> None:
    store = filled(tmp_path / "i.sqlite")
    with pytest.raises(sqlite3.ProgrammingError):
        store.write(("INSERT INTO t VALUES (?)", (8,)), ("INSERT INTO t VALUES (?)", ()))
    assert content(store) == [(7,)]
    assert store.write(("INSERT INTO t VALUES (?)", (9,)))
