"""Clients on a unix socket: websocket frames without the HTTP handshake before them (wire.md, section 7).

The socket belongs to this user alone (folder 0700, socket 0600), so nobody is asked for a token. Bytes that are no
masked frame end the connection.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import anyio
from anyio.abc import SocketListener, SocketStream, TaskStatus
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, SERVER, Protocol

from engine.appserver.connection import Connection
from engine.appserver.errors import log
from engine.appserver.server import Server
from engine.errors import StartupError, os_reason

MAX_MESSAGE = 64 << 20

RETRY = 1.0
"""Seconds until a client is accepted that could not be."""


class UnixSocket:
    """The unix socket listener; the file is removed at the end.

    :raises StartupError: when another server answers at the path, or the path cannot be a socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            _clear(path)
            self._socket = _bind(path)
        except OSError as error:
            raise StartupError(os_reason(error)) from None
        self._file = path.stat()

    async def __call__(self, server: Server, *, task_status: TaskStatus[None]) -> None:
        """See :class:`engine.appserver.server.Listener`."""

        async def client(stream: SocketStream) -> None:
            async with stream:
                await _Client(server, stream).serve()

        try:
            async with await SocketListener.from_socket(self._socket) as listener, anyio.create_task_group() as tasks:
                task_status.started()
                while True:
                    tasks.start_soon(client, await _accepted(listener))
        finally:
            self._remove()

    def _remove(self) -> None:
        """Remove our socket, but not one that a later server has put in its place."""
        try:
            if os.path.samestat(self._path.stat(), self._file):
                self._path.unlink()
        except FileNotFoundError:
            return


async def _accepted(listener: SocketListener) -> SocketStream:
    """The next client. While too many files are open it waits, as do those that websockets come from."""
    while True:
        try:
            return await listener.accept()
        except anyio.BrokenResourceError as error:
            log.error("a client cannot be accepted now: %s", error.__cause__)
            await anyio.sleep(RETRY)


def _clear(path: Path) -> None:
    """Make room at a path: a socket that nobody answers at is left over from a server that was killed."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise StartupError(f"app-server control socket path exists and is not a socket: {path}")
    with socket.socket(socket.AF_UNIX) as probe:
        result = probe.connect_ex(str(path))
    if result not in (errno.ECONNREFUSED, errno.ENOENT):
        raise StartupError(f"app-server control socket is already in use at {path}")
    path.unlink(missing_ok=True)


def _bind(path: Path) -> socket.socket:
    """A listening socket that was never open to others, not even before a change of mode."""
    server = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        server.bind(str(path))
    except BaseException:
        server.close()
        raise
    finally:
        os.umask(before)
    server.listen(128)
    server.setblocking(False)
    return server


class _Client:
    """One connection: a frame parser between a byte stream and the server."""

    def __init__(self, server: Server, stream: SocketStream) -> None:
        self._server = server
        self._stream = stream
        self._frames = Protocol(SERVER, state=OPEN, max_size=MAX_MESSAGE)
        self._parts: list[bytes] = []
        self._kind = Opcode.TEXT
        self._sending = anyio.Lock()

    async def serve(self) -> None:
        connection = self._server.connect(local=True)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write, connection)
                tasks.start_soon(self._cut_off_when_slow, connection, tasks.cancel_scope)
                with contextlib.suppress(anyio.BrokenResourceError, anyio.EndOfStream):
                    await self._read(connection)  # a client may leave without a word
                tasks.cancel_scope.cancel()
        finally:
            self._server.disconnect(connection)

    async def _read(self, connection: Connection) -> None:
        while self._frames.state is OPEN:
            self._frames.receive_data(await self._stream.receive())
            await self._flush()
            for text in self._texts():
                await self._server.receive(connection, text)

    def _texts(self) -> Iterator[bytes]:
        """The complete text messages received; binary ones are dropped."""
        for frame in self._frames.events_received():
            assert isinstance(frame, Frame)
            if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
                self._kind, self._parts = frame.opcode, []
            elif frame.opcode is not Opcode.CONT:
                continue
            self._parts.append(bytes(frame.data))
            if frame.fin and self._kind is Opcode.TEXT:
                yield b"".join(self._parts)

    async def _write(self, connection: Connection) -> None:
        try:
            while batch := await connection.outbox.take():
                while batch:  # what was sent is not held while waiting for more
                    self._frames.send_text(batch.pop(0))
                await self._flush()
        except (anyio.BrokenResourceError, InvalidState):
            connection.outbox.abandon()

    async def _flush(self) -> None:
        """Write what the parser has to say: messages of ours, answers to pings and closes."""
        async with self._sending:
            for data in filter(None, self._frames.data_to_send()):
                await self._stream.send(data)

    async def _cut_off_when_slow(self, connection: Connection, scope: anyio.CancelScope) -> None:
        await connection.outbox.overflow.wait()
        log.warning("connection %d does not read its messages; closed", connection.id)
        scope.cancel()
