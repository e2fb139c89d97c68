"""One loaded thread: its inbox, its log and state, and the turn that runs in it.

One task owns a thread: everything that changes it goes through the inbox and runs there, in order; everybody else
reads snapshots. A step of the turn machine becomes one write, then a fold, then notifications; operations run
beside the owner and report into the inbox. Nothing here decides what a turn does (`engine.turn`) or what clients
hear (`engine.publish`).
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Literal, Protocol, TypeVar
from uuid import uuid4

import anyio
import msgspec
from anyio.abc import TaskGroup

from engine.approvals import Grants, Judge
from engine.calls.toolbox import Toolbox
from engine.clock import Clock, jitter
from engine.context.environment import user_shell
from engine.errands import Errands
from engine.errors import BadRequest, EngineError
from engine.inbox import Action, Answer, Inbox
from engine.journal import Journal
from engine.kept import Kept
from engine.leftovers import Leftovers
from engine.mcp_operations import ThreadServers
from engine.notes import Sink
from engine.operations import Operations
from engine.overlay import Overlay
from engine.patch.stream import PatchStream
from engine.patch.turn_diff import TurnDiff
from engine.processes.store import Store
from engine.publish import Scene, notifications, status_note
from engine.restore import Restorer
from engine.settings import Settings
from engine.storage import Place, Storage
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
    Submission,
)
from engine.turn.machine import Machine, Script, Turn
from engine.turn.ops import Op
from engine.turn.setup import TurnSetup
from engine.workspaces import Workspaces
from rollouts import events as ev
from rollouts.log import LogError

T = TypeVar("T")
TurnKind = Literal["regular", "compact", "review", "shell"]
logger = logging.getLogger(__name__)


class Spawner(Protocol):
    """Runs threads for threads; what a turn needs from above."""

    async def review(self, parent: Thread, prompt: Submission, report: Callable[[object], None]) -> str | None:
        """Run a reviewer and return its last message."""


class Thread(Kept):
    """A loaded thread. `run()` is its owner task; it ends when `close()` is called."""

    def __init__(
        self,
        thread_id: str,
        place: Place | None,
        journal: Journal,
        settings: Settings,
        *,
        operations: Operations,
        sink: Sink,
        clock: Clock,
        storage: Storage,
        restorer: Restorer,
        spawner: Spawner,
    ) -> None:
        super().__init__(thread_id, place, journal, storage, restorer)
        self.first_settings = settings
        """Those the thread was loaded with."""
        self.settings = settings
        """For the next turn; a running turn keeps those it began with."""
        self.turn_settings = settings
        self.overlay = Overlay()
        self.usage = journal.state.usage.restored()
        """Usage as the session counts it; limits are those heard of in this process."""
        self.elicitations = 0
        """Questions that clients ask the user outside of this protocol and wait for."""
        self.workspaces = Workspaces()
        self.grants = Grants()
        self.watch: Callable[[ev.Body], None] | None = None
        """Hears every event, for whoever runs this thread as a part of another one."""
        self.spawner = spawner
        self.diffs: tuple[str, TurnDiff] | None = None
        """What the turn of this id has changed in files."""
        self.mcp = ThreadServers(self)
        self.turn_metadata = "{}"
        """JSON of the turn metadata of the last request to the model (spec turns 4.3)."""
        self._store: Store | None = None
        self._operations = operations
        self._sink = sink
        self.clock = clock
        self._ids = (str(uuid4()) for _ in itertools.count())
        self._internal = itertools.count(1)
        self._inbox = Inbox()
        self.post = self._inbox.post
        self._machine: Machine | None = None
        self.kind: TurnKind | None = None
        """What kind of turn runs; None when none does."""
        self._told: list[ev.Message] = []
        self.asides: set[anyio.CancelScope] = set()
        """Commands of the user that run beside the turn: an interrupt ends them too."""
        self._turn_id = ""
        """Id of the running or the last turn."""
        self.leftovers = Leftovers()
        self._later: list[Action] = []
        self._interrupts: list[Callable[[], None]] = []
        self._tasks: TaskGroup | None = None
        self.from_log = True
        """Whether what the model was told is known from the log alone: since the thread was loaded or rolled back."""
        self.reasoning_included = False
        """Whether the provider has said that it counts the reasoning of earlier turns."""
        self.inherited_compactions = 0
        """Of the source of a fork: until a restart the windows of requests are counted from there."""
        self._over = anyio.Event()

    # -- asked by others

    @property
    def running(self) -> bool:
        """Whether a turn is open."""
        return self._machine is not None

    @property
    def turn_id(self) -> str | None:
        """Id of the open turn; that of a review goes by the review, not by its reviewer."""
        return self._turn_id if self._machine is not None else None

    @property
    def context(self) -> ev.TurnContext | None:
        """What the model was last told about its surroundings; None: it needs to be told everything."""
        window = self.journal.state.window
        return window.context_from_log if self.from_log else window.context

    @property
    def processes(self) -> Store:
        """The background commands of the thread."""
        assert self._store is not None  # made when the owner starts
        return self._store

    async def ask(self, action: Callable[[], Awaitable[T]]) -> T:
        """Let the owner run `action`; its result or its error is the caller's.

        :raises BadRequest: the thread was closed meanwhile.
        """
        if self._inbox.closed:
            raise BadRequest(f"thread not found: {self.id}")
        return await self._inbox.ask(action)

    def interrupt(self, answered: Callable[[], None]) -> None:
        """End the running turn; `answered` is called when it has ended, before clients hear of it.

        Without a running turn it is called at once (the reference would not answer).
        """

        async def interrupted() -> None:
            if self._machine is None:
                answered()
                return
            self._interrupts.append(answered)
            await self._interrupt("interrupted")

        self.post(interrupted)

    async def close(self) -> None:
        """End the owner after what is already posted; a running turn is interrupted first."""
        self.interrupt(self._close)
        await self._over.wait()

    def _close(self) -> None:
        if self._store is not None:
            self._store.tell_ends()
        self._inbox.close()

    # -- the owner

    async def run(self) -> None:
        """Own the thread until `close()`."""
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                self._errands = Errands(tasks)
                self._store = Store(tasks)
                self.mcp.start(tasks)
                tasks.start_soon(self._operations.opened, self)
                if not self.journal.state.complete:
                    self.beside(self.complete)
                async for action in self._inbox:
                    await self._act(action)
                await self._act(lambda: self._interrupt("interrupted"))  # a turn that was asked for meanwhile
                await self._act(self._put_down)
                await self.processes.clean()
                tasks.cancel_scope.cancel()
            await self._operations.closed(self)
            self.journal.log.close()
        finally:
            self._inbox.close()
            self._over.set()

    async def _act(self, action: Action) -> None:
        try:
            await action()
        except EngineError as error:
            self._cut_off(error.message)
        except LogError as error:
            self._cut_off(f"failed to write the session file: {error}")
        except Exception:
            logger.exception("thread %s: a bug; its turn fails, the thread stays", self.id)
            self._cut_off("internal error")

    async def replace(self) -> None:
        """End the turn that runs, if one does, in favour of another one, which begins in any case. Owner only."""
        await self._act(lambda: self._interrupt("replaced"))

    async def _interrupt(self, reason: ev.AbortReason) -> None:
        await self.feed(Interrupt(self.clock.now(), reason))
        for scope in self.asides:
            scope.cancel()

    async def _put_down(self) -> None:
        """Nothing is lost with the thread that waits for a turn."""
        left = self.leftovers.take(None)
        lines: list[ev.Body] = []
        for user in left:
            lines += [*user.messages, user.shown]
        if lines:
            self.record(lines)

    def after_turn(self, action: Action) -> None:
        """Run `action` when the running turn is over. Owner only."""
        self._later.append(action)

    async def start(
        self,
        turn_id: str,
        settings: Settings,
        kind: TurnKind,
        setup: Callable[[], TurnSetup],
        main: Callable[[Turn, TurnSetup], Script],
    ) -> None:
        """Run a turn with these settings. Owner only; no turn may be open.

        :param setup: made here, so that one that fails is a failure of this turn.
        """
        self.kind = kind
        self._turn_id = turn_id
        given = setup()
        self.from_log = self.from_log and self.context is None  # what is known now stays known
        self.mcp.refresh()
        self.turn_settings = settings
        assert self._tasks is not None  # made when the owner starts
        self.workspaces.look(settings.cwd, self._tasks)
        tools = self._toolbox(settings)
        turn = Turn(turn_id, self._ids, self.clock.now(), self.usage, jitter(), tools.serve, tools.parallel)
        if settings.config.feature("apply_patch_streaming_events"):
            turn.follow_patch = PatchStream
        turn.told, self._told = self._told, []
        self._machine = Machine(turn, lambda turn: main(turn, given))
        await self._carry_out(self._machine.start())

    def catch_up(self) -> None:
        """Take in what other programs wrote to the session, if no turn runs (design rule 11)."""
        if not self.running:
            self.journal.catch_up()
            self.usage = msgspec.structs.replace(self.usage, info=self.journal.state.usage.info)

    def _toolbox(self, settings: Settings) -> Toolbox:
        return Toolbox(self.id, settings, Judge(settings, self.grants), user_shell(), self.mcp)

    async def tell_model(self, message: ev.Message) -> None:
        """Let the model hear of something in the running turn's next step, or in that of the next turn. Owner only."""
        if self._machine is None:
            self._told.append(message)
        else:
            await self.feed(Inject(self.clock.now(), message))

    async def feed(self, given: Input) -> None:
        """Give the running turn an input. Owner only; without a turn it is dropped."""
        if self._machine is not None:
            await self._carry_out(self._machine.feed(given))

    def record(self, events: Iterable[ev.Body], submission_id: str | None = None) -> None:
        """Things that happened to the thread: write, fold, publish. Owner only.

        :param submission_id: takes the place of the turn id in what clients hear, outside of a turn.
        """
        told = list(events)
        self.journal.append(told)
        self._publish(told, submission_id)

    def refuse(self, error: ev.ErrorEvent, submission_id: str) -> None:
        """Clients hear that a submission was no good; a turn that runs is none the worse for it."""
        for note in notifications(error, Scene(self.id, submission_id, self.overlay)):
            self._sink.publish(note)

    async def _carry_out(self, effects: list[Effect]) -> None:
        events = [effect.event for effect in effects if isinstance(effect, Emit)]
        finish = any(isinstance(effect, Finish) for effect in effects)
        compacted = any(isinstance(event, ev.Compacted) for event in events)
        self.journal.append(events)
        if finish:
            await anyio.to_thread.run_sync(self.journal.sync)
            *events, end = events
            self._publish(events)
            self._over_with_turn()
            events = [end]
        self._publish(events)
        for effect in effects:
            if isinstance(effect, Start):
                self._start_operation(effect.key, effect.op)
            elif isinstance(effect, Cancel):
                self._errands.cancel(effect.key)
        if finish or compacted:
            self.keep()

    def internal_id(self) -> str:
        """Id of context that no turn wrote (spec rollout-format 5)."""
        return f"auto-compact-{next(self._internal)}"

    def _start_operation(self, key: int, op: Op) -> None:
        asked_by = self._machine

        async def feed(given: Input) -> None:
            if self._machine is asked_by:  # what comes late must not meet a key of the next turn
                await self.feed(given)

        def report(data: object) -> None:
            given = Progress(self.clock.now(), key, data)
            self.post(lambda: feed(given))

        def done(result: object, failed: Exception | None) -> None:
            given = Done(self.clock.now(), key, result, failed)
            self.post(lambda: feed(given))

        self._errands.start(key, lambda: self._operations.run(self, op, report), done)

    def beside(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run something of the thread's own beside its turns; it ends with the thread. What it raises is logged."""
        assert self._tasks is not None

        async def contained() -> None:
            try:
                await work()
            except Exception:
                logger.exception("thread %s: something beside its turns failed", self.id)

        self._tasks.start_soon(contained)

    def tell(self, *events: ev.Body) -> None:
        """Let the owner record events of the thread that no turn step emits, such as output of a background process."""

        async def record() -> None:
            self.record(events)

        self.post(record)

    async def question(self, method: str, params: msgspec.Struct) -> msgspec.Struct:
        """Ask the clients of the thread; withdrawn when the caller is cancelled."""
        answer: Answer[msgspec.Struct] = Answer()
        number = self._sink.ask(self.id, method, params, answer.set)
        try:
            return await answer.wait()
        except anyio.get_cancelled_exc_class():
            self._sink.withdraw(number)
            raise

    def _publish(self, events: Iterable[ev.Body], submission_id: str | None = None) -> None:
        for event in events:
            if isinstance(event, ev.TokenCount):
                self.usage = self.usage.apply(event)
            if self.watch is not None:
                self.watch(event)
            before = self.overlay.status
            self.overlay.apply(event)
            if self.overlay.status != before:
                self._sink.publish(status_note(self.id, self.overlay.status))
            for note in notifications(event, Scene(self.id, submission_id or self._turn_id, self.overlay)):
                self._sink.publish(note)

    def _over_with_turn(self) -> None:
        if self._machine is not None:
            self.leftovers.keep(self._machine.pending)
        self._machine = None
        self.kind = None
        self.mcp.turn_over()
        later, self._later = self._later, []
        for action in later:
            self.post(action)
        answered, self._interrupts = self._interrupts, []
        for answer in answered:
            answer()

    def _cut_off(self, reason: str) -> None:
        """The log refused or we have a bug: end the turn for clients without touching the log again."""
        if self.kind is not None and self.overlay.open_turn_id is None:
            self._publish([ev.TaskStarted(turn_id=self._turn_id)])
        self._over_with_turn()
        self._errands.cancel_all()
        sayable = reason.encode(errors="replace").decode()  # the name of a file may be no text
        self._publish([ev.ErrorEvent(message=sayable, codex_error_info="other")])
        if self.overlay.open_turn_id is not None:
            now = int(self.clock.now().timestamp())
            self._publish([ev.TaskComplete(turn_id=self._turn_id, last_agent_message=None, completed_at=now)])
