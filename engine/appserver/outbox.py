"""The bounded queue of encoded messages between the engine and one client.

Putting never waits and never fails: a queue over its bound drops everything, raises its ``overflow`` flag and the
transport ends that connection. So a slow reader costs at most the bound and never holds up a thread; the log has
what it missed (design, "One request, end to end").
"""

from __future__ import annotations

from collections import deque

import anyio

from engine.appserver import memory

DEFAULT_LIMIT = 64 << 20
BATCH = 256 << 10
LARGE = 8 << 20
"""Bytes of a message after which memory is given back: it was made of several times as much."""


class Outbox:
    """Messages waiting to be written, bounded in bytes.

    ``overflow`` is set when the bound was reached, ``drained`` when everything was handed out and written after
    :meth:`close`.

    :param limit: bytes that may wait, the batch being written included. One message above the limit is still
        taken when nothing else waits, so an answer of any size can be delivered.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.limit = limit
        self.size = 0
        self.overflow = anyio.Event()
        self.drained = anyio.Event()
        self._waiting: deque[bytes] = deque()
        self._in_flight = 0
        self._closed = False
        self._changed = anyio.Event()

    @property
    def waiting(self) -> int:
        """Messages not handed out yet."""
        return len(self._waiting)

    @property
    def closed(self) -> bool:
        """Whether nothing more is taken."""
        return self._closed

    def put(self, message: bytes) -> None:
        """Queue one message; after :meth:`close` or an overflow it is dropped."""
        if self._closed:
            return
        if self.size and self.size + len(message) > self.limit:
            self.abandon()
            self.overflow.set()
            return
        self.size += len(message)
        self._waiting.append(message)
        self._changed.set()

    def close(self) -> None:
        """Take nothing more; what waits is still handed out."""
        self._closed = True
        self._changed.set()

    def abandon(self) -> None:
        """Take nothing more and drop what waits: nobody reads any more."""
        self._waiting.clear()
        self.size = self._in_flight
        self.close()
        self.drained.set()

    async def take(self) -> list[bytes] | None:
        """Wait for messages and return the next batch in order; None once closed and empty.

        Calling it again says that the batch before was written.
        """
        if self._in_flight > LARGE:
            memory.give_back()
        self.size -= self._in_flight
        self._in_flight = 0
        while not self._waiting:
            if self._closed:
                self.drained.set()
                return None
            self._changed = anyio.Event()
            await self._changed.wait()
        batch = [self._waiting.popleft()]
        self._in_flight = len(batch[0])
        while self._waiting and self._in_flight + len(self._waiting[0]) <= BATCH:
            batch.append(self._waiting.popleft())
            self._in_flight += len(batch[-1])
        return batch
