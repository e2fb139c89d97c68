"""The operations of a running turn: each in a task of its own, cancelled by its key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

Done = Callable[[object, Exception | None], None]


class Errands:
    """What is under way, by key."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._scopes: dict[int, anyio.CancelScope] = {}

    def start(self, key: int, work: Callable[[], Awaitable[object]], done: Done) -> None:
        """Begin `work`; `done` gets its result or its error, and hears nothing of one that was cancelled."""
        scope = self._scopes[key] = anyio.CancelScope()
        self._tasks.start_soon(self._run, scope, key, work, done)

    def cancel(self, key: int) -> None:
        """End one, if it still runs."""
        scope = self._scopes.pop(key, None)
        if scope is not None:
            scope.cancel()

    def cancel_all(self) -> None:
        """End them all."""
        for key in list(self._scopes):
            self.cancel(key)

    async def _run(self, scope: anyio.CancelScope, key: int, work: Callable[[], Awaitable[object]], done: Done) -> None:
        with scope:
            result: object = None
            failed: Exception | None = None
            try:
                result = await work()
            except Exception as error:
                failed = error
            if self._scopes.get(key) is scope:  # the next turn uses the same keys
                del self._scopes[key]
                done(result, failed)
