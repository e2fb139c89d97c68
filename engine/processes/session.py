"""One running command: output out, input in, and an end that leaves nothing behind.

Whoever starts a session owns it: `run` must be running as a task of theirs for as long as the command lives, and
cancelling that task kills the command with all its children. When `run` returns, the process is reaped and every
descriptor is closed, whatever happened; one that cannot be killed is left to itself after a while.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio

from engine.processes.buffers import CHUNK_BYTES
from engine.processes.spawn import Command, Size, Stream, kill_group, set_size, spawn

TRAILING_SECONDS = 0.1
"""How long output may still come after a command has ended (spec tools 2)."""

UNKILLABLE_SECONDS = 5.0
"""How long a command that was killed may take to end: one of another user (`sudo`) or that waits for a disk may not."""

_END_OF_INPUT = b"\n\x04"

OnOutput = Callable[[Stream, bytes], None]


class StdinClosed(Exception):
    """The command takes no input, or no more."""


class NoTerminal(Exception):
    """The command does not run on a terminal."""


class Session:
    """A command that runs from the moment this is made.

    :param on_output: gets each piece of output, at most 8192 bytes, as it comes.
    :param trailing_seconds: how long to wait, after the end, for others that hold its output open.
    :param pace: awaited before more output is read, to let a reader catch up; the command waits too then.
    :raises SpawnError: when the command cannot be started.
    """

    def __init__(
        self,
        command: Command,
        on_output: OnOutput,
        trailing_seconds: float = TRAILING_SECONDS,
        pace: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.command = command
        self._pace = pace
        self._spawned = spawn(command)
        self._pidfd = os.pidfd_open(self._spawned.process.pid)
        self._on_output = on_output
        self._trailing_seconds = trailing_seconds
        self._stdin = self._spawned.stdin
        self._writing = anyio.Lock()
        self._open_outputs = len(self._spawned.outputs)
        self._drained = anyio.Event()
        self._started = time.monotonic()
        self._ended: float | None = None
        self._exit: int | None = None
        self.exited = anyio.Event()
        """Set when the command itself has ended; output may still come."""
        self.finished = anyio.Event()
        """Set when everything is over and cleaned up."""

    @property
    def pid(self) -> int:
        """Process id, which is the id of its group too."""
        return self._spawned.process.pid

    @property
    def death_signal(self) -> int | None:
        """The signal that ended the command, None when it ended by itself or runs."""
        return -self._exit if self._exit is not None and self._exit < 0 else None

    @property
    def exit_code(self) -> int | None:
        """The exit code, None while it runs. For a death by signal the reference says 1 on a terminal, else -1."""
        if self._exit is None or self._exit >= 0:
            return self._exit
        return -1 if self.command.tty is None else 1

    @property
    def seconds(self) -> float:
        """How long the command ran, or has been running."""
        return (self._ended or time.monotonic()) - self._started

    async def run(self) -> None:
        """Pass output on until the command has ended and its output with it."""
        try:
            async with anyio.create_task_group() as tasks:
                for stream, fd in self._spawned.outputs.items():
                    tasks.start_soon(self._pump, stream, fd)
                await anyio.wait_readable(self._pidfd)
                self._note_exit()
                with anyio.move_on_after(self._trailing_seconds):
                    await self._drained.wait()
                if not self.command.leave_group and not self._drained.is_set():
                    kill_group(self.pid)
                    with anyio.move_on_after(self._trailing_seconds):
                        await self._drained.wait()
                tasks.cancel_scope.cancel()
        finally:
            await self._clean_up()

    async def write(self, data: bytes) -> None:
        """Write all of it to the command's stdin; returns when the command's pipe or terminal has taken it.

        :raises StdinClosed: when it takes no input or stopped reading.
        """
        async with self._writing:
            while data:
                if self._stdin is None:
                    raise StdinClosed
                try:
                    try:
                        data = data[os.write(self._stdin, data) :]
                    except BlockingIOError:
                        await anyio.wait_writable(self._stdin)
                except (OSError, anyio.ClosedResourceError) as error:  # closed also while it was full
                    raise StdinClosed from error

    async def close_stdin(self) -> None:
        """End the command's input, after all that is being written.

        On a terminal that is a keystroke at the start of a line, as the reference does.
        """
        if self._stdin is not None and self._stdin == self._spawned.terminal:
            with suppress(StdinClosed):
                await self.write(_END_OF_INPUT)
        async with self._writing:
            self._drop_stdin()

    def _drop_stdin(self) -> None:
        stdin, self._stdin = self._stdin, None
        if stdin is not None and stdin != self._spawned.terminal:
            anyio.notify_closing(stdin)
            os.close(stdin)

    def resize(self, size: Size) -> None:
        """Give the terminal another size.

        :raises NoTerminal: when there is none.
        """
        if self._spawned.terminal is None:
            raise NoTerminal
        if not self.finished.is_set():
            set_size(self._spawned.terminal, size)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the command and all its children; nothing happens once it has ended."""
        if not self.exited.is_set():
            kill_group(self.pid, number)

    async def stop(self, grace_seconds: float = 1.0) -> None:
        """Ask it to end (SIGTERM), insist after a while (SIGKILL), wait until it is gone."""
        self.kill(signal.SIGTERM)
        with anyio.move_on_after(grace_seconds):
            await self.exited.wait()
        self.kill()
        await self.finished.wait()

    async def _pump(self, stream: Stream, fd: int) -> None:
        while data := await self._read(fd):
            self._on_output(stream, data)
        self._open_outputs -= 1
        if not self._open_outputs:
            self._drained.set()

    async def _read(self, fd: int) -> bytes:
        """The next output; nothing at its end, which a terminal reports as an error."""
        if self._pace is not None:
            await self._pace()
        while True:
            await anyio.wait_readable(fd)
            try:
                return os.read(fd, CHUNK_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                return b""

    def _note_exit(self) -> None:
        """Take the exit code, but do not reap yet: until then no other group can get this id."""
        found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        if found is not None:
            self._exit = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
        self._ended = time.monotonic()
        self.exited.set()

    async def _clean_up(self) -> None:
        with anyio.CancelScope(shield=True):
            if not self.exited.is_set():
                kill_group(self.pid)
                with anyio.move_on_after(UNKILLABLE_SECONDS):
                    await anyio.wait_readable(self._pidfd)
                    self._note_exit()
            elif not self.command.leave_group:
                kill_group(self.pid)
            if self.exited.is_set():
                self._spawned.process.wait()
            self._drop_stdin()
            for fd in {*self._spawned.outputs.values(), self._pidfd}:
                anyio.notify_closing(fd)
                os.close(fd)
            self.finished.set()
