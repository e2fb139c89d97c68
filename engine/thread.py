"""One loaded thread: its inbox, its log and state, and the turn that runs in it.

One task owns a thread: everything that changes it goes through the inbox and runs there, in order; everybody else
reads snapshots. A step of the turn machine becomes one write, then a fold, then notifications; operations run
beside the owner and report into the inbox. Nothing here decides what a turn does (`engine.turn`) or what clients
hear (`engine.publish`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from engine.errors import BadRequest
from engine.inbox import Answer
from engine.journal import Journal
from engine.notes import Everyone, Notification, Sink
from engine.operations import Operations
from engine.overlay import Overlay
from engine.publish import Scene, notifications
from engine.turn.effects import (
    Cancel,
    Done,
    Effect,
    Emit,
    Finish,
    Input,
    Interrupt,
    Progress,
    Start,
    Steer,
    Submission,
)
from engine.turn.machine import Machine
from engine.turn.ops import Op
from projections import protocol as p
from rollouts import events as ev
from rollouts.log import LogError

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Thread:
    """A loaded thread. `run()` is its owner task; it ends when `close()` is called."""

    def __init__(
        self,
        thread_id: str,
        journal: Journal,
        operations: Operations,
        sink: Sink,
        *,
        on_idle: Callable[[], None],
    ) -> None:
        self.id = thread_id
        self.journal = journal
        self.overlay = Overlay()
        self._operations = operations
        self._sink = sink
        self._on_idle = on_idle
        self._send, self._receive = anyio.create_memory_object_stream[Callable[[], Awaitable[None]]](math.inf)
        self._machine: Machine | None = None
        self._scopes: dict[int, anyio.CancelScope] = {}
        self._interrupts: list[Callable[[], None]] = []
        self._tasks: TaskGroup | None = None

    # -- asked by others

    @property
    def running(self) -> bool:
        """Whether a turn is open."""
        return self._machine is not None

    def post(self, action: Callable[[], Awaitable[None]]) -> None:
        """Let the owner run `action` after everything posted before it; returns at once."""
        self._send.send_nowait(action)

    async def ask(self, action: Callable[[], T]) -> T:
        """Let the owner run `action`; its result or its error is the caller's."""
        answer: Answer[T] = Answer()

        async def answered() -> None:
            try:
                answer.set(action())
            except Exception as error:
                answer.fail(error)

        self.post(answered)
        return await answer.wait()

    def interrupt(self, answered: Callable[[], None]) -> None:
        """End the running turn; `answered` is called when it has ended, before clients hear of it.

        Without a running turn it is called at once (the reference would not answer).
        """

        async def interrupted() -> None:
            if self._machine is None:
                answered()
                return
            self._interrupts.append(answered)
            await self.feed(Interrupt(self._now()))

        self.post(interrupted)

    def close(self) -> None:
        """Let the owner end after what is already posted; a running turn is cut off."""
        self._send.close()

    # -- the owner

    async def run(self) -> None:
        """Own the thread until `close()`."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            async for action in self._receive:
                try:
                    await action()
                except LogError as error:
                    self._cut_off(f"failed to write the session file: {error}")
                except Exception:
                    logger.exception("thread %s: a bug; its turn fails, the thread stays", self.id)
                    self._cut_off("internal error")
            tasks.cancel_scope.cancel()
        self.journal.log.close()

    async def start(self, machine: Machine) -> None:
        """Run a turn. Owner only; no turn may be open."""
        self._machine = machine
        await self._carry_out(machine.start())

    async def feed(self, given: Input) -> None:
        """Give the running turn an input. Owner only; without a turn it is dropped."""
        if self._machine is not None:
            await self._carry_out(self._machine.feed(given))

    def record(self, events: Iterable[ev.Body]) -> None:
        """Things that happened to the thread: write, fold, publish. Owner only."""
        told = list(events)
        self.journal.append(told)
        self._publish(told)

    async def _carry_out(self, effects: list[Effect]) -> None:
        events = [effect.event for effect in effects if isinstance(effect, Emit)]
        finish = any(isinstance(effect, Finish) for effect in effects)
        self.journal.append(events)
        if finish:
            await anyio.to_thread.run_sync(self.journal.sync)
            self._machine = None
            self._answer_interrupts()
        self._publish(events)
        for effect in effects:
            if isinstance(effect, Start):
                self._start_operation(effect.key, effect.op)
            elif isinstance(effect, Cancel):
                self._cancel(effect.key)
        if finish:
            self._on_idle()

    def _start_operation(self, key: int, op: Op) -> None:
        assert self._tasks is not None
        scope = self._scopes[key] = anyio.CancelScope()
        self._tasks.start_soon(self._operate, scope, key, op)

    async def _operate(self, scope: anyio.CancelScope, key: int, op: Op) -> None:
        with scope:
            result: object = None
            failed: Exception | None = None
            try:
                result = await self._operations.run(self, op, lambda data: self._report(key, data))
            except Exception as error:
                failed = error
            self._scopes.pop(key, None)
            now = self._now()
            self.post(lambda: self.feed(Done(now, key, result, failed)))

    def _report(self, key: int, data: object) -> None:
        given = Progress(self._now(), key, data)
        self.post(lambda: self.feed(given))

    def _publish(self, events: Iterable[ev.Body]) -> None:
        for event in events:
            before = self.overlay.status
            self.overlay.apply(event)
            if self.overlay.status != before:
                self._sink.publish(status_note(self.id, self.overlay.status))
            for note in notifications(event, Scene(self.id, self.overlay.turn_id or "", self.overlay)):
                self._sink.publish(note)

    def _answer_interrupts(self) -> None:
        answered, self._interrupts = self._interrupts, []
        for answer in answered:
            answer()

    def _cut_off(self, reason: str) -> None:
        """The log refused or we have a bug: end the turn for clients without touching the log again."""
        self._machine = None
        for scope in self._scopes.values():
            scope.cancel()
        self._scopes.clear()
        self._answer_interrupts()
        turn_id = self.overlay.open_turn_id
        self._publish([ev.ErrorEvent(message=reason, codex_error_info="other")])
        if turn_id is not None:
            now = self._now()
            self._publish(
                [ev.TaskComplete(turn_id=turn_id, last_agent_message=None, completed_at=int(now.timestamp()))]
            )
        self._on_idle()
