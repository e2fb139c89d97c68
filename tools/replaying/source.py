"""The rollout a person names: a file, an archive, a thread id of a home, or standard input; and parts of it.

Opens and reads, writes nothing.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import zstandard
from msgspec import Struct

from rollouts.archive import ArchiveLog
from rollouts.layout import Home, check_id
from rollouts.log import FileLog, Log, open_log

STDIN = "-"


class Source(Struct, frozen=True):
    """An opened rollout. `name` is for people; `path` is None for standard input; `home` finds other threads."""

    name: str
    log: Log
    path: Path | None
    home: Home


class NotFound(Exception):
    """No rollout goes by the name a person gave; the message says where was looked."""


def codex_home(given: Path | None) -> Path:
    """The home to look for thread ids in: the one given, else CODEX_HOME, else ~/.codex."""
    return given or Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex")


def open_source(name: str, home: Path | None) -> Source:
    """Open a rollout by path, thread id or `-`.

    :raises NotFound: there is none.
    :raises LogError: it cannot be read.
    """
    layout = Home(codex_home(home))
    if name == STDIN:
        return Source("standard input", _from_stdin(), None, layout)
    path = Path(name)
    if path.is_dir():
        raise NotFound(f"{name}: a folder; name one rollout in it, or a thread id and the folder as --home")
    if path.exists():
        return Source(name, _exactly(path), path, layout)
    found = find(name, layout)
    if found is None:
        raise NotFound(f"{name}: neither a file nor a thread in {layout.path}")
    return Source(str(found), open_log(found), found, layout)


def find(thread_id: str, home: Home) -> Path | None:
    """The rollout of a thread, live or archived; None if there is none or it is no id."""
    try:
        check_id(thread_id)
    except ValueError:
        return None
    return home.find(thread_id) or home.find_archived(thread_id)


def _exactly(path: Path) -> Log:
    """The log of this very file, also where a plain file stands beside its archive."""
    return ArchiveLog(path, alone=True) if path.suffix == ".zst" else FileLog(path)


def _from_stdin() -> Log:
    """All of standard input, text or archive, kept in a file that goes when the log is closed."""
    with tempfile.NamedTemporaryFile(prefix="replay-", suffix=".jsonl.zst", delete=False) as copy:
        path = Path(copy.name)
        try:
            shutil.copyfileobj(sys.stdin.buffer, copy)
            copy.flush()
            with path.open("rb") as start:
                packed = start.read(len(zstandard.FRAME_HEADER)) == zstandard.FRAME_HEADER
            return _UnlinkedArchive(path) if packed else _Unlinked(path)
        except BaseException:
            path.unlink()
            raise


class _Unlinked(FileLog):
    """A log whose file goes with it."""

    def close(self) -> None:
        super().close()
        self.path.unlink(missing_ok=True)


class _UnlinkedArchive(ArchiveLog):
    """The same of an archive."""

    def close(self) -> None:
        super().close()
        self.path.unlink(missing_ok=True)
