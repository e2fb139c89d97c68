"""The log in a recorder of the `eventsourcing` library: SQLite, PostgreSQL, memory, whatever it has a module for.

One stored event per line: originator = thread, version = index of the line, topic = type of the line, state = its
bytes. Positions are versions; that a version exists once only is the check of an append. The library is imported when
the first store is opened, as most processes never open one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from rollouts.errors import Conflict, LogError
from rollouts.ids import check_id
from rollouts.lines import Record, check_end, check_range, indexed, terminated

if TYPE_CHECKING:
    from eventsourcing.persistence import (
        ApplicationRecorder,
        InfrastructureFactory,
        StoredEvent,
        TrackingRecorder,
    )

_PAGE_BYTES = 1 << 20
_PAGE_LINES = (16, 1024)
_META = "session_meta"
_UNKNOWN = "unknown"


class _Head(msgspec.Struct):
    type: str


def topic(line: bytes) -> str:
    """The type of a line; `unknown` where it does not parse or says nothing that could be a type."""
    try:
        name = msgspec.json.decode(line, type=_Head).type
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _UNKNOWN
    return name if name.isidentifier() else _UNKNOWN


class RecorderLog:
    """The `Log` of one thread in a recorder. Pages are sized by what lines weigh, about a megabyte each."""

    def __init__(self, recorder: ApplicationRecorder, thread_id: str) -> None:
        """Raises ValueError if `thread_id` is not a UUID."""
        self.path = f"store:{check_id(thread_id)}"
        self.bytes_read = 0
        self.lines_read = 0
        self._recorder = recorder
        self._originator = UUID(thread_id)

    def end(self) -> int:
        newest = self._select(desc=True, limit=1)
        return newest[0].originator_version + 1 if newest else 0

    def append(self, lines: Sequence[bytes], *, expected_end: int) -> int:
        from eventsourcing.persistence import IntegrityError, StoredEvent

        events = [
            StoredEvent(self._originator, version, topic(line), line[:-1])
            for version, line in enumerate(terminated(lines), expected_end)
        ]
        check_end(expected_end, self.end())
        try:
            with _errors(self.path):
                self._recorder.insert_events(events)
        except IntegrityError as error:
            raise Conflict(expected_end, self.end()) from error
        return expected_end + len(events)

    def appended(self, lines: Sequence[bytes], end: int) -> list[Record]:
        return indexed(lines, end)

    def sync(self) -> None:
        """Every append is a transaction; how durable those are, the database's settings say."""

    def read(self, start: int = 0, end: int | None = None, *, limit: int | None = None) -> Iterator[Record]:
        size = self.end()
        stop = check_range(self.path, start, size if end is None else end, size)
        yield from self._records(start, stop, limit)

    def read_back(self, end: int | None = None, *, limit: int | None = None) -> Iterator[Record]:
        size = self.end()
        stop = check_range(self.path, 0, size if end is None else end, size)
        yield from self._records(0, stop, limit, desc=True)

    def exists(self) -> bool:
        return self.end() > 0

    def close(self) -> None:
        """The connections are the store's."""

    def _records(self, start: int, stop: int, limit: int | None, *, desc: bool = False) -> Iterator[Record]:
        count = least = _PAGE_LINES[0]
        while start < stop:
            events = self._select(gt=start - 1, lte=stop - 1, desc=desc, limit=count)
            if not events:
                raise LogError(self.path, "records are missing", offset=stop - 1 if desc else start)
            weight = 0
            for event in events:
                weight += len(event.state) + 1
                self.bytes_read += len(event.state) + 1
                self.lines_read += 1
                cut = limit is not None and len(event.state) > limit
                version = event.originator_version
                yield Record(version, event.state[:limit] if cut else event.state, version + 1, cut=cut)
            last = events[-1].originator_version
            start, stop = (start, last) if desc else (last + 1, stop)
            count = min(count * 2, _PAGE_LINES[1]) if weight < _PAGE_BYTES else max(count // 2, least)

    def _select(
        self, *, gt: int | None = None, lte: int | None = None, desc: bool = False, limit: int
    ) -> Sequence[StoredEvent]:
        with _errors(self.path):
            return self._recorder.select_events(self._originator, gt=gt, lte=lte, desc=desc, limit=limit)


class Store:
    """Threads in one database."""

    def __init__(self, factory: InfrastructureFactory[TrackingRecorder]) -> None:
        with _errors("store"):
            self.recorder = factory.application_recorder()
        self._factory = factory

    def log(self, thread_id: str) -> RecorderLog:
        """The log of a thread, be it there or not yet; raises ValueError if the id is not a UUID."""
        return RecorderLog(self.recorder, thread_id)

    def metas(self, after: int | None = None) -> Iterator[tuple[int, str]]:
        """Yield (position in the store, thread) of the `session_meta` lines behind a position, oldest first.

        A thread is what has such a line, as for files; one may have several.
        """
        while True:
            with _errors("store"):
                page = self.recorder.select_notifications(
                    after, _PAGE_LINES[0], topics=[_META], inclusive_of_start=False
                )
            for note in page:
                yield note.id, str(note.originator_id)
            if not page:
                return
            after = page[-1].id

    def close(self) -> None:
        """Close the connections."""
        self._factory.close()


def open_store(env: Mapping[str, str]) -> Store:
    """Open the store that the library's own variables describe (`PERSISTENCE_MODULE`, `SQLITE_DBNAME`, ...).

    :raises LogError: no such module, a variable missing, no connection.
    """
    from eventsourcing.persistence import InfrastructureFactory, InfrastructureFactoryError

    try:
        factory: InfrastructureFactory[TrackingRecorder] = InfrastructureFactory.construct(dict(env))
    except (InfrastructureFactoryError, OSError) as error:
        raise LogError("store", str(error)) from error
    return Store(factory)


@contextmanager
def _errors(path: str) -> Iterator[None]:
    """The library's errors as ours, but for the one that means a conflict."""
    from eventsourcing.persistence import IntegrityError, PersistenceError

    try:
        yield
    except IntegrityError:
        raise
    except PersistenceError as error:
        raise LogError(path, f"the store failed: {error}") from error
