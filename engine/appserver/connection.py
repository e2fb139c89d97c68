"""One client: what it told about itself, which requests of it are open, and the queue of what it is still to be sent.

Knows nothing of transports: bytes to send go into the outbox, received messages come in through the dispatcher.
"""

from __future__ import annotations

import msgspec

from engine.appserver import messages
from engine.appserver.outbox import Outbox


class ClientInfo(msgspec.Struct, frozen=True):
    """The name and version a client gave in ``initialize``."""

    name: str
    version: str
    title: str | None = None


class Connection:
    """State of one connection, alive from accept to close.

    :param id: unique in this process; audiences name connections by it.
    :param local: True for stdio and unix sockets, which only this user can reach.
    """

    def __init__(self, id: int, outbox: Outbox, local: bool) -> None:
        self.id = id
        self.outbox = outbox
        self.local = local
        self.client_info: ClientInfo | None = None
        self.experimental = False
        self.muted: frozenset[str] = frozenset()
        self.open_requests = 0

    @property
    def initialized(self) -> bool:
        """Whether ``initialize`` succeeded on this connection."""
        return self.client_info is not None

    def send(self, message: bytes) -> None:
        """Queue an encoded message; a connection that is gone swallows it."""
        self.outbox.put(message)

    def notify(self, method: str, params: object) -> None:
        """Queue a notification to this connection only, unless it opted out of the method."""
        if method not in self.muted:
            self.send(messages.notification(method, params))
