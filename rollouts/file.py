"""The log in a file of lines: a rollout, or `session_index.jsonl`.

What is promised: an append is one write and returns when all its lines are in the file (a kill of the
process loses nothing, a power cut what was not synced). Bytes that were there before are never written
again: a torn last line of somebody's crash gets its line break (and the rest of a character that was cut)
in front of the next append and stays a line of its own, where the reference glues the new line to it. Every
append names the end it expects, and an exclusive lock is held from the check to the write, so two engines on
one file cannot miss each other; writers that know no lock (the reference) are caught by the next append.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rollouts.errors import LogError, Moved
from rollouts.lines import BLOCK, Pread, Record, backward, check_end, check_range, forward, placed, terminated


class FileLog:
    """A rollout file, or any file of lines (`session_index.jsonl`).

    No descriptor is held between calls, thousands of idle threads cost none. Instead the file's identity is
    remembered from the first look at it: a file that was moved away, deleted or replaced raises `Moved` and
    is never silently made anew.
    """

    def __init__(self, path: Path, *, block: int = BLOCK) -> None:
        """`block` is the number of bytes read at a time."""
        self.path = path
        self.bytes_read = 0
        self.lines_read = 0
        self._block = block
        self._identity: tuple[int, int] | None = None
        self._new_folders: list[Path] = []

    def end(self) -> int:
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return self._missing()
        except OSError as error:
            raise self._failed(error) from error
        return self._known(status)

    def append(self, lines: Sequence[bytes], *, expected_end: int) -> int:
        text = b"".join(terminated(lines))
        if not text:
            return check_end(expected_end, self.end())
        fd = self._open_to_append(expected_end)
        try:
            with contextlib.suppress(OSError):  # a file system without locks still has the check
                fcntl.flock(fd, fcntl.LOCK_EX)
            status = os.fstat(fd)
            size = self._known(status)
            if not status.st_nlink:
                self._missing()  # unlinked while we waited for the lock: compressed, for one
            check_end(expected_end, size)
            tail = os.pread(fd, 4, max(size - 4, 0))
            return self._write(fd, _line_end(tail) + text, size)
        except OSError as error:
            raise self._failed(error, expected_end) from error
        finally:
            os.close(fd)

    def appended(self, lines: Sequence[bytes], end: int) -> list[Record]:
        return placed(lines, end)

    def sync(self) -> None:
        try:
            _sync(self.path)
            while self._new_folders:
                _sync(self._new_folders[-1])
                self._new_folders.pop()
        except FileNotFoundError:
            self._missing()
        except OSError as error:
            raise self._failed(error) from error

    def read(self, start: int = 0, end: int | None = None, *, limit: int | None = None) -> Iterator[Record]:
        with self._opened() as (fd, size):
            stop = check_range(self.path, start, size if end is None else end, size)
            for record in forward(self._pread(fd), start, stop, block=self._block, limit=limit):
                self.lines_read += 1
                yield record

    def read_back(self, end: int | None = None, *, limit: int | None = None) -> Iterator[Record]:
        with self._opened() as (fd, size):
            stop = check_range(self.path, 0, size if end is None else end, size)
            for record in backward(self._pread(fd), stop, block=self._block, limit=limit):
                self.lines_read += 1
                yield record

    def exists(self) -> bool:
        return self.path.exists()

    def close(self) -> None:
        """Nothing is held open."""

    def _open_to_append(self, expected_end: int) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
        try:
            try:
                return os.open(self.path, flags)
            except FileNotFoundError:
                check_end(expected_end, self._missing())
            self._make_folders()
            return os.open(self.path, flags | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._failed(error, expected_end) from error

    def _make_folders(self) -> None:
        missing = [self.path.parent]
        while not missing[-1].parent.exists():
            missing.append(missing[-1].parent)
        self._new_folders = [missing[-1].parent, *reversed(missing)]
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def _write(self, fd: int, text: bytes, start: int) -> int:
        """Append `text` and return where it ends; on failure take back what has got there."""
        done = 0
        try:
            with memoryview(text) as view:
                while done < len(view):
                    done += os.write(fd, view[done:])
        except OSError as error:
            # Nobody counts it yet, and the reference would glue its next line to it. Only if it is still last.
            if done and os.fstat(fd).st_size == start + done:
                os.ftruncate(fd, start)
            raise self._failed(error, start) from error
        # Not start + len(text): a writer that knows no lock may have come between.
        return os.lseek(fd, 0, os.SEEK_CUR)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[int, int]]:
        """A descriptor to read from and the size of the file; (-1, 0) as long as there is none."""
        fd = -1
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._missing()
        except OSError as error:
            raise self._failed(error) from error
        try:
            yield fd, self._known(os.fstat(fd)) if fd != -1 else 0
        finally:
            if fd != -1:
                os.close(fd)

    def _pread(self, fd: int) -> Pread:
        def pread(size: int, offset: int) -> bytes:
            try:
                data = os.pread(fd, size, offset)
            except OSError as error:
                raise self._failed(error, offset) from error
            if len(data) < size:
                raise LogError(self.path, "the file was cut while it was read", offset=offset + len(data))
            self.bytes_read += size
            return data

        return pread

    def _known(self, status: os.stat_result) -> int:
        """The size, if this is the file we have always had."""
        identity = (status.st_dev, status.st_ino)
        if self._identity not in (None, identity):
            raise Moved(self.path, "another file has taken the place of this one")
        self._identity = identity
        return status.st_size

    def _missing(self) -> int:
        """0 for a file that was not there yet."""
        if self._identity is not None:
            raise Moved(self.path)
        return 0

    def _failed(self, error: OSError, offset: int | None = None) -> LogError:
        reason = f"{error.strerror} (os error {error.errno})" if error.errno else str(error)
        return LogError(self.path, reason, offset=offset)


def _line_end(tail: bytes) -> bytes:
    """What ends the line that the last bytes of a file belong to: nothing, or its line break.

    A character that was cut is made whole first: the reference refuses files with bytes that are no text.
    """
    if not tail or tail.endswith(b"\n"):
        return b""
    for cut in range(1, len(tail)):
        start = tail[-cut:]
        for rest in (b"\x80", b"\xbf", b"\x80\x80", b"\xbf\x80", b"\x80\x80\x80", b"\xbf\x80\x80"):
            if start[0] >= 0xC0 and _is_character(start + rest):
                return rest + b"\n"
    return b"\n"


def _is_character(data: bytes) -> bool:
    try:
        return len(data.decode()) == 1
    except UnicodeDecodeError:
        return False


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd) if path.is_dir() else os.fdatasync(fd)
    finally:
        os.close(fd)
