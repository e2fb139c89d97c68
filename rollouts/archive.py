"""Compressed rollouts, `.jsonl.zst`: read in place, made from a plain file, restored before an append.

Positions are those of the plain text, so turn tables and checkpoints stay good through packing and
unpacking. Where a plain file stands beside the archive, it is the thread (spec rollout-format 11). 0.125.0
cannot read archives, so making them is opt-in and for archived threads.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import zstandard

from rollouts.errors import LogError, Moved
from rollouts.file import FileLog
from rollouts.lines import BLOCK, Record, backward, check_end, check_range, forward, placed
from rollouts.packed import FrameSize, Text, encode_table, open_text

FRAME = 1 << 20
"""Bytes of text in a frame, at most."""


def packed_path(plain: Path) -> Path:
    """The archive beside a plain file."""
    return plain.with_name(plain.name + ".zst")


def compress(path: Path, *, level: int = 3, frame: int = FRAME) -> Path:
    """Replace a plain rollout by its archive, and return the path of that.

    Frames hold whole lines, but for lines longer than a frame. The time of modification is kept. Memory is
    one frame.

    :raises Conflict: the file grew meanwhile; nothing has changed.
    :raises LogError: it cannot be read, or there is no room.
    """
    target = packed_path(path)
    with _errors(path), path.open("rb", buffering=0) as source:
        before = os.fstat(source.fileno())
        with _aside(target, before) as (file, aside):
            zstd = zstandard.ZstdCompressor(level, write_checksum=True)
            _pack(source.fileno(), file, before.st_size, zstd, frame)
            _finish(file, before)
            with contextlib.suppress(OSError):
                fcntl.flock(source, fcntl.LOCK_EX)  # our writers wait, then see that it is gone
            check_end(before.st_size, os.fstat(source.fileno()).st_size)
            os.replace(aside, target)
        path.unlink()
    return target


def restore(path: Path) -> Path:
    """Replace an archive by the plain file, and return the path of that; if there is one already, it stays.

    :raises LogError: the archive is damaged, or there is no room; nothing has changed.
    """
    target = path.with_suffix("")
    with _errors(path), contextlib.closing(open_text(path)) as text:
        status = path.stat()
        with _aside(target, status) as (file, aside):
            offset = 0
            while data := text.pread(FRAME, offset):
                file.write(data)
                offset += len(data)
            _finish(file, status)
            with contextlib.suppress(FileExistsError):
                os.link(aside, target)  # a rename would take the place of a file with newer lines
        path.unlink(missing_ok=True)
    return target


class ArchiveLog:
    """The `Log` of a `.jsonl.zst`.

    The archive is held open from the first read to `close`. The first append, ours or another program's,
    leaves a plain file, and from then on this is the log of that. `bytes_read` counts bytes of text
    unpacked.
    """

    def __init__(self, path: Path, *, block: int = BLOCK, alone: bool = False) -> None:
        """`path` is that of the archive; `block` is the number of bytes read at a time.

        :param alone: read the archive itself, also where a plain file stands beside it; nothing may be appended.
        """
        self.path = path
        self._block = block
        self._alone = alone
        self._text: Text | None = None
        self._identity: tuple[int, int] | None = None
        self._plain: FileLog | None = None
        self._bytes = self._lines = 0

    @property
    def bytes_read(self) -> int:
        text = self._text.unpacked if self._text else 0
        return self._bytes + text + (self._plain.bytes_read if self._plain else 0)

    @property
    def lines_read(self) -> int:
        return self._lines + (self._plain.lines_read if self._plain else 0)

    def end(self) -> int:
        if plain := self._restored():
            return plain.end()
        return self._open().size()

    def append(self, lines: Sequence[bytes], *, expected_end: int) -> int:
        if self._restored() is None:
            check_end(expected_end, self.end())
            self.close()
            restore(self.path)
        if plain := self._restored():
            return plain.append(lines, expected_end=expected_end)
        raise Moved(self.path.with_suffix(""))

    def appended(self, lines: Sequence[bytes], end: int) -> list[Record]:
        return placed(lines, end)

    def sync(self) -> None:
        if plain := self._restored():
            plain.sync()

    def read(self, start: int = 0, end: int | None = None, *, limit: int | None = None) -> Iterator[Record]:
        if plain := self._restored():
            yield from plain.read(start, end, limit=limit)
            return
        text = self._open()
        if start or end is not None:  # from the front to the back nobody needs to know where that is
            check_range(self.path, start, text.size() if end is None else end, text.size())
        for record in forward(text.pread, start, end, block=self._block, limit=limit):
            self._lines += 1
            yield record

    def read_back(self, end: int | None = None, *, limit: int | None = None) -> Iterator[Record]:
        if plain := self._restored():
            yield from plain.read_back(end, limit=limit)
            return
        text = self._open()
        stop = check_range(self.path, 0, text.size() if end is None else end, text.size())
        for record in backward(text.pread, stop, block=self._block, limit=limit):
            self._lines += 1
            yield record

    def exists(self) -> bool:
        return self.path.exists() or self.path.with_suffix("").exists()

    def close(self) -> None:
        if self._text:
            self._bytes += self._text.unpacked
            self._text.close()
            self._text = None

    def _restored(self) -> FileLog | None:
        """The log of the plain file, once there is one."""
        plain = self.path.with_suffix("")
        if self._plain is None and not self._alone and plain.exists():
            self._plain = FileLog(plain, block=self._block)
            self.close()
        return self._plain

    def _open(self) -> Text:
        try:
            status = self.path.stat()
            identity = (status.st_dev, status.st_ino)
            if self._identity not in (None, identity):
                raise Moved(self.path, "another archive has taken the place of this one")
            self._identity = identity
            if self._text is None:
                self._text = open_text(self.path)
            return self._text
        except FileNotFoundError as error:
            raise Moved(self.path) from error
        except OSError as error:
            raise LogError(self.path, error.strerror or str(error)) from error


def _pack(fd: int, file: IO[bytes], size: int, zstd: zstandard.ZstdCompressor, frame: int) -> None:
    """Write the first `size` bytes behind `fd` as frames and their table."""
    frames = []
    offset = 0
    while offset < size and (data := os.pread(fd, min(frame, size - offset), offset)):
        text = data[: data.rfind(b"\n") + 1] or data
        packed = zstd.compress(text)
        file.write(packed)
        frames.append(FrameSize(len(packed), len(text)))
        offset += len(text)
    file.write(encode_table(frames))


@contextlib.contextmanager
def _aside(target: Path, like: os.stat_result) -> Iterator[tuple[IO[bytes], Path]]:
    """A new file in the folder of `target` that is to become it, with the mode of `like`; gone at the end."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with open(handle, "wb") as file:
            os.fchmod(handle, like.st_mode & 0o777)
            yield file, Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _finish(file: IO[bytes], like: os.stat_result) -> None:
    """Give the file the times of `like`, and return when it survives a power cut."""
    file.flush()
    os.utime(file.fileno(), ns=(like.st_atime_ns, like.st_mtime_ns))
    os.fsync(file.fileno())


@contextlib.contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise Moved(path) from error
    except OSError as error:
        raise LogError(path, error.strerror or str(error)) from error
