"""Where the files of a home are: paths and names of rollouts, live and archived, and how one is found.

Owns the folder layout of the reference (spec rollout-format 1, 10, 11). Never opens a rollout but to look
for its thread id, never writes into one. Listing goes by folder order, newest first and lazily, so that a
page costs a page.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, tzinfo
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from rollouts.errors import LogError
from rollouts.ids import PATTERN, Ids, check_id, id_time, new_id
from rollouts.log import open_log
from rollouts.names import Names

__all__ = ["Found", "Home", "Name", "check_id", "id_time", "meta_id", "new_id", "parse_name"]

_NAME = re.compile(rf"rollout-(\d{{4}}-\d\d-\d\dT\d\d-\d\d-\d\d)-({PATTERN})\.jsonl(\.zst)?")
_TIME = "%Y-%m-%dT%H-%M-%S"
_META_LINES = 10
_META_BYTES = 1 << 20


class Name(NamedTuple):
    """What a rollout's file name says: local time of creation (naive, in seconds) and thread id."""

    created: datetime
    thread_id: str


class Found(NamedTuple):
    """A rollout met on a walk; time and id are those of the file name, the id inside the file may differ."""

    path: Path
    created: datetime
    thread_id: str


def parse_name(path: Path | str) -> Name | None:
    """What the file name says, or None if it is not the name of a rollout (`.jsonl` or `.jsonl.zst`)."""
    match = _NAME.fullmatch(os.path.basename(path))
    if match is None:
        return None
    try:
        day, _, time = match[1].partition("T")
        return Name(datetime.fromisoformat(f"{day}T{time.replace('-', ':')}"), match[2])
    except ValueError:
        return None


class _Id(msgspec.Struct):
    id: str


class _MetaLine(msgspec.Struct, tag="session_meta", tag_field="type"):
    payload: _Id


def meta_id(path: Path) -> str | None:
    """The id in the first `session_meta` that parses, looked for in the first ten lines of the file at
    `path`.

    The name of a file may say another id; the reference then finds the thread by either (spec
    rollout-format 10).
    """
    with contextlib.closing(open_log(path)) as log, contextlib.suppress(LogError):
        for record in islice(log.read(limit=_META_BYTES), _META_LINES):
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                return msgspec.json.decode(record.data, type=_MetaLine).payload.id
    return None


def _none(_: Path) -> bool:
    return False


class Home:
    """The files of one CODEX_HOME; folders need not exist before something is written."""

    def __init__(self, path: Path, *, zone: tzinfo | None = None) -> None:
        """`zone` is that of file names, None the local one of the process."""
        self.path = path
        self.sessions = path / "sessions"
        self.archived = path / "archived_sessions"
        self._zone = zone
        self._names = Names(path / "session_index.jsonl")
        self._ids = Ids()

    def new_id(self, now: datetime) -> str:
        """A UUIDv7 for `now` (aware), greater than every one before it from this object."""
        return self._ids.new(now)

    def new_path(self, thread_id: str, created: datetime) -> Path:
        """The path of a new thread's rollout; `created` is aware. Makes nothing.

        :raises ValueError: not a UUID.
        """
        local = created.astimezone(self._zone)
        return self._day(local) / f"rollout-{local.strftime(_TIME)}-{check_id(thread_id)}.jsonl"

    def find(self, thread_id: str, *, known: Callable[[Path], bool] = _none) -> Path | None:
        """The live rollout of a thread: by the name of the file, else by the id inside.

        First the folders of the days around the id's own time are looked at, then all names, then the head
        of every file but those of which the caller knows that another id is inside (an unknown id costs it,
        which is slow for a large home nobody knows).

        :raises ValueError: not a UUID.
        """
        wanted = check_id(thread_id)
        for folder in self._likely_days(wanted):
            if path := _named(_files(folder), wanted):
                return path
        return _named(_tree(self.sessions), wanted) or _holding(_tree(self.sessions), wanted, known)

    def find_archived(self, thread_id: str, *, known: Callable[[Path], bool] = _none) -> Path | None:
        """The archived rollout of a thread, found as `find` does."""
        wanted = check_id(thread_id)
        return _named(_files(self.archived), wanted) or _holding(_files(self.archived), wanted, known)

    def days(self) -> Iterator[Path]:
        """The folders sessions/YYYY/MM/DD, newest first."""
        folders = iter([self.sessions])
        for digits in (4, 2, 2):
            folders = _numbered(folders, digits)
        return folders

    def walk(self, *, archived: bool = False, before: Path | None = None) -> Iterator[Found]:
        """Yield the rollouts that the reference would list, newest first by folder and name.

        Only files with a rollout's name in a day folder (archived: in the one flat folder) count; of a
        plain file and its `.zst` the plain one. `before` is the path of the last one of an earlier walk (it
        need not be there any more): older ones follow. One folder is read at a time.
        """
        for folder in [self.archived] if archived else self.days():
            if before is not None and folder > before.parent:
                continue
            for path in _files(folder):
                name = parse_name(path)
                if name and (before is None or folder < before.parent or _plain(path) < _plain(before)):
                    yield Found(path, name.created, name.thread_id)

    def archive(self, path: Path) -> Path:
        """Move a live rollout to the archived ones and return its new path.

        :raises LogError: not a file in `sessions`, or the name is taken.
        """
        return self._move(path, self.sessions, self.archived)

    def unarchive(self, path: Path) -> Path:
        """Move an archived rollout back to the day folder its name tells, and return its new path.

        Its modification time becomes now, as with the reference (spec thread-lifecycle 8).

        :raises LogError: not a file in `archived_sessions`, a name without a date, or the name is taken.
        """
        name = parse_name(path)
        if name is None:
            raise LogError(path, "the file name is not that of a rollout, so the day it belongs to is not known")
        target = self._move(path, self.archived, self._day(name.created))
        os.utime(target)
        return target

    def names(self) -> dict[str, str]:
        """Thread id to name, from `session_index.jsonl`."""
        return self._names.all()

    def name(self, thread_id: str) -> str | None:
        """The name of one thread in `session_index.jsonl`."""
        return self._names.get(thread_id)

    def append_name(self, thread_id: str, name: str, updated_at: datetime) -> None:
        """Append to `session_index.jsonl`; `updated_at` is aware."""
        self._names.append(check_id(thread_id), name, updated_at)

    def _day(self, local: datetime) -> Path:
        return self.sessions / f"{local:%Y}" / f"{local:%m}" / f"{local:%d}"

    def _likely_days(self, thread_id: str) -> list[Path]:
        made = id_time(thread_id)
        if made is None:
            return []
        local = made.astimezone(self._zone)
        return [self._day(local + timedelta(days=shift)) for shift in (0, 1, -1)]

    def _move(self, path: Path, source: Path, folder: Path) -> Path:
        if not path.resolve().is_relative_to(source.resolve()):
            raise LogError(path, f"not a file in {source}")
        plain = _plain(path)
        # The archive first: alone behind its plain file it would pass for the thread.
        present = [file for file in (plain.with_name(plain.name + ".zst"), plain) if file.exists()]
        if not present:
            raise LogError(path, "no such file")
        for file in present:
            if (folder / file.name).exists():
                raise LogError(folder / file.name, "a file of that name is there already")
        folder.mkdir(parents=True, exist_ok=True)
        for file in present:
            file.rename(folder / file.name)
        return folder / present[-1].name


def _plain(path: Path) -> Path:
    return path.with_suffix("") if path.suffix == ".zst" else path


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of a folder, last name first; none if there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name, reverse=True)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _numbered(folders: Iterator[Path], digits: int) -> Iterator[Path]:
    for folder in folders:
        for entry in _entries(folder):
            if len(entry.name) == digits and entry.name.isdecimal() and entry.is_dir():
                yield folder / entry.name


def _files(folder: Path) -> Iterator[Path]:
    """The `.jsonl` and `.jsonl.zst` files right in a folder, last name first, without archives beside a
    plain file."""
    names = [entry.name for entry in _entries(folder) if entry.name.endswith((".jsonl", ".jsonl.zst"))]
    plain = {name for name in names if name.endswith(".jsonl")}
    for name in names:
        if name in plain or name.removesuffix(".zst") not in plain:
            yield folder / name


def _tree(folder: Path) -> Iterator[Path]:
    """The same of a folder and all below it, last folder first."""
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _tree(folder / entry.name)
    yield from _files(folder)


def _named(paths: Iterator[Path], thread_id: str) -> Path | None:
    """The first path with the id in its name, one with a proper name before others."""
    fits = [path for path in paths if thread_id in path.name.lower()]
    return next((path for path in fits if parse_name(path)), fits[0] if fits else None)


def _holding(paths: Iterator[Path], thread_id: str, known: Callable[[Path], bool]) -> Path | None:
    """The first path of a file whose meta has the id, without those that are known."""
    return next((path for path in paths if not known(path) and (meta_id(path) or "").lower() == thread_id), None)
