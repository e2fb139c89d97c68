"""Text packed with zstd, read at any place with bounded memory.

Two shapes. Ours is the published "zstd seekable format" (facebook/zstd, contrib/seekable_format):
independent frames and, in a skippable frame at the end, the table of their sizes; a range costs the frames
it touches. Anything else (newer versions of the reference write one plain frame) is unpacked once, from the
front and no further than asked, into a temporary file. Either way the file is a stream of ordinary zstd
frames, which every zstd reads.
"""

from __future__ import annotations

import os
import struct
import tempfile
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import IO, NamedTuple, Protocol

import zstandard

from rollouts.errors import LogError

_SKIPPABLE = 0x184D2A5E
_SEEKABLE = 0x8F92EAB1
_FOOTER = struct.Struct("<IBI")
_HEADER = struct.Struct("<II")
_CHECKSUMS = 0x80
_LARGEST = 16 << 20
"""Frames of more bytes of text are not worth decoding for a range."""
_STEP = 1024
"""Packed bytes fed at a time: a block of 128 KB of text takes at least four."""


_KEPT = 3
"""Decoded frames kept: a block as long as a full frame touches three of those that end with a line."""


class FrameSize(NamedTuple):
    """One entry of the frame table, in bytes."""

    packed: int
    text: int


class Text(Protocol):
    """A text behind a packed file. `unpacked` counts the bytes that were decoded; all raise LogError."""

    unpacked: int

    def size(self) -> int:
        """Bytes of text."""
        ...

    def pread(self, size: int, offset: int) -> bytes:
        """Exactly `size` bytes, fewer only where the text ends."""
        ...

    def close(self) -> None:
        """Close the files."""
        ...


def encode_table(frames: list[FrameSize]) -> bytes:
    """The skippable frame with the frame table; each size below 4 GiB."""
    entries = b"".join(_HEADER.pack(*frame) for frame in frames)
    content = entries + _FOOTER.pack(len(frames), 0, _SEEKABLE)
    return _HEADER.pack(_SKIPPABLE, len(content)) + content


def decode_table(file: IO[bytes]) -> list[FrameSize] | None:
    """The frame table at the end of a file, or None if there is none that fits the file."""
    size = file.seek(0, os.SEEK_END)
    if size < _HEADER.size + _FOOTER.size:
        return None
    count, descriptor, magic = _FOOTER.unpack(os.pread(file.fileno(), _FOOTER.size, size - _FOOTER.size))
    width = 12 if descriptor & _CHECKSUMS else 8
    length = count * width + _FOOTER.size
    start = size - length - _HEADER.size
    if magic != _SEEKABLE or start < 0:
        return None
    table = os.pread(file.fileno(), _HEADER.size + count * width, start)
    if _HEADER.unpack_from(table) != (_SKIPPABLE, length):
        return None
    frames = [FrameSize(*_HEADER.unpack_from(table, _HEADER.size + width * n)) for n in range(count)]
    return frames if sum(frame.packed for frame in frames) == start else None


def open_text(path: Path) -> Text:
    """The text of a `.zst` file; raises FileNotFoundError and other OSErrors."""
    file = path.open("rb", buffering=0)
    frames = decode_table(file)
    if frames is None or any(frame.text > _LARGEST for frame in frames):
        return Spool(path, file)
    return Frames(path, file, frames)


class Frames:
    """A text in frames with a table; a walk in either direction decodes each of them once."""

    def __init__(self, path: Path, file: IO[bytes], frames: list[FrameSize]) -> None:
        self.unpacked = 0
        self._path = path
        self._file = file
        self._frames = frames
        self._texts = list(accumulate((frame.text for frame in frames), initial=0))
        self._starts = list(accumulate((frame.packed for frame in frames), initial=0))
        self._decoder = zstandard.ZstdDecompressor()
        self._kept: dict[int, bytes] = {}

    def size(self) -> int:
        return self._texts[-1]

    def pread(self, size: int, offset: int) -> bytes:
        end = min(offset + size, self.size())
        index = bisect_right(self._texts, offset) - 1
        pieces = []
        while offset < end:
            begin = self._texts[index]
            pieces.append(self._text(index)[offset - begin : end - begin])
            offset += len(pieces[-1])
            index += 1
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        self._kept.clear()
        self._file.close()

    def _text(self, index: int) -> bytes:
        if index in self._kept:
            return self._kept[index]
        frame = self._frames[index]
        try:
            packed = os.pread(self._file.fileno(), frame.packed, self._starts[index])
            text = self._decoder.decompress(packed, max_output_size=frame.text) if frame.text else b""
        except (OSError, zstandard.ZstdError) as error:
            raise _damaged(self._path, str(error), self._texts[index]) from error
        if len(text) != frame.text:
            raise _damaged(self._path, "a frame is not as long as the table says", self._texts[index])
        self.unpacked += len(text)
        if len(self._kept) == _KEPT:
            del self._kept[max(self._kept, key=lambda kept: abs(kept - index))]
        self._kept[index] = text
        return text


class Spool:
    """Any other zstd file, unpacked into a temporary file as far as it was asked for."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.unpacked = 0
        self._path = path
        self._file = file
        self._file.seek(0)
        self._zstd = zstandard.ZstdDecompressor()
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._complete = False
        self._text = _temporary(path.parent)

    def size(self) -> int:
        self._fill(None)
        return self.unpacked

    def pread(self, size: int, offset: int) -> bytes:
        self._fill(offset + size)
        return os.pread(self._text.fileno(), size, offset)

    def close(self) -> None:
        self._text.close()
        self._file.close()

    def _fill(self, wanted: int | None) -> None:
        try:
            while not self._complete and (wanted is None or self.unpacked < wanted):
                packed = self._file.read(64 * _STEP)
                if not packed:
                    if self._frame is not None:
                        raise _damaged(self._path, "it ends in the middle", self.unpacked)
                    self._complete = True
                for start in range(0, len(packed), _STEP):
                    self._feed(packed[start : start + _STEP])
            self._text.flush()
        except (OSError, zstandard.ZstdError) as error:
            raise _damaged(self._path, str(error), self.unpacked) from error

    def _feed(self, packed: bytes) -> None:
        while packed:
            frame = self._frame or self._zstd.decompressobj()
            self.unpacked += self._text.write(frame.decompress(packed))
            self._frame, packed = (None, frame.unused_data) if frame.eof else (frame, b"")


def _temporary(folder: Path) -> IO[bytes]:
    """A nameless file, in `folder` if possible: the usual place for such may well be memory."""
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError:
        return tempfile.TemporaryFile()


def _damaged(path: Path, why: str, offset: int) -> LogError:
    return LogError(path, f"the archive cannot be unpacked: {why}", offset=offset)
