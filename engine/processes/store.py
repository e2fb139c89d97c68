"""The commands of a thread's model that run in the background: numbered, bounded, ended with the thread.

`start` waits a moment for commands that end at once; others run on as tasks of the store, until they end, are
terminated, or the store is closed. A call that yields takes what has come so far with `collect`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random, SystemRandom

import anyio
import msgspec
from anyio.abc import TaskGroup

from engine.processes.buffers import HeadTail, Live, Utf8Chunks, text
from engine.processes.session import TRAILING_SECONDS, Session, StdinClosed
from engine.processes.spawn import Command, Stream

MAX_PROCESSES = 64
WARN_AT = 60
"""Running commands at which the model is warned (spec tools 2)."""
PROTECTED = 8
"""This many most recently used commands are never pruned."""
EARLY_EXIT_SECONDS = 0.15
"""A command that ends within this time counts as one that ended at once (spec tools 2)."""

MIN_YIELD_MS = 250
MAX_YIELD_MS = 30_000
MIN_POLL_MS = 5_000
MAX_POLL_MS = 300_000


def call_yield_ms(wanted: int) -> int:
    """How long `exec_command`, or `write_stdin` with input, waits: 0.25 to 30 seconds."""
    return min(max(wanted, MIN_YIELD_MS), MAX_YIELD_MS)


def poll_yield_ms(wanted: int) -> int:
    """How long an empty `write_stdin` waits: 5 seconds to 5 minutes."""
    return min(max(wanted, MIN_POLL_MS), MAX_POLL_MS)


class UnknownProcess(Exception):
    """No such command, or its end was reported already; the text is the reference's."""

    def __init__(self, number: int) -> None:
        super().__init__(f"Unknown process id {number}")


class Collected(msgspec.Struct, frozen=True):
    """What a command wrote since the last look at it."""

    text: str
    exit_code: int | None
    """None while it runs."""
    seconds: float
    """How long this look took."""


class Running:
    """A command of the model, as the store keeps it."""

    def __init__(self, number: int, call_id: str, command: Command) -> None:
        self.number = number
        """The session id the model knows it by."""
        self.call_id = call_id
        """The call that started it: its item carries the output to the end."""
        self._transcript = HeadTail()
        self._unread = HeadTail()
        self._chunks = Utf8Chunks()
        self._live = Live()
        self._show: Callable[[bytes], None] | None = None
        self.session = Session(command, self._take)

    @property
    def exit_code(self) -> int | None:
        """The exit code once everything is over, None before."""
        return self.session.exit_code if self.session.finished.is_set() else None

    @property
    def output(self) -> str:
        """All output so far, at most 1 MiB of it."""
        return text(self._transcript.data())

    def show(self, on_chunk: Callable[[bytes], None]) -> None:
        """From now on pass output to clients; what came before goes first."""
        self._show = on_chunk
        backlog = self._transcript.data()
        if backlog:
            for chunk in Utf8Chunks().feed(backlog):
                self._tell(chunk)

    def unread(self) -> str:
        """Output that was not collected yet, at most 1 MiB of it; it is collected now."""
        unread, self._unread = self._unread, HeadTail()
        return text(unread.data())

    def _take(self, stream: Stream, data: bytes) -> None:
        for chunk in self._chunks.feed(data):
            self._keep(chunk)

    def _keep(self, chunk: bytes) -> None:
        self._transcript.push(chunk)
        self._unread.push(chunk)
        if self._show is not None:
            self._tell(chunk)

    def _tell(self, chunk: bytes) -> None:
        if self._show is not None and self._live.takes(chunk):
            self._show(chunk)

    async def run(self) -> None:
        """Run it to its end; a torn character at the end of its output is passed on as it is."""
        try:
            await self.session.run()
        finally:
            for chunk in self._chunks.flush():
                self._keep(chunk)


class Store:
    """The background commands of one thread.

    :param tasks: where the commands run.
    :param numbers: where session ids come from.
    """

    def __init__(self, tasks: TaskGroup, numbers: Random | None = None) -> None:
        self._tasks = tasks
        self._numbers = numbers or SystemRandom()
        self._reserved: set[int] = set()
        self._kept: dict[int, Running] = {}
        """By session id, the least recently used first."""
        self._watched: dict[Running, Callable[[Running], None]] = {}
        """Commands whose end is still to be told, and whom to tell."""

    @property
    def crowd(self) -> int:
        """The number of running commands when the model should be warned about it, else 0."""
        return len(self._kept) if len(self._kept) >= WARN_AT else 0

    def reserve(self) -> int:
        """A free session id of four or five digits; for `start`."""
        while (number := self._numbers.randint(1_000, 99_999)) in self._reserved or number in self._kept:
            pass
        self._reserved.add(number)
        return number

    async def start(self, number: int, call_id: str, command: Command) -> Running:
        """Start a command under a reserved id and see for a moment whether it ends at once.

        One that did has an `exit_code` and is not kept. To make room for another, an old one may be ended. When this is
        cancelled, so is the command: nobody knows of it yet.

        :raises SpawnError: when it cannot be started; the id is free again.
        """
        try:
            running = Running(number, call_id, command)
        finally:
            self._reserved.discard(number)
        self._kept[number] = running
        self._tasks.start_soon(running.run)
        try:
            with anyio.move_on_after(EARLY_EXIT_SECONDS):
                await running.session.exited.wait()
            if running.session.exited.is_set():
                await running.session.finished.wait()
        except anyio.get_cancelled_exc_class():
            self._kept.pop(number, None)
            running.session.kill()
            raise
        if running.session.finished.is_set():
            self._kept.pop(number, None)
        else:
            self._prune()
        return running

    def watch(self, running: Running, on_chunk: Callable[[bytes], None], on_end: Callable[[Running], None]) -> None:
        """Show its output to clients from now on, and tell once when it has ended: a moment later, as the reference
        does, which waits for trailing output (spec tools 2)."""
        running.show(on_chunk)
        self._watched[running] = on_end
        self._tasks.start_soon(self._tell_end, running)

    def tell_ends(self) -> None:
        """Tell of all commands that have ended by now, without waiting any longer."""
        for running in [each for each in self._watched if each.session.finished.is_set()]:
            self._watched.pop(running)(running)

    def get(self, number: int) -> Running:
        """A kept command, now the most recently used one.

        :raises UnknownProcess: also when its end was reported already.
        """
        try:
            running = self._kept.pop(number)
        except KeyError:
            raise UnknownProcess(number) from None
        self._kept[number] = running
        return running

    async def write(self, running: Running, chars: str) -> None:
        """Type something. A command that has just ended takes anything.

        :raises StdinClosed: when it does not run on a terminal; the text is for the model.
        """
        if running.session.command.tty is None:
            raise StdinClosed("stdin is closed for this session; rerun exec_command with tty=true to keep stdin open")
        with suppress(StdinClosed):
            await running.session.write(chars.encode())

    async def collect(self, running: Running, yield_ms: int) -> Collected:
        """Wait for the end of a command, at most `yield_ms`, and take what it wrote. An end is reported only once."""
        started = anyio.current_time()
        with anyio.move_on_after(yield_ms / 1000):
            await running.session.finished.wait()
        if running.exit_code is not None:
            self._kept.pop(running.number, None)
        return Collected(text=running.unread(), exit_code=running.exit_code, seconds=anyio.current_time() - started)

    async def clean(self) -> None:
        """End all commands and forget them."""
        running, self._kept = list(self._kept.values()), {}
        async with anyio.create_task_group() as tasks:
            for each in running:
                tasks.start_soon(each.session.stop)

    def _prune(self) -> None:
        """Over the limit, forget the least recently used command, rather one that has ended; some are protected."""
        if len(self._kept) <= MAX_PROCESSES:
            return
        candidates = list(self._kept.values())[:-PROTECTED]
        chosen = next((each for each in candidates if each.exit_code is not None), candidates[0])
        del self._kept[chosen.number]
        chosen.session.kill()

    async def _tell_end(self, running: Running) -> None:
        await running.session.finished.wait()
        await anyio.sleep(TRAILING_SECONDS)
        on_end = self._watched.pop(running, None)
        if on_end is not None:
            on_end(running)
