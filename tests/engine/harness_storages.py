"""The storages that thread tests run on: rollout files, and databases of the `eventsourcing` library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.clock import Clock
from engine.index import Index
from engine.storage import Recorded, Storage, StorageFactory, open_storage
from rollouts.layout import Home
from rollouts.recorded import Store, open_store

KINDS = ("files", "eventsourcing.sqlite", "eventsourcing.popo")


def storage_of(kind: str, folder: Path) -> StorageFactory:
    """Makes storages of this kind; one after the other they hold the same threads.

    :param folder: where a database is made.
    """
    return _MAKERS[kind](folder)


def _files(folder: Path) -> StorageFactory:
    return lambda home, index, clock: open_storage({}, home, index, clock)


def _sqlite(folder: Path) -> StorageFactory:
    env = {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(folder / "threads.db")}
    return lambda home, index, clock: open_storage(env, home, index, clock)


def _memory(folder: Path) -> StorageFactory:
    store = open_store({"PERSISTENCE_MODULE": "eventsourcing.popo"})
    return lambda home, index, clock: _Kept(store, index, clock)


class _Kept(Recorded):
    """A database in memory that outlives the engine."""

    def __init__(self, store: Store, index: Index, clock: Clock) -> None:
        super().__init__(store, index, clock)

    def close(self) -> None:
        """The next engine goes on with it."""


_MAKERS: dict[str, Callable[[Path], StorageFactory]] = {
    "files": _files,
    "eventsourcing.sqlite": _sqlite,
    "eventsourcing.popo": _memory,
}

__all__ = ["KINDS", "Home", "Storage", "storage_of"]
