"""Who hears what: the open connections, the threads each one follows, and the engine's door to all of them.

:class:`Clients` is the engine's :class:`~engine.notes.Sink`. A notification is encoded once however many
connections get it. A question goes to every connection that follows its thread, under one id; the first answer
counts, then everybody hears ``serverRequest/resolved`` (wire.md, sections 3 and 4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from engine.appserver import messages
from engine.appserver.connection import Connection
from engine.asks import Asks, Question
from engine.notes import Everyone, Notification, Only, Subscribers
from projections import protocol as p

#: Questions whose end is not announced.
UNANNOUNCED = frozenset({"item/tool/call", "account/chatgptAuthTokens/refresh"})


class Clients:
    """All connections of one server.

    :param asks: the open questions.
    :param on_listeners: called with a thread id and its number of subscribers whenever that number changed.
    """

    def __init__(self, asks: Asks, on_listeners: Callable[[str, int], None]) -> None:
        self._on_listeners = on_listeners
        self._connections: dict[int, Connection] = {}
        self._followers: dict[str, dict[int, Connection]] = {}
        self._asks = asks

    # -- connections -----------------------------------------------------------------------------------------

    def add(self, connection: Connection) -> None:
        """Take a connection in; it hears nothing before it is initialized."""
        self._connections[connection.id] = connection

    def remove(self, connection: Connection) -> None:
        """Forget a connection. Its threads stay loaded, questions stay open for the next client."""
        del self._connections[connection.id]
        for thread_id in [t for t, followers in self._followers.items() if connection.id in followers]:
            self.unsubscribe(connection, thread_id)

    def all(self) -> list[Connection]:
        """The open connections, oldest first."""
        return list(self._connections.values())

    # -- subscriptions ---------------------------------------------------------------------------------------

    def subscribe(self, connection: Connection, thread_id: str) -> bool:
        """Let a connection follow a thread; False when it did already or is gone."""
        followers = self._followers.setdefault(thread_id, {})
        if connection.id in followers or connection.id not in self._connections:
            return False
        followers[connection.id] = connection
        self._on_listeners(thread_id, len(followers))
        return True

    def unsubscribe(self, connection: Connection, thread_id: str) -> bool:
        """End it; False when the connection did not follow the thread."""
        followers = self._followers.get(thread_id, {})
        if followers.pop(connection.id, None) is None:
            return False
        if not followers:
            del self._followers[thread_id]
        self._on_listeners(thread_id, len(followers))
        return True

    def forget(self, thread_id: str) -> None:
        """Drop all subscriptions of a thread that was unloaded."""
        if self._followers.pop(thread_id, None):
            self._on_listeners(thread_id, 0)

    def repeat_questions(self, connection: Connection, thread_id: str) -> None:
        """Send the open questions of a thread to a connection that has just joined it."""
        for question in self._asks.of_thread(thread_id):
            connection.send(_encode(question))

    # -- the sink --------------------------------------------------------------------------------------------

    def publish(self, note: Notification) -> None:
        """Queue a notification for its audience (engine.notes.Sink)."""
        connections = [c for c in self._audience(note.audience) if c.initialized and note.method not in c.muted]
        if connections:
            encoded = messages.notification(note.method, note.params)
            for connection in connections:
                connection.send(encoded)

    def ask(
        self, thread_id: str | None, method: str, params: object, on_answer: Callable[[msgspec.Struct], None]
    ) -> int:
        """Put a question to the subscribers of a thread (engine.notes.Sink)."""
        question = self._asks.open(thread_id, method, params, on_answer)
        encoded = _encode(question)
        for connection in self._hearers(question):
            connection.send(encoded)
        return question.id

    def withdraw(self, question_id: int) -> None:
        """Close a question without an answer (engine.notes.Sink)."""
        if question := self._asks.withdraw(question_id):
            self._announce_end(question)

    def answered(self, connection: Connection, question_id: object, result: bytes | None) -> None:
        """A connection answered: ``result`` is the JSON of its answer, None for an error.

        Answers to unknown, closed or foreign questions are ignored.
        """
        question = self._asks.get(question_id)
        if question is None or connection not in self._hearers(question):
            return
        settle = self._asks.answer(question, result)
        self._announce_end(question)
        settle()

    def _announce_end(self, question: Question) -> None:
        if question.thread_id is not None and question.method not in UNANNOUNCED:
            params = p.ServerRequestResolvedNotification(thread_id=question.thread_id, request_id=question.id)
            self.publish(Notification("serverRequest/resolved", params, Subscribers(question.thread_id)))

    def _hearers(self, question: Question) -> Iterable[Connection]:
        audience = Everyone() if question.thread_id is None else Subscribers(question.thread_id)
        return [c for c in self._audience(audience) if c.initialized]

    def _audience(self, audience: Everyone | Subscribers | Only) -> Iterable[Connection]:
        match audience:
            case Everyone():
                return self._connections.values()
            case Subscribers(thread_id):
                return self._followers.get(thread_id, {}).values()
            case Only(connection_id):
                return filter(None, [self._connections.get(connection_id)])


def _encode(question: Question) -> bytes:
    return messages.request(question.id, question.method, question.params)
