"""Where threads are kept: files under CODEX_HOME, or a database of the `eventsourcing` library (design rule 10).

The engine knows a thread by its `Place` and reads and writes it through a `Log`; which of the two is behind it is
decided once, by PERSISTENCE_MODULE in the environment. Threads in a database have no path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from engine.clock import Clock
from engine.errors import BadRequest, StartupError
from engine.index import Entry, Index
from projections import catalog
from rollouts.layout import Home
from rollouts.log import FileLog, Log, LogError, open_log
from rollouts.recorded import Store, open_store


class Place(Struct, frozen=True):
    """Where one thread is; `path` is None in a database."""

    thread_id: str
    path: Path | None = None


class Storage(Protocol):
    """All threads of a home."""

    def create(self, thread_id: str, created: datetime) -> tuple[Place, Log]:
        """The place and the empty log of a new thread; nothing is made before the first append."""

    def find(self, thread_id: str, *, archived: bool = False) -> Place | None:
        """Where a stored thread is, None if it is not there."""

    def at(self, path: Path) -> Place:
        """The place of a file that a request names; it need not exist.

        :raises BadRequest: threads are not kept in files.
        """

    def log(self, place: Place) -> Log:
        """The log of a thread."""

    def entry(self, place: Place) -> Entry | None:
        """The catalog entry as the log is now, None if there is none."""

    def put(self, place: Place, entry: Entry) -> None:
        """Keep what a writer has folded."""

    def updated_at(self, place: Place, entry: Entry) -> int:
        """When the thread was last written, epoch ms."""

    def archive(self, place: Place) -> None:
        """Put a thread away.

        :raises BadRequest: threads cannot be archived here, or not this one.
        """

    def unarchive(self, place: Place) -> Place:
        """Bring it back; where it is then.

        :raises BadRequest: it cannot be brought back.
        """

    def refresh(self) -> None:
        """Let the index know of threads it has never seen, where it does not look for them itself."""

    def close(self) -> None:
        """Give back what is held open."""


def open_storage(env: Mapping[str, str], home: Home, index: Index, clock: Clock) -> Storage:
    """The storage that the environment chooses: the library's variables, or files when PERSISTENCE_MODULE is not set.

    :raises StartupError: the database cannot be opened.
    """
    if not env.get("PERSISTENCE_MODULE"):
        return Files(home, index)
    try:
        return Recorded(open_store(env), index, clock)
    except LogError as error:
        raise StartupError(f"threads cannot be kept in {env['PERSISTENCE_MODULE']}: {error}") from error


StorageFactory = Callable[[Home, Index, Clock], Storage]
"""Makes the storage of an engine."""


class Files:
    """Threads in rollout files."""

    def __init__(self, home: Home, index: Index) -> None:
        self._home = home
        self._index = index

    def create(self, thread_id: str, created: datetime) -> tuple[Place, Log]:
        path = self._home.new_path(thread_id, created)
        return Place(thread_id, path), FileLog(path)

    def find(self, thread_id: str, *, archived: bool = False) -> Place | None:
        path = self._index.find(thread_id, archived=archived)
        return None if path is None else Place(thread_id, path)

    def at(self, path: Path) -> Place:
        return Place("", path)

    def log(self, place: Place) -> Log:
        return open_log(_path(place))

    def entry(self, place: Place) -> Entry | None:
        return self._index.entry(_path(place))

    def put(self, place: Place, entry: Entry) -> None:
        self._index.put(_path(place), entry)

    def updated_at(self, place: Place, entry: Entry) -> int:
        try:
            return _path(place).stat().st_mtime_ns // 1_000_000
        except OSError:
            return 0

    def archive(self, place: Place) -> None:
        self._move(place, self._home.archive)

    def unarchive(self, place: Place) -> Place:
        return replace(place, path=self._move(place, self._home.unarchive))

    def _move(self, place: Place, move: Callable[[Path], Path]) -> Path:
        path = _path(place)
        try:
            moved = move(path)
        except LogError as error:
            raise BadRequest(str(error)) from error
        self._index.moved(path, moved)
        return moved

    def refresh(self) -> None:
        """The index walks the folders."""

    def close(self) -> None:
        """No file is held open."""


class Recorded:
    """Threads in a database. Archiving is a move of files and not to be had here."""

    def __init__(self, store: Store, index: Index, clock: Clock) -> None:
        self._store = store
        self._index = index
        self._clock = clock
        self._seen: int | None = None

    def create(self, thread_id: str, created: datetime) -> tuple[Place, Log]:
        return Place(thread_id), self._store.log(thread_id)

    def find(self, thread_id: str, *, archived: bool = False) -> Place | None:
        return None if archived or not self._store.log(thread_id).exists() else Place(thread_id)

    def at(self, path: Path) -> Place:
        raise BadRequest("threads are kept in a database here: name them by id, not by path")

    def log(self, place: Place) -> Log:
        return self._store.log(place.thread_id)

    def entry(self, place: Place) -> Entry | None:
        log = self.log(place)
        known = self._index.recorded(place.thread_id) or Entry(catalog.EMPTY)
        if known.covered > log.end():
            known = Entry(catalog.EMPTY)  # another database than the index was made for
        found = known.after(log.read(known.covered))
        if found.covered != known.covered:
            self._index.put(None, found)
        return found if found.covered else None

    def put(self, place: Place, entry: Entry) -> None:
        now = int(self._clock.now().timestamp() * 1000)
        self._index.put(None, replace(entry, row=replace(entry.row, updated_at=now)))

    def updated_at(self, place: Place, entry: Entry) -> int:
        known = self._index.recorded(place.thread_id)
        return known.row.updated_at if known is not None else entry.row.updated_at

    def archive(self, place: Place) -> None:
        raise BadRequest("threads are kept in a database here: they cannot be archived")

    def unarchive(self, place: Place) -> Place:
        raise BadRequest("threads are kept in a database here: they cannot be archived")

    def refresh(self) -> None:
        for position, thread_id in self._store.metas(self._seen):
            self._seen = position
            self.entry(Place(thread_id))

    def close(self) -> None:
        self._store.close()


def _path(place: Place) -> Path:
    if place.path is None:
        raise TypeError("a place of the other storage")
    return place.path
