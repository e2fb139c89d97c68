"""A small app-server client, for the demo, the tests and anyone who wants to look at the wire.

Starts a server and speaks to it on its standard streams, or joins one over a websocket. Messages are plain objects
on purpose: it knows the protocol's envelope and nothing of this project's types, so what it sees is what any other
client sees. Everything sent and received is told to an observer in wire order.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

import anyio
import websockets.asyncio.client
from anyio.abc import Process
from websockets.exceptions import ConnectionClosed

from engine.appserver.transports.stdio import lines

Message: TypeAlias = dict[str, Any]
Observer: TypeAlias = Callable[[Literal["sent", "received"], Message], None]

PATIENCE = 30.0
"""Seconds to wait for any one answer or notification."""

NOT_FOUND = -32601


class RpcError(Exception):
    """The server refused a request."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.data = data


class ServerGone(Exception):
    """The connection ended while something was still expected."""


def _unseen(_: str, __: Message) -> None:
    """The observer of a client nobody watches."""


class Client:
    """One connection; made by :func:`stdio` or :func:`websocket`.

    :param process: the server, when this client started it.
    :param answers: what to answer to requests of the server, by method; others are refused.
    """

    def __init__(
        self,
        write: Callable[[bytes], Awaitable[None]],
        observer: Observer | None = None,
        answers: Mapping[str, Callable[[Message], Message]] | None = None,
        process: Process | None = None,
    ) -> None:
        self.process = process
        self._write = write
        self._observe = observer or _unseen
        self._answers = answers or {}
        self._ids = itertools.count(1)
        self._results: dict[int, Message] = {}
        self._notes: list[Message] = []
        self._news = anyio.Event()
        self._gone = False

    async def initialize(self, name: str = "rollout-engine-client", version: str = "1", **capabilities: object) -> Any:
        """The handshake: `initialize` with these capabilities, then `initialized`."""
        info = {"name": name, "title": None, "version": version}
        result = await self.request("initialize", clientInfo=info, capabilities=capabilities or None)
        await self._send({"method": "initialized"})
        return result

    async def request(self, method: str, /, **params: object) -> Any:
        """Send a request and wait for its result.

        :raises RpcError: the server refuses it.
        :raises ServerGone: it ended before it answered.
        :raises TimeoutError: it did not answer in time.
        """
        number = next(self._ids)
        await self._send({"id": number, "method": method, "params": params})
        await self._wait(f"the answer to {method}", lambda: number in self._results)
        answer = self._results.pop(number)
        if "error" in answer:
            raise RpcError(**answer["error"])
        return answer["result"]

    async def until(self, method: str, /, **members: object) -> list[Message]:
        """Take all notifications up to the next one of this method whose params have these members.

        :raises ServerGone: the server ended before it came.
        :raises TimeoutError: it did not come in time.
        """

        def is_it(note: Message) -> bool:
            params: Message = note.get("params") or {}
            return note["method"] == method and all(params.get(name) == value for name, value in members.items())

        await self._wait(method, lambda: any(map(is_it, self._notes)))
        count = next(number for number, note in enumerate(self._notes, 1) if is_it(note))
        taken, self._notes = self._notes[:count], self._notes[count:]
        return taken

    def waiting(self) -> list[Message]:
        """Take the notifications that have arrived so far."""
        taken, self._notes = self._notes, []
        return taken

    async def kill(self) -> None:
        """SIGKILL the server this client started, and wait until it is gone."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def _send(self, message: Message) -> None:
        self._observe("sent", message)
        await self._write(json.dumps(message).encode())

    async def _wait(self, what: str, here: Callable[[], bool]) -> None:
        with anyio.move_on_after(PATIENCE):
            while not here():
                if self._gone:
                    raise ServerGone(f"the connection ended before {what}")
                await self._news.wait()
            return
        raise TimeoutError(f"no sign of {what} in {PATIENCE:.0f} seconds")

    async def _listen(self, frames: AsyncIterable[bytes | str]) -> None:
        try:
            async for frame in frames:
                await self._take(json.loads(frame))
        finally:
            self._gone = True
            self._tell()

    async def _take(self, message: Message) -> None:
        self._observe("received", message)
        if "method" not in message:
            self._results[message["id"]] = message
        elif "id" not in message:
            self._notes.append(message)
        elif message["method"] in self._answers:
            result = self._answers[message["method"]](message["params"])
            await self._send({"id": message["id"], "result": result})
        else:
            error = {"code": NOT_FOUND, "message": f"this client does not answer {message['method']}"}
            await self._send({"id": message["id"], "error": error})
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()


@asynccontextmanager
async def stdio(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    observer: Observer | None = None,
    answers: Mapping[str, Callable[[Message], Message]] | None = None,
) -> AsyncIterator[Client]:
    """Start a server and talk to it on its standard streams; leaving closes its input and waits for its end.

    Its stderr is ours. A server that does not end in time is killed.
    """
    process = await anyio.open_process(command, env=env, cwd=cwd, stderr=None)
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None
    client = Client(lambda frame: stdin.send(frame + b"\n"), observer, answers, process)
    async with process, anyio.create_task_group() as tasks:
        tasks.start_soon(client._listen, lines(stdout))
        try:
            yield client
        finally:
            with anyio.CancelScope(shield=True):
                await stdin.aclose()
                with anyio.move_on_after(PATIENCE):
                    await process.wait()
                if process.returncode is None:
                    process.kill()
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def websocket(
    url: str,
    *,
    observer: Observer | None = None,
    answers: Mapping[str, Callable[[Message], Message]] | None = None,
) -> AsyncIterator[Client]:
    """Join a server at `ws://IP:PORT`; leaving closes the connection."""
    async with websockets.asyncio.client.connect(url, max_size=None) as socket, anyio.create_task_group() as tasks:
        client = Client(lambda frame: socket.send(frame.decode()), observer, answers)
        tasks.start_soon(client._listen, _frames(socket))
        yield client
        tasks.cancel_scope.cancel()


async def _frames(socket: websockets.asyncio.client.ClientConnection) -> AsyncIterator[bytes | str]:
    try:
        async for frame in socket:
            yield frame
    except ConnectionClosed:
        return
