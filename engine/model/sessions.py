"""The model connections that belong to a thread: one websocket session for each thread whose provider takes them."""

from __future__ import annotations

from engine.model.client import ModelClient
from engine.model.websocket import WebsocketSession


class Sessions:
    """The sessions of all threads of a process; `http` is what they fall back to."""

    def __init__(self, http: ModelClient) -> None:
        self._http = http
        self._by_thread: dict[str, WebsocketSession] = {}

    def of(self, thread_id: str) -> WebsocketSession:
        """The session of a thread, made when it is first asked for."""
        if thread_id not in self._by_thread:
            self._by_thread[thread_id] = WebsocketSession(self._http)
        return self._by_thread[thread_id]

    async def close(self, thread_id: str) -> None:
        """A thread is unloaded: close its connection, if there is one."""
        session = self._by_thread.pop(thread_id, None)
        if session is not None:
            await session.aclose()
