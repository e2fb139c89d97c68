"""A thread's inbox: what it is asked and what its operations report, in order of arrival.

Putting never blocks and never fails, so handlers and operations need not wait for the thread; whoever wants an
answer waits for its `Answer`.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import anyio

T = TypeVar("T")


class Answer(Generic[T]):
    """The outcome of one request, waited for by whoever asked."""

    def __init__(self) -> None:
        self._ready = anyio.Event()
        self._value: T | None = None
        self._error: BaseException | None = None

    def set(self, value: T) -> None:
        """Answer."""
        self._value = value
        self._ready.set()

    def fail(self, error: BaseException) -> None:
        """Refuse."""
        self._error = error
        self._ready.set()

    async def wait(self) -> T:
        """Wait for the answer.

        :raises BaseException: what `fail` was called with.
        """
        await self._ready.wait()
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]
