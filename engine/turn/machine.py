"""The turn machine: runs scripts and turns inputs into effects.

Theory of operation. A *script* is a generator. It emits events through its `Turn` as it goes and yields when it
has to wait: for an operation (`Run`) or for other scripts (`Join`). The machine keeps three things only: the
open keys, the scripts that wait for them, and the order in which scripts were spawned. An input names a key; the
machine resumes the script behind it and answers with the effects that piled up until everything waits again.

Two rules. Nothing in this package touches a clock, a random source or anything outside: time comes with the
input, ids from an iterator. And answers to closed keys are dropped here, in one place, so no script ever sees
the result of an operation it has cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from datetime import datetime
from typing import Any, Protocol

from engine.turn.effects import (
    Cancel,
    Done,
    Effect,
    Emit,
    Finish,
    Inject,
    Input,
    Interrupt,
    Progress,
    Start,
    Steer,
    Submission,
)
from engine.turn.ops import Op
from projections.usage import Usage
from rollouts import events as ev


class Interrupted(Exception):
    """Thrown into every script when the turn is interrupted; each says what its half-done item becomes."""

    def __init__(self, reason: ev.AbortReason) -> None:
        super().__init__(reason)
        self.reason = reason


class Run:
    """Yielded by a script: start `op`, hand its progress to `on_progress`, resume with its result."""

    __slots__ = ("on_progress", "op")

    def __init__(self, op: Op, on_progress: Callable[[Any], None] | None = None) -> None:
        self.op = op
        self.on_progress = on_progress


class Join:
    """Yielded by a script: resume when all these tasks have ended."""

    __slots__ = ("tasks",)

    def __init__(self, tasks: list[Task]) -> None:
        self.tasks = tasks


Script = Generator[Run | Join, Any, Any]


class Task:
    """A spawned script: its result once it is `done`."""

    __slots__ = ("done", "result", "script", "waits_for")

    def __init__(self, script: Script) -> None:
        self.script = script
        self.waits_for: Run | Join | None = None
        self.done = False
        self.result: Any = None


CallItem = ev.FunctionCall | ev.CustomToolCall | ev.LocalShellCall | ev.ToolSearchCall
Serve = Callable[["Turn", CallItem], Script]
"""Gives the script of a call; its result is the output for the model (`ev.OutputBody`), or None for none at all; of a
search for tools, the tools (`msgspec.Raw`)."""


class Call:
    """A call of the current reply and the script that serves it."""

    __slots__ = ("parallel", "task")

    def __init__(self, task: Task, parallel: bool) -> None:
        self.task = task
        self.parallel = parallel
        """Whether it may run at the same time as others that may."""


class PatchFollower(Protocol):
    """Reads a patch while the model writes it; times in seconds. Gives the changes when clients are to hear of them."""

    def feed(self, now: float, delta: str) -> dict[str, ev.FileChange] | None:
        """Take another piece."""

    def flush(self) -> dict[str, ev.FileChange] | None:
        """The patch is complete: what was held back."""


class Turn:
    """What a script sees of its turn: emit, spawn, pending input, time and ids."""

    def __init__(
        self,
        turn_id: str,
        ids: Iterator[str],
        now: datetime,
        usage: Usage,
        jitter: Iterator[float],
        serve: Serve,
        parallel: Callable[[CallItem], bool] = lambda _: True,
    ) -> None:
        self.id = turn_id
        self.ids = ids
        self.usage = usage
        """Usage and limits as this turn has counted them so far."""
        self.serve = serve
        self.parallel = parallel
        """Whether a call may run at the same time as others that may; one that may not runs alone."""
        self.jitter = jitter
        """Factors around 1 for delays between retries."""
        self.now = now
        self.started = now
        self.pending: list[Submission] = []
        """Input that came while a reply was streaming."""
        self.told: list[ev.Message] = []
        """What the model is to be told after the current step."""
        self.unheard = False
        """Whether the turn has to go on so that the model hears of it."""
        self.calls: list[Call] = []
        """Calls of the current reply whose outputs are not recorded yet, in call order."""
        self.first_token_ms: int | None = None
        """Milliseconds from the start to the first output of the model."""
        self.client_metadata: dict[str, str] | None = None
        """What the client said about the turn, or with the last input that said something; for requests from then on,
        but not for another attempt at an earlier one (observed)."""
        self.turn_state: str | None = None
        """What the server wants echoed on the later requests of this turn (spec turns 4.2)."""
        self.rerouted = False
        """Whether the user was told that another model answers."""
        self.follow_patch: Callable[[], PatchFollower] | None = None
        """Makes a follower for each patch, when clients are to see patches grow."""
        self.beside: list[ev.ResponseItem] = []
        """What the model is told right before the next recorded outputs."""
        self.diff: str | None = None
        """What the turn has changed in files so far, as clients see it; None if nothing."""
        self._interrupted_by: ev.AbortReason | None = None
        self._effects: list[Effect] = []
        self._spawned: list[Task] = []

    @property
    def elapsed_ms(self) -> int:
        """Milliseconds since the turn started."""
        return max(0, round((self.now - self.started).total_seconds() * 1000))

    def emit(self, event: ev.Body) -> None:
        """Say that something happened."""
        self._effects.append(Emit(event))

    def count(self, usage: Usage) -> None:
        """Usage or limits have changed."""
        self.usage = usage
        self.emit(usage.line())

    def finish(self, outcome: str) -> None:
        """Say that the turn is over; nothing may be emitted after it."""
        self._effects.append(Finish(outcome))

    def tell_model(self) -> None:
        """Record what the model is to be told."""
        told, self.told = self.told, []
        for message in told:
            self.emit(message)

    def tell_beside(self) -> None:
        """Record what the model is told beside outputs now."""
        beside, self.beside = self.beside, []
        for item in beside:
            self.emit(item)

    def interrupt(self) -> None:
        """End the turn as if the user had interrupted it; takes effect when the current step is through."""
        self._interrupted_by = "interrupted"

    def show_diff(self) -> None:
        """Tell clients again what the turn has changed, if anything."""
        if self.diff is not None:
            self.emit(ev.TurnDiff(unified_diff=self.diff))

    def spawn(self, script: Script) -> Task:
        """Run another script beside this one; it starts before the current step ends."""
        task = Task(script)
        self._spawned.append(task)
        return task


class Machine:
    """Runs one turn. `start()` gives the first effects, `feed()` those of each input."""

    def __init__(self, turn: Turn, main: Callable[[Turn], Script]) -> None:
        self._turn = turn
        self._main = Task(main(turn))
        self._tasks: list[Task] = []
        self._open: dict[int, Task] = {}
        self._next_key = 0

    @property
    def done(self) -> bool:
        """Whether the turn has finished."""
        return self._main.done

    @property
    def pending(self) -> tuple[Submission, ...]:
        """Input that the model has not seen yet."""
        return tuple(self._turn.pending)

    def start(self) -> list[Effect]:
        """Run up to the first waits."""
        self._resume(self._main, None, None)
        return self._settle()

    def feed(self, given: Input) -> list[Effect]:
        """Take one input, answer with what has to happen."""
        self._turn.now = given.now
        if self.done:
            return []
        match given:
            case Steer(input=user):
                self._turn.pending.append(user)
                if user.client_metadata is not None:
                    self._turn.client_metadata = user.client_metadata
            case Inject(message=message, prolongs=prolongs):
                self._turn.told.append(message)
                self._turn.unheard = self._turn.unheard or prolongs
            case Interrupt(reason=reason):
                self._interrupt(reason)
            case Progress(key=key, data=data):
                self._progress(key, data)
            case Done(key=key, result=result, error=error):
                task = self._open.pop(key, None)
                if task is not None:
                    self._resume(task, result, error)
        return self._settle()

    def _progress(self, key: int, data: object) -> None:
        task = self._open.get(key)
        if task is not None and isinstance(task.waits_for, Run) and task.waits_for.on_progress is not None:
            task.waits_for.on_progress(data)

    def _interrupt(self, reason: ev.AbortReason) -> None:
        for key in self._open:
            self._turn._effects.append(Cancel(key))
        self._open.clear()
        for task in [*self._tasks, self._main]:
            if not task.done:
                self._resume(task, None, Interrupted(reason))

    def _settle(self) -> list[Effect]:
        """Start what was spawned, wake what can go on, until everything waits for a key."""
        moved = True
        while moved:
            moved = False
            if self._turn._interrupted_by is not None and not self.done:
                reason, self._turn._interrupted_by = self._turn._interrupted_by, None
                self._interrupt(reason)
            spawned, self._turn._spawned = self._turn._spawned, []
            for task in spawned:
                self._tasks.append(task)
                self._resume(task, None, None)
                moved = True
            for task in [self._main, *self._tasks]:
                if isinstance(task.waits_for, Join) and all(each.done for each in task.waits_for.tasks):
                    self._resume(task, None, None)
                    moved = True
        self._tasks = [task for task in self._tasks if not task.done]
        effects, self._turn._effects = self._turn._effects, []
        if self.done:
            effects.extend(Cancel(key) for key in self._open)
            self._open.clear()
        return effects

    def _resume(self, task: Task, value: object, error: Exception | None) -> None:
        task.waits_for = None
        try:
            wait = task.script.throw(error) if error is not None else task.script.send(value)
        except StopIteration as stop:
            task.done, task.result = True, stop.value
            return
        task.waits_for = wait
        if isinstance(wait, Run):
            self._next_key += 1
            self._open[self._next_key] = task
            self._turn._effects.append(Start(self._next_key, wait.op))
