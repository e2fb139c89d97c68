"""The newest entries of a kind, and how many there were in all: bounded state for what only grows."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

KEPT = 200
"""Entries kept of each kind."""

T = TypeVar("T")


class Recent(msgspec.Struct, Generic[T], frozen=True):
    """`entries` are the newest, oldest first; `total` counts all there ever were."""

    entries: tuple[T, ...] = ()
    total: int = 0

    def add(self, entry: T) -> Recent[T]:
        """With one entry more."""
        return Recent((*self.entries[-KEPT + 1 :], entry), self.total + 1)

    def replace(self, index: int, entry: T) -> Recent[T]:
        """With another entry in the place of an earlier one."""
        return Recent((*self.entries[:index], entry, *self.entries[index + 1 :]), self.total)
