"""How a thread is put together: a new one from its settings, a stored one from its rollout. Loads and starts none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from engine import git, settings_forms
from engine import settings as configured
from engine.clock import Clock, timestamp
from engine.errors import BadRequest
from engine.index import Entry
from engine.journal import Journal
from engine.notes import Sink
from engine.operations import Operations
from engine.restore import Restorer
from engine.rollout_files import Opened, Unreadable, check_thread_id, open_rollout
from engine.settings import Settings, StartParams, Stored
from engine.storage import Place, Storage
from engine.thread import Spawner, Thread
from projections import catalog
from projections.session import SessionState
from rollouts import events as ev
from rollouts.layout import Home
from rollouts.log import Log, MemoryLog


class Builder:
    """Puts threads together."""

    def __init__(
        self,
        *,
        layout: Home,
        storage: Storage,
        restorer: Restorer,
        operations: Operations,
        spawner: Spawner,
        sink: Sink,
        clock: Clock,
        flags: Mapping[str, object],
        cwd: Path,
    ) -> None:
        self._layout = layout
        self._storage = storage
        self._restorer = restorer
        self._operations = operations
        self._spawner = spawner
        self._sink = sink
        self._clock = clock
        self._flags = flags
        self._cwd = cwd

    # -- new

    def settings(self, params: StartParams, originator: str, stored: Stored | None = None) -> Settings:
        """What a start, resume or fork chooses, over what is stored and what is configured.

        :raises BadRequest: parameters or a configuration that cannot be used.
        """
        config = configured.configure(self._layout.path, self._flags, params, self._cwd, stored)
        return configured.start(params, config, originator, stored)

    async def new(self, settings: Settings, *, forked_from: str | None = None, sink: Sink | None = None) -> Thread:
        """A thread with an id of its own and nothing in its log. Its file appears with the first thing that happens.

        :param sink: who hears of it instead of the clients
        """
        created = self._clock.now()
        thread_id = self._layout.new_id(created)
        found = await git.info(settings.cwd)
        meta = settings_forms.session_meta(settings, thread_id, timestamp(created), found, forked_from=forked_from)
        place: Place | None = None
        log: Log = MemoryLog()
        if not settings.ephemeral:
            place, log = self._storage.create(thread_id, created)
        path = str(place.path) if place and place.path else ""
        row = msgspec.structs.replace(catalog.apply(catalog.EMPTY, meta), path=path)
        journal = Journal(
            log, SessionState(), meta, Entry(row), self._clock, extended=settings.persist_extended, unwritten=True
        )
        return self._thread(thread_id, place, journal, settings, sink or self._sink)

    # -- stored

    def source(self, thread_id: str, path: str | None) -> Opened:
        """The rollout a resume or fork names: by path, else by id among those that are not archived.

        :raises BadRequest: there is none, or it cannot be used.
        """
        wanted = check_thread_id(thread_id) if path is None else ""
        found = self._storage.find(wanted) if path is None else self._storage.at(configured.absolute(path, self._cwd))
        if found is None:
            raise BadRequest(f"no rollout found for thread id {wanted}")
        try:
            return open_rollout(self._storage, found)
        except Unreadable as error:
            raise failed_to_load(error, path) from error

    def journal(self, source: Opened, *, extended: bool) -> Journal:
        """Log and state of a stored thread, from its checkpoint or its tail.

        :raises BadRequest: it cannot be used.
        """
        entry = self._storage.entry(source.place) or Entry(catalog.apply(catalog.EMPTY, source.meta))
        try:
            state = self._restorer.open(source)
        except Unreadable as error:
            raise failed_to_load(error) from error
        return Journal(source.log, state, source.meta, entry, self._clock, extended=extended)

    def stored(self, source: Opened, params: StartParams, originator: str) -> Thread:
        """A stored thread as a resume with these parameters goes on with it.

        :raises BadRequest: parameters, a configuration or a rollout that cannot be used.
        """
        journal = self.journal(source, extended=params.persist_extended_history)
        settings = self.settings(params, originator, stored(source.meta, journal.state.window.previous_context))
        return self._thread(source.meta.id, source.place, journal, settings, self._sink)

    def _thread(self, thread_id: str, place: Place | None, journal: Journal, settings: Settings, sink: Sink) -> Thread:
        return Thread(
            thread_id,
            place,
            journal,
            settings,
            operations=self._operations,
            sink=sink,
            clock=self._clock,
            storage=self._storage,
            restorer=self._restorer,
            spawner=self._spawner,
        )


def stored(meta: ev.SessionMeta, last: ev.TurnContext | None) -> Stored:
    """What a session says of its settings: how it began, and with which its last turn ran."""
    return Stored(
        cwd=Path(meta.cwd),
        base_instructions=meta.base_instructions.text if meta.base_instructions else None,
        last=last,
        dynamic_tools=meta.dynamic_tools,
        originator=meta.originator,
        source=meta.source,
    )


def failed_to_load(error: Unreadable, named: str | None = None) -> BadRequest:
    """The refusal of a rollout that cannot be used; `named` is the path by which the request called it."""
    return BadRequest(f"failed to load rollout `{error.path if named is None else named}`: {error.reason}")
