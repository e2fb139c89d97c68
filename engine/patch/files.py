"""The files of this machine as patches read them: text, blobs as git stores them, paths as diffs show them.

Blocking and read-only; `apply` is what writes. Every reader may be replaced by one that asks a sandbox.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Literal

import msgspec

from engine.named_files import read_bytes

Mode = Literal["100644", "100755", "120000"]


class Blob(msgspec.Struct, frozen=True):
    """A file as git stores it; of a symbolic link, `data` is where it points to."""

    mode: Mode
    data: bytes


def read_text(path: str) -> str:
    """The text of a file, line ends untouched, links followed.

    :raises OSError: it cannot be read, or is no file but a pipe or a device
    :raises UnicodeDecodeError: it is not UTF-8
    """
    return read_bytes(path).decode()


def blob(path: str) -> Blob | None:
    """What git would store for this path; None for what it cannot store: nothing there, a folder, not readable."""
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            return Blob("120000", os.fsencode(os.readlink(path)))
        if stat.S_ISREG(status.st_mode):
            return Blob("100755" if status.st_mode & 0o111 else "100644", Path(path).read_bytes())
    except OSError:
        return None
    return None


def shown(path: str) -> str:
    """The path as a diff shows it: relative to the repository around it, the absolute path outside of any."""
    folder = os.path.dirname(path)
    while not os.path.exists(os.path.join(folder, ".git")):
        folder, inner = os.path.dirname(folder), folder
        if folder == inner:
            return path
    return os.path.relpath(path, folder)
