"""Which folders hold rollouts, and which of them have changed since they were last looked into.

A folder's modification time changes with every file that comes or goes, so an unchanged one is not read again. Day
folders of a home never seen are looked into only when a page reaches their day.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import anyio.to_thread

from engine.index.files import ARCHIVED, SESSIONS, Files, Seen
from engine.index.rows import Rows, day_of, is_shelf
from engine.index.store import Store

_SETTLED = 2_000_000_000
"""Nanoseconds: a folder that changed so shortly before it was looked into may have changed again in the same tick."""

_STEP = 8
"""Folders looked into by one call of a worker thread."""

_DEPTH = 3
"""Day folders are so far below `sessions`."""

_ABSENT = -1
"""Modification time of a root that does not exist."""

_LOG = logging.getLogger(__name__)


class Tree:
    """The folders of a home."""

    def __init__(self, store: Store, files: Files, rows: Rows, now: Callable[[], int] = time.time_ns) -> None:
        """`now` gives epoch ns, by the clock of the file system."""
        self._store = store
        self._files = files
        self._rows = rows
        self._now = now

    async def refresh(self, *, archived: bool) -> None:
        """Find new, changed and lost folders; days never looked into stay so.

        :raises OSError: the root cannot be read.
        """
        root = ARCHIVED if archived else SESSIONS
        folders = self._folders(root)
        if root not in folders:
            self._note([root])
        await self.look([path for path, times in folders.items() if times and self._changed(path, *times)])
        for _ in range(_DEPTH):
            await self.look([path for path in self._unlooked(root) if day_of(path) < 0])

    def days(self) -> list[str]:
        """Day folders never looked into, the newest first."""
        return sorted(self._unlooked(SESSIONS), key=day_of, reverse=True)

    async def look(self, folders: Sequence[str]) -> None:
        """Read what is in these folders, in a worker thread, a few at a time.

        :raises OSError: a root cannot be read. Of a folder below that cannot, things stay as they were known.
        """
        for start in range(0, len(folders), _STEP):
            step = folders[start : start + _STEP]
            seen = self._now()
            # before the look: what a writer reports while it goes on is not taken for lost
            known = {path: self._rows.in_folder(path) for path in step}
            found = await anyio.to_thread.run_sync(_looks, self._files, step)
            self._keep(found, known, seen)

    def _changed(self, path: str, mtime: int, seen: int) -> bool:
        now = self._files.folder_time(path)
        return now != (None if mtime == _ABSENT else mtime) or (now is not None and seen - now < _SETTLED)

    def _folders(self, root: str) -> dict[str, tuple[int, int] | None]:
        rows = self._store.rows("SELECT path, mtime, seen FROM folders WHERE root = ?", (root,))
        return {path: None if mtime is None else (mtime, seen) for path, mtime, seen in rows}

    def _unlooked(self, root: str) -> list[str]:
        return [path for path, times in self._folders(root).items() if times is None]

    def _note(self, folders: Iterable[str]) -> None:
        self._store.write_many(
            "INSERT OR IGNORE INTO folders (path, root) VALUES (?, ?)",
            [(path, path.partition("/")[0]) for path in folders],
        )

    def _keep(self, looks: Mapping[str, Seen | None], known: Mapping[str, set[str]], seen: int) -> None:
        """Take over what was found in folders; None is one that is gone."""
        lost: set[str] = set()
        new: set[str] = set()
        for folder, content in looks.items():
            found = {f"{folder}/{name}" for name in content.rollouts} if content and is_shelf(folder) else set()
            lost |= known[folder] - found
            new |= found - known[folder]
        self._rows.drop(lost)
        self._rows.add_bare(sorted(new))
        self._note(
            f"{folder}/{name}"
            for folder, content in looks.items()
            if content and folder.count("/") < _DEPTH and folder != ARCHIVED
            for name in content.folders
        )
        self._store.write_many(
            "UPDATE folders SET mtime = ?, seen = ? WHERE path = ?",
            [(content.mtime if content else _ABSENT, seen, folder) for folder, content in looks.items()],
        )
        self._store.write_many(
            "DELETE FROM folders WHERE path = ? AND path != root",
            [(folder,) for folder, content in looks.items() if content is None],
        )


def _looks(files: Files, folders: Sequence[str]) -> dict[str, Seen | None]:
    """What is in these folders, without those that cannot be read."""
    found: dict[str, Seen | None] = {}
    for path in folders:
        try:
            found[path] = files.look(path)
        except OSError as error:
            if path in (SESSIONS, ARCHIVED):
                raise
            if isinstance(error, NotADirectoryError):
                found[path] = None
            else:
                _LOG.warning("a folder is left out of the list: %s", error)
    return found
