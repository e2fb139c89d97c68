"""What the engine tells its clients, and the only door through which it does.

The engine knows threads and connections by id; who listens to a thread, how messages are framed and what
happens to a slow reader is the business of the adapter that implements :class:`Sink`. Every call of a sink is
synchronous and returns at once: order of calls is order on every wire, and no client can hold up a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec


class Everyone(msgspec.Struct, frozen=True):
    """All initialized connections."""


class Subscribers(msgspec.Struct, frozen=True):
    """The connections that started, resumed or forked the thread and have not left it."""

    thread_id: str


class Only(msgspec.Struct, frozen=True):
    """One connection; nobody when it is gone."""

    connection_id: int


Audience = Everyone | Subscribers | Only


class Notification(msgspec.Struct, frozen=True):
    """One message to clients: ``params`` is a published type (or its plain object)."""

    method: str
    params: object
    audience: Audience


class Sink(Protocol):
    """The engine's way out, implemented by the adapter and by recorders in tests."""

    def publish(self, note: Notification) -> None:
        """Queue a notification for its audience."""

    def ask(
        self, thread_id: str | None, method: str, params: object, on_answer: Callable[[msgspec.Struct], None]
    ) -> int:
        """Put a server request to the subscribers of a thread (None: to everyone) and return its id.

        ``on_answer`` is called once, synchronously, with the typed answer: the first client's, or the cautious
        default when that one does not decode or is an error. It is never called after :meth:`withdraw`. A question
        that nobody listens to stays open until a client joins the thread or it is withdrawn.
        """

    def withdraw(self, question_id: int) -> None:
        """Close a question without an answer, because its turn ended first; unknown ids are ignored."""


class Nobody:
    """A sink without clients, for threads that nobody follows: nothing is heard, no question is ever answered."""

    def publish(self, note: Notification) -> None:
        """Drop it."""

    def ask(
        self, thread_id: str | None, method: str, params: object, on_answer: Callable[[msgspec.Struct], None]
    ) -> int:
        """Ask into the void."""
        return 0

    def withdraw(self, question_id: int) -> None:
        """Nothing was asked."""
