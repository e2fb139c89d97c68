"""Locks by name, of which there are as many as are held or waited for."""

from __future__ import annotations

from weakref import WeakValueDictionary

import anyio


class Locks:
    """One lock for each name."""

    def __init__(self) -> None:
        self._used: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    def of(self, name: str) -> anyio.Lock:
        """The lock of this name, to be used with `async with`."""
        return self._used.setdefault(name, anyio.Lock())

    def __len__(self) -> int:
        return len(self._used)
