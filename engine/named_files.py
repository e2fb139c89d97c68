"""Files that users or the model name: read whole, and only if they have an end."""

from __future__ import annotations

import errno
import os
import stat


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The content of a file; links are followed.

    :raises OSError: it cannot be read, or is a pipe or a device, which may wait or go on for ever.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), os.fspath(path))
        return file.read()


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
