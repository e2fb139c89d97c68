"""An app-server as a child process, and the client that talks to it over stdio."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import threading
from types import TracebackType
from typing import Any, Self

from tests.interop.place import Place
from tests.interop.programs import Engine, codex
from tests.interop.wire import Message, Wire

CLIENT = {"name": "interop", "title": "Interop tests", "version": "1.0.0"}


class Refused(Exception):
    """The server answered a request with an error."""


class Peer:
    """A server on a home, from start to end of the block. What ours says is checked against the schema."""

    def __init__(self, engine: Engine, place: Place) -> None:
        self.engine = engine
        self.wire = Wire(checked=engine == "ours")
        self._ids = itertools.count(1)
        self._log = (place.root / f"{engine}.log").open("ab")
        self._process = subprocess.Popen(
            [*codex(engine), "app-server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=place.workspace,
            env=place.environment(),
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.call("initialize", clientInfo=CLIENT, capabilities={"experimentalApi": True})
        self._send({"method": "initialized"})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None or self._process.poll() is not None:
            self.kill()
            return
        assert self._process.stdin
        self._process.stdin.close()
        try:
            assert self._process.wait(20) == 0, "the server did not end well"
        finally:
            self.kill()
        self.wire.check()

    def kill(self) -> None:
        """End the server without a word, as a crash would. The reference is a launcher and the server."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        self._log.close()

    def request(self, method: str, params: Message) -> int:
        """Send a request without waiting for its answer."""
        number = next(self._ids)
        self._send({"id": number, "method": method, "params": params})
        return number

    def call(self, method: str, **params: Any) -> Any:
        """The result of a request; raises :class:`Refused`."""
        number = self.request(method, params)
        answer = self.wire.wait(lambda one: one.get("id") == number and "method" not in one)
        if "error" in answer:
            raise Refused(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def wait(self, method: str, wanted: Any = None) -> Message:
        """The params of the first notification of this kind for which `wanted(params)` is true."""

        def fits(one: Message) -> bool:
            return one.get("method") == method and (wanted is None or bool(wanted(one["params"])))

        return dict(self.wire.wait(fits)["params"])

    def start(self, **params: Any) -> str:
        """Start a thread and give its id."""
        return str(self.call("thread/start", **params)["thread"]["id"])

    def begin_turn(self, thread_id: str, text: str) -> str:
        """Start a turn and give its id."""
        given = [{"type": "text", "text": text}]
        return str(self.call("turn/start", threadId=thread_id, input=given)["turn"]["id"])

    def end_turn(self, turn_id: str) -> Message:
        """Wait for the end of a turn."""
        done = self.wait("turn/completed", lambda params: params["turn"]["id"] == turn_id)
        return dict(done["turn"])

    def turn(self, thread_id: str, text: str) -> str:
        """A whole turn that succeeds; gives its id."""
        turn_id = self.begin_turn(thread_id, text)
        done = self.end_turn(turn_id)
        assert done["status"] == "completed", done
        return turn_id

    def new_turn(self, method: str, **params: Any) -> str:
        """A request that begins a turn without naming it; gives the id of the turn once it has ended."""
        before = {one["turn"]["id"] for one in self.wire.notifications("turn/started")}
        self.call(method, **params)
        began = self.wait("turn/started", lambda started: started["turn"]["id"] not in before)
        turn_id = str(began["turn"]["id"])
        self.end_turn(turn_id)
        return turn_id

    def _send(self, message: Message) -> None:
        text = json.dumps(message)
        self.wire.client_says(text)
        assert self._process.stdin
        self._process.stdin.write(text.encode() + b"\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self.wire.server_says(line)
