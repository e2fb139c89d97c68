"""The loaded threads of a process and the ways a thread comes to be loaded: start, resume, fork.

Answers are published types, ready to send. What clients must hear before or after an answer is returned beside it,
so that the adapter can keep the reference's order without deciding anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import anyio
import msgspec
from anyio.abc import TaskGroup

from engine import children, notices, settings_forms
from engine import settings as configured
from engine.builder import Builder, failed_to_load, stored
from engine.clock import Clock, timestamp
from engine.commands.rules import RulesUnreadable, load_rules
from engine.config import rule_folders
from engine.errors import BadRequest, Internal
from engine.forks import copied_lines, is_large, refer
from engine.index import Index
from engine.instructions import discover
from engine.journal import Journal
from engine.locks import Locks
from engine.mcp.errors import McpFailed
from engine.notes import Everyone, Nobody, Notification, Sink
from engine.operations import Operations
from engine.publish import status_note
from engine.response_items import parse_items
from engine.restore import History, Restorer
from engine.rollout_files import Opened, Unreadable, check_thread_id
from engine.settings import Settings
from engine.storage import Storage
from engine.thread import Thread
from engine.turn.effects import Submission
from engine.views import joined_turns, published, replay
from projections import protocol as p
from rollouts import events as ev
from rollouts.layout import Home


class Client(msgspec.Struct, frozen=True):
    """Who asks: the connection and the originator of threads it starts."""

    connection_id: int
    originator: str


class Answer(msgspec.Struct, frozen=True):
    """The answer to start, resume or fork, and what follows it on the wire, in order."""

    thread_id: str
    result: p.ThreadStartResponse | p.ThreadResumeResponse | p.ThreadForkResponse
    then: tuple[Notification, ...] = ()


class Threads:
    """The loaded threads."""

    def __init__(
        self,
        *,
        layout: Home,
        index: Index,
        storage: Storage,
        operations: Operations,
        sink: Sink,
        clock: Clock,
        tasks: TaskGroup,
        flags: Mapping[str, object],
        cwd: Path,
    ) -> None:
        self.layout = layout
        self.index = index
        self.storage = storage
        self.restorer = Restorer(index.derived)
        self.clock = clock
        self.flags = flags
        self.cwd = cwd
        self.sink = sink
        self._builder = Builder(
            layout=layout,
            storage=storage,
            restorer=self.restorer,
            operations=operations,
            spawner=self,
            sink=sink,
            clock=clock,
            flags=flags,
            cwd=cwd,
        )
        self._tasks = tasks
        self._loaded: dict[str, Thread] = {}
        self._opening = Locks()

    # -- what is loaded

    def ids(self) -> list[str]:
        """Ids of the loaded threads."""
        return list(self._loaded)

    def loaded(self, thread_id: str) -> Thread | None:
        """The thread if it is loaded."""
        return self._loaded.get(thread_id)

    def get(self, thread_id: str) -> Thread:
        """The loaded thread.

        :raises BadRequest: a malformed id, or no such thread is loaded.
        """
        thread = self._loaded.get(check_thread_id(thread_id))
        if thread is None:
            raise BadRequest(f"thread not found: {thread_id}")
        return thread

    def status(self, thread_id: str) -> p.ThreadStatus:
        """The live status of a thread."""
        thread = self._loaded.get(thread_id)
        return thread.overlay.status if thread is not None else p.NotLoadedThreadStatus()

    async def unload(self, thread_id: str) -> None:
        """Forget an idle thread nobody listens to; every client hears of it."""
        thread = self._loaded.get(thread_id)
        if thread is None:
            return
        async with self.opening(thread_id):
            if self._loaded.get(thread_id) is not thread:
                return
            self.drop(thread_id)
            await thread.close()
            self.sink.publish(status_note(thread_id, p.NotLoadedThreadStatus()))
            closed = p.ThreadClosedNotification(thread_id=thread_id)
            self.sink.publish(Notification("thread/closed", closed, Everyone()))

    def opening(self, thread_id: str) -> anyio.Lock:
        """Held while a stored thread is loaded or put away, so that neither happens in the middle of the other."""
        return self._opening.of(thread_id)

    def drop(self, thread_id: str) -> None:
        """Take a thread off the list; its owner ends it."""
        self._loaded.pop(thread_id, None)

    async def drain(self) -> None:
        """Return when no turn runs any more."""
        while any(thread.running for thread in self._loaded.values()):
            await anyio.sleep(0.02)

    async def close(self) -> None:
        """Interrupt what runs and close all logs."""
        async with anyio.create_task_group() as closing:  # each may take a while to end its commands
            for thread in self._loaded.values():
                closing.start_soon(thread.close)
        self._loaded.clear()

    # -- start

    async def start(self, params: p.ThreadStartParams, client: Client) -> Answer:
        """A new thread. Its file appears with the first thing that happens to it."""
        settings = self._builder.settings(params, client.originator)
        thread = await self._builder.new(settings)
        await self._load_ready(thread, "creating", new=True)
        shown = published(thread, self.index)
        result = p.ThreadStartResponse(thread=shown, **settings_forms.response_fields(settings))
        return Answer(thread.id, result, (notices.started(shown), *notices.warnings(thread)))

    @property
    def warm(self) -> bool:
        """Whether the reference would answer a read from its index."""
        return self.index.warm

    def _load(self, thread: Thread) -> Thread:
        self._loaded[thread.id] = thread
        self.index.warm = True
        self._tasks.start_soon(thread.run)
        return thread

    async def _load_ready(self, thread: Thread, doing: str, *, new: bool) -> None:
        """Load a thread unless its rules cannot be read or an MCP server that it requires does not start; waits for
        none but those.

        :raises Internal: one failed; nothing is left of a new thread
        """
        self._load(thread)
        try:
            thread.grants.rules = load_rules(*rule_folders(thread.settings.config))
            await thread.mcp.required()
        except (RulesUnreadable, McpFailed) as error:
            self.drop(thread.id)
            await thread.close()
            if new and thread.path is not None:
                thread.path.unlink(missing_ok=True)
            what = (
                f"Failed to initialize session: {error.text}"
                if isinstance(error, McpFailed)
                else f"failed to load rules: {error}"
            )
            raise Internal(f"error {doing} thread: Fatal error: {what}") from error

    # -- resume

    async def resume(self, params: p.ThreadResumeParams, client: Client) -> Answer:
        """Load a stored thread, or join a loaded one (spec thread-lifecycle 3).

        A loaded one whose log was cut, moved or replaced is loaded anew from what is there now.
        """
        configured.check(params)
        self.index.warm = True
        if params.history is not None:
            return await self._resume_history(params, params.history, client)
        if params.path is not None:
            self._check_active_path(params.thread_id, configured.absolute(params.path, self.cwd))
        source = self._builder.source(params.thread_id, params.path)
        source.check_first()
        async with self.opening(source.meta.id):
            thread = self._loaded.get(source.meta.id)
            if thread is not None and _lost(thread):
                self.drop(thread.id)
                await thread.close()
                thread = None
            if thread is None and not source.moved:
                return await self._resume_cold(source, params, client)
        if thread is None:  # put away while we waited
            return await self.resume(params, client)
        if params.path is not None:
            self._check_active_path(thread.id, source.place.path)
        return await self._rejoin(thread, params, client)

    def _check_active_path(self, thread_id: str, path: Path | None) -> None:
        """A loaded thread cannot be resumed from another file than its own, as long as it has that."""
        thread = self._loaded.get(thread_id)
        if thread is not None and thread.path != path and not _lost(thread):
            raise BadRequest(
                f"cannot resume running thread {thread_id} with mismatched path: "
                f"requested `{path}`, active `{thread.path}`"
            )

    async def _resume_cold(self, source: Opened, params: p.ThreadResumeParams, client: Client) -> Answer:
        thread = self._builder.stored(source, params, client.originator)
        state = thread.journal.state
        answer = await self._resumed(thread, params, client)
        answer = msgspec.structs.replace(answer, then=(*answer.then, *notices.warnings(thread)))
        recorded = state.window.previous_context
        if recorded is not None and recorded.model != thread.settings.model:
            answer = msgspec.structs.replace(answer, then=(*answer.then, notices.other_model(thread, recorded.model)))
        await self._load_ready(thread, "resuming", new=False)
        self.sink.publish(status_note(thread.id, thread.overlay.status))
        return answer

    async def _rejoin(self, thread: Thread, params: p.ThreadResumeParams, client: Client) -> Answer:
        """Join a loaded thread: the live settings count, whatever the request says."""
        if thread.ephemeral or not thread.journal.written:
            raise BadRequest(f"no rollout found for thread id {thread.id}")
        thread.catch_up()
        return await self._resumed(thread, params, client)

    async def _resumed(self, thread: Thread, params: p.ThreadResumeParams, client: Client) -> Answer:
        fields = settings_forms.response_fields(thread.settings)
        fields["instruction_sources"] = list(discover(thread.settings.config, thread.settings.cwd).sources)
        turns: list[p.Turn] = []
        then: tuple[Notification, ...] = ()
        if not params.exclude_turns:
            found = await self._history(thread)
            turns = joined_turns(found, thread)
            then = tuple(replay(thread, found, client.connection_id))
        shown = published(thread, self.index, turns, opening=True)
        return Answer(thread.id, p.ThreadResumeResponse(thread=shown, **fields), then)

    async def _resume_history(self, params: p.ThreadResumeParams, history: list[msgspec.Raw], client: Client) -> Answer:
        """A new thread that begins with the given items."""
        items = parse_items(history, "Invalid request: {1}")
        if self._loaded.get(params.thread_id) is not None:
            raise BadRequest(f"cannot resume thread {params.thread_id} with history while it is already running")
        if not history:
            raise BadRequest("history must not be empty")
        settings = self._builder.settings(params, client.originator)
        thread = await self._builder.new(settings)
        thread.journal.append(items)
        await self._load_ready(thread, "resuming", new=True)
        self.sink.publish(status_note(thread.id, thread.overlay.status))
        shown = published(thread, self.index, opening=True)
        return Answer(thread.id, p.ThreadResumeResponse(thread=shown, **settings_forms.response_fields(settings)))

    # -- fork

    async def fork(self, params: p.ThreadForkParams, client: Client) -> Answer:
        """A new thread with the history of another one (spec thread-lifecycle 4)."""
        configured.check(params)
        source = self._fork_source(params)
        settings = self._builder.settings(params, client.originator, stored(source.meta, None))
        settings = msgspec.structs.replace(settings, originator=client.originator, source="vscode")
        thread = await self._builder.new(settings, forked_from=source.meta.id)
        if source.moved:  # meanwhile
            source = self._fork_source(params)
        try:
            if is_large(source.log):
                now = timestamp(self.clock.now())
                thread.journal = refer(thread.journal, self._known(source), self.storage, self.restorer, now)
            else:
                thread.journal.append(copied_lines(source.log))
        except Unreadable as error:
            raise failed_to_load(error) from error
        thread.usage = thread.journal.state.usage.restored()
        thread.inherited_compactions = thread.journal.state.window.compactions
        await self._load_ready(thread, "forking", new=True)
        turns: list[p.Turn] = []
        then: tuple[Notification, ...] = ()
        if not params.exclude_turns:
            copied = await self._history(thread)
            turns = joined_turns(copied, thread)
            then = tuple(replay(thread, copied, client.connection_id))
        shown = published(thread, self.index, turns, opening=True, named=False)
        result = p.ThreadForkResponse(thread=shown, **settings_forms.response_fields(settings))
        return Answer(thread.id, result, (*then, notices.started(shown), *notices.warnings(thread)))

    def _known(self, source: Opened) -> Journal:
        """What is known of a stored thread, live or not."""
        thread = self._loaded.get(source.meta.id)
        if thread is not None and thread.place == source.place:
            thread.catch_up()
            return thread.journal
        return self._builder.journal(source, extended=False)

    def _fork_source(self, params: p.ThreadForkParams) -> Opened:
        if params.path is None:
            loaded = self._loaded.get(check_thread_id(params.thread_id))
            if loaded is not None and (loaded.ephemeral or not loaded.journal.written):
                raise BadRequest(f"no rollout found for thread id {params.thread_id}")
        return self._builder.source(params.thread_id, params.path)

    # -- threads of threads

    async def review(self, parent: Thread, prompt: Submission, report: Callable[[object], None]) -> str | None:
        """Run a reviewer for a thread and return its last message."""
        settings = children.reviewer(parent)
        child = await self._child(parent, settings, "review")
        return await children.run(child, self.layout.new_id(self.clock.now()), prompt, report, self.clock)

    async def _child(self, parent: Thread, settings: Settings, relation: ev.ChildRelation) -> Thread:
        """A thread of a thread, with a log of its own; nobody is subscribed to it, so it asks nobody."""
        child = await self._builder.new(settings, sink=Nobody())
        child.grants.rules = parent.grants.rules
        parent.tell(ev.ChildThread(turn_id=parent.overlay.open_turn_id, thread_id=child.id, relation=relation))
        self._tasks.start_soon(child.run)
        return child

    # -- parts

    async def _history(self, thread: Thread) -> History:
        try:
            return await thread.history()
        except Unreadable as error:
            raise failed_to_load(error) from error


def _lost(thread: Thread) -> bool:
    """Whether the log of an idle thread is no longer what it was: it is to be loaded anew."""
    return not thread.running and thread.journal.lost
