"""One client on stdin and stdout: a JSON message per line, nothing else on stdout.

Reads and writes block in two daemon threads of their own, so that pipes, files and terminals work alike, no file
description is switched to non-blocking (others may share it), and a stuck parent cannot keep the process alive. What a
pipe or socket has room for is written without the thread: most messages are small, and their reader is there.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from queue import SimpleQueue

import anyio
from anyio import from_thread
from anyio.abc import ObjectReceiveStream, TaskStatus

from engine.appserver.connection import Connection
from engine.appserver.server import Server
from engine.errors import Internal

CHUNK = 64 << 10


class Stdio:
    """The stdio listener: serves the one client and ends the server when its input ends."""

    def __init__(self, stdin: int = 0, stdout: int = 1) -> None:
        self._stdin = stdin
        self._stdout = stdout

    async def __call__(self, server: Server, *, task_status: TaskStatus[None]) -> None:
        """See :class:`engine.appserver.server.Listener`."""
        connection = server.connect(local=True)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._write, server, connection)
            tasks.start_soon(_give_up_when_slow, server, connection)
            task_status.started()
            async for line in lines(_read(self._stdin)):
                await server.receive(connection, line)
            await server.settle(connection)
            server.stop()

    async def _write(self, server: Server, connection: Connection) -> None:
        with _writing_what_fits(self._stdout) as write_what_fits:
            writer = _Writer(self._stdout, write_what_fits)
            while batch := await connection.outbox.take():
                if not await _write_messages(writer, batch):
                    connection.outbox.abandon()
                    server.stop()


async def _write_messages(writer: _Writer, batch: list[bytes]) -> bool:
    """Write a batch and empty it, so that nothing written is held while waiting for more; False when nobody reads."""
    if len(batch) == 1 and len(batch[0]) > CHUNK:  # not copied for the sake of its line end
        return await writer.write(batch.pop()) and await writer.write(b"\n")
    text = b"\n".join([*batch, b""])
    batch.clear()
    return await writer.write(text)


async def _give_up_when_slow(server: Server, connection: Connection) -> None:
    await connection.outbox.overflow.wait()
    limit = connection.outbox.limit >> 20
    server.stop(Internal(f"the client does not read its messages; {limit} MiB were waiting"))


async def lines(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Split chunks at newlines; the last line needs none. Cost is linear, also for lines of many chunks."""
    parts: list[bytes] = []
    async for chunk in chunks:
        head, *rest = chunk.split(b"\n")
        parts.append(head)
        for part in rest:
            yield b"".join(parts)
            parts = [part]
    if last := b"".join(parts):
        yield last


def _read(fd: int) -> ObjectReceiveStream[bytes]:
    """What arrives at a file descriptor until its end; the thread stays at most a few chunks ahead."""
    send, receive = anyio.create_memory_object_stream[bytes](4)
    token = anyio.lowlevel.current_token()

    def pump() -> None:
        # Whoever wanted this input may be gone, and the event loop with it.
        with contextlib.suppress(anyio.BrokenResourceError, anyio.RunFinishedError):
            while chunk := _read_chunk(fd):
                from_thread.run(send.send, chunk, token=token)
            from_thread.run_sync(send.close, token=token)

    threading.Thread(target=pump, name="stdin", daemon=True).start()
    return receive


def _read_chunk(fd: int) -> bytes:
    try:
        return os.read(fd, CHUNK)
    except OSError:  # a terminal that hung up
        return b""


class _Writer:
    """Writes to a file descriptor, in a thread of its own as soon as that has to wait.

    :param write_what_fits: writes without waiting and returns how much was written.
    """

    def __init__(self, fd: int, write_what_fits: Callable[[memoryview], int]) -> None:
        self._fd = fd
        self._write_what_fits = write_what_fits
        self._jobs: SimpleQueue[tuple[memoryview, anyio.Event]] = SimpleQueue()
        self._broken = False
        self._token = anyio.lowlevel.current_token()
        threading.Thread(target=self._pump, name="stdout", daemon=True).start()

    async def write(self, data: bytes) -> bool:
        """Write all of it; False when nobody reads any more. One call at a time."""
        rest = memoryview(data)
        try:
            rest = rest[self._write_what_fits(rest) :]
        except BlockingIOError:
            pass  # no room at all
        except OSError:
            return False
        if rest:
            done = anyio.Event()
            self._jobs.put((rest, done))
            await done.wait()
        return not self._broken

    def _pump(self) -> None:
        with contextlib.suppress(anyio.RunFinishedError):
            while True:
                from_thread.run_sync(self._do_next().set, token=self._token)

    def _do_next(self) -> anyio.Event:
        """Wait for a job and do it; the event that says so."""
        rest, done = self._jobs.get()
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            self._broken = True
        return done


@contextlib.contextmanager
def _writing_what_fits(fd: int) -> Iterator[Callable[[memoryview], int]]:
    """A way to write that takes what there is room for, on a descriptor that others see as it was.

    A socket can be told so for each write. A pipe is opened once more, where the system lets one, for a description of
    our own. Elsewhere nothing ever fits.
    """
    kind = os.fstat(fd).st_mode
    if stat.S_ISSOCK(kind):
        with socket.socket(fileno=os.dup(fd)) as ours:
            yield lambda data: ours.send(data, socket.MSG_DONTWAIT)
        return
    try:
        own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK) if stat.S_ISFIFO(kind) else None
    except OSError:  # no such folder, a pipe of another user, or one that nobody reads
        own = None
    if own is None:
        yield lambda data: 0
        return
    try:
        yield lambda data: os.write(own, data)
    finally:
        os.close(own)
