"""A thread's inbox: what it is asked and what its operations report, in order of arrival.

Putting never blocks and never fails, so handlers and operations need not wait for the thread; whoever wants an
answer waits for its `Answer`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

import anyio
import anyio.lowlevel

T = TypeVar("T")
Action = Callable[[], Awaitable[None]]


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


class Inbox:
    """What one owner is to do. It takes it with `async for`, until the inbox is closed and empty."""

    def __init__(self) -> None:
        self._waiting: deque[Action] = deque()
        self._changed = anyio.Event()
        self.closed = False

    def post(self, action: Action) -> None:
        """Let the owner run `action` after all that was posted before; returns at once. Dropped after `close`."""
        if not self.closed:
            self._waiting.append(action)
            self._changed.set()

    async def ask(self, action: Callable[[], Awaitable[T]]) -> T:
        """Let the owner run `action`; its result or its error is the caller's. The inbox must be open."""
        answer: Answer[T] = Answer()

        async def answered() -> None:
            try:
                answer.set(await action())
            except Exception as error:
                answer.fail(error)

        self.post(answered)
        return await answer.wait()

    def close(self) -> None:
        """Take nothing more."""
        self.closed = True
        self._changed.set()

    async def __aiter__(self) -> AsyncIterator[Action]:
        while True:
            # What is there already needs no trip through the event loop for each; what comes meanwhile waits.
            for _ in range(len(self._waiting)):
                yield self._waiting.popleft()
            if self._waiting:
                await anyio.lowlevel.checkpoint()
            elif self.closed:
                return
            else:
                self._changed = anyio.Event()
                await self._changed.wait()
