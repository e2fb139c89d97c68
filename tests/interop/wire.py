"""What went over the wire between a server and its clients, each message held against the published schema."""

from __future__ import annotations

import json
import threading
from typing import Any

from tests import schema

Message = dict[str, Any]


class Wire:
    """The messages of one connection, both ways. Safe to use from several threads."""

    def __init__(self, checked: bool = True) -> None:
        self.sent: list[Message] = []
        self.received: list[Message] = []
        self._checked = checked
        self._asked: dict[str | int, str] = {}
        self._faults: list[str] = []
        self._changed = threading.Condition()

    def client_says(self, text: str | bytes) -> None:
        """Take down a message of the client."""
        message = json.loads(text)
        with self._changed:
            self.sent.append(message)
            if "method" in message and "id" in message:
                self._asked[message["id"]] = message["method"]

    def server_says(self, text: str | bytes) -> None:
        """Take down a message of the server and check it."""
        message = self._parsed(text)
        with self._changed:
            self.received.append(message)
            self._changed.notify_all()

    def wait(self, wanted: Any, timeout: float = 20.0) -> Message:
        """The first message of the server for which `wanted(message)` is true, which may be yet to come."""
        found: list[Message] = []

        def arrived() -> bool:
            found.extend(one for one in self.received if wanted(one))
            return bool(found)

        with self._changed:
            if not self._changed.wait_for(arrived, timeout):
                last = "\n".join(json.dumps(one)[:300] for one in self.received[-12:])
                raise AssertionError(f"it never came; the last messages were:\n{last}")
        return found[0]

    def notifications(self, method: str) -> list[Message]:
        """The params of every notification of this kind so far."""
        with self._changed:
            return [one["params"] for one in self.received if one.get("method") == method and "id" not in one]

    def results(self, method: str) -> list[Message]:
        """The results of every request of this kind so far."""
        with self._changed:
            ids = [one["id"] for one in self.sent if one.get("method") == method]
            return [one["result"] for one in self.received if one.get("id") in ids and "result" in one]

    def methods_sent(self) -> list[str]:
        """The methods the client named so far, in order."""
        with self._changed:
            return [one["method"] for one in self.sent if "method" in one]

    def check(self) -> None:
        """Fail if any message of the server broke the published schema."""
        assert not self._faults, "\n".join(self._faults)

    def _parsed(self, text: str | bytes) -> Message:
        try:
            message = json.loads(text)
            if self._checked:
                assert "jsonrpc" not in message, "a jsonrpc member"
                schema.check_message(
                    message, self._asked.get(message.get("id", "")) if "method" not in message else None
                )
        except (ValueError, AssertionError) as error:
            self._faults.append(f"{error} in {text[:500]!r}")
            return json.loads(text) if isinstance(error, AssertionError) else {"unreadable": str(text)}
        return dict(message)
