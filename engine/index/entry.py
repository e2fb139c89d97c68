"""What the index knows about one rollout file: the row, how much of the file it is folded from, how the file looked."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from projections import catalog
from projections.catalog import CatalogRow
from rollouts.lines import Record

_SAMPLE = 1024
"""Bytes of a sample that an anchor is made of."""


class Facts(NamedTuple):
    """A file as `stat` shows it: bytes, modification time in ns, inode."""

    size: int
    mtime: int
    inode: int


class Entry(msgspec.Struct, frozen=True):
    """A row and what it covers.

    `row` is the fold of the bytes before `covered` (of lines in a store), and perhaps of some later ones; `complete`
    says that nothing more was there to fold, `anchor` is the checksum of samples of what is covered. `facts` is None
    for a thread without a file.
    """

    row: CatalogRow
    covered: int = 0
    complete: bool = False
    anchor: int = 0
    facts: Facts | None = None

    def after(self, records: Iterable[Record]) -> Entry:
        """The entry after an append, as a writer keeps it: fold first, look at the file later (`Index.put`).

        Records that do not follow what is covered are folded all the same; the sweep reads the gap later.
        """
        row, covered = self.row, self.covered
        for record in records:
            row = catalog.fold(row, record.data)
            if record.offset == covered and not record.torn:
                covered = record.end
        return msgspec.structs.replace(self, row=row, covered=covered)


def anchor(pread: Callable[[int, int], bytes], covered: int) -> int:
    """Checksum of the first and the last bytes before `covered`; another one means that the file was rewritten."""
    first = pread(min(_SAMPLE, covered), 0)
    start = max(0, covered - _SAMPLE)
    return zlib.crc32(pread(covered - start, start), zlib.crc32(first))
