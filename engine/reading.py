"""Reading threads without loading them: read, pages of turns, lists (spec thread-lifecycle 5 to 7)."""

from __future__ import annotations

import msgspec

from engine import config, listing
from engine.errors import BadRequest, Internal
from engine.listing import thread_object
from engine.rollout_files import Opened, Unreadable, check_thread_id, open_rollout
from engine.storage import Place
from engine.thread import Thread
from engine.threads import Threads
from engine.views import published, settled
from projections import protocol as p
from projections.session import SessionState
from projections.turn_pages import CursorError


class Reading:
    """Answers that change nothing."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._index = threads.index
        self._storage = threads.storage
        self._restorer = threads.restorer

    def check_id(self, thread_id: str) -> str:
        """The id, if it is one.

        :raises BadRequest: malformed.
        """
        return check_thread_id(thread_id)

    async def list_threads(self, params: p.ThreadListParams) -> p.ThreadListResponse:
        """A page of stored threads."""
        self._threads.storage.refresh()
        return await listing.list_threads(self._index, params, provider=self._provider(), status=self._threads.status)

    def loaded(self, params: p.ThreadLoadedListParams) -> p.ThreadLoadedListResponse:
        """A page of ids of loaded threads."""
        return listing.list_loaded(self._threads.ids(), params)

    async def read(self, params: p.ThreadReadParams) -> p.ThreadReadResponse:
        """One thread; with its turns if asked.

        :raises BadRequest: no such thread, or it has no turns to show yet.
        :raises Internal: its file cannot be read.
        """
        thread_id = check_thread_id(params.thread_id)
        thread = self._threads.loaded(thread_id)
        if thread is None:
            source = self._open(thread_id)
            thread = self._threads.loaded(source.meta.id)  # a file may be found by the name of another thread
        if thread is None:
            turns = await self._turns(source, None) if params.include_turns else []
            return p.ThreadReadResponse(thread=self._stored(source, turns))
        turns = []
        if params.include_turns:
            self._check_written(thread, "includeTurns", "includeTurns is unavailable")
            turns = await self._turns(self._open_loaded(thread), thread)
        return p.ThreadReadResponse(thread=published(thread, self._index, turns))

    async def turns(self, params: p.ThreadTurnsListParams) -> p.ThreadTurnsListResponse:
        """A page of turns.

        :raises BadRequest: no such thread, or a cursor that is of no use.
        :raises Internal: its file cannot be read.
        """
        thread_id = check_thread_id(params.thread_id)
        thread = self._threads.loaded(thread_id)
        if thread is not None:
            self._check_written(thread, "thread/turns/list", "thread/turns/list is unavailable")
        source = self._open(thread_id) if thread is None else self._open_loaded(thread)
        wanted = {"cursor": params.cursor, "limit": params.limit, "direction": params.sort_direction}
        try:
            found = await self._restorer.page(source, _state(thread), **wanted)
        except CursorError as error:
            raise BadRequest(str(error)) from error
        except Unreadable as error:
            raise _failed(error) from error
        return msgspec.structs.replace(found, data=settled(found.data, _running(thread)))

    def _check_written(self, thread: Thread, what: str, unavailable: str) -> None:
        if thread.ephemeral:
            raise BadRequest(f"ephemeral threads do not support {what}")
        if not thread.journal.written:
            raise BadRequest(f"thread {thread.id} is not materialized yet; {unavailable} before first user message")

    def _open_loaded(self, thread: Thread) -> Opened:
        assert thread.place is not None  # ephemeral threads were refused
        thread.catch_up()
        return self._open_place(thread.place)

    def _open(self, thread_id: str) -> Opened:
        place = self._storage.find(thread_id) or self._storage.find(thread_id, archived=True)
        if place is None:
            raise BadRequest(f"thread not loaded: {thread_id}")
        return self._open_place(place)

    def _open_place(self, place: Place) -> Opened:
        try:
            return open_rollout(self._storage, place)
        except Unreadable as error:
            raise _failed(error) from error

    async def _turns(self, source: Opened, thread: Thread | None) -> list[p.Turn]:
        try:
            return settled((await self._restorer.history(source, _state(thread))).turns, _running(thread))
        except Unreadable as error:
            raise _failed(error) from error

    def _stored(self, source: Opened, turns: list[p.Turn]) -> p.Thread:
        entry = self._storage.entry(source.place)
        assert entry is not None
        row = entry.row
        if not self._threads.warm:
            # The reference answers from the file's own words until its index has seen the thread.
            row = msgspec.structs.replace(row, updated_at=row.created_at)
        return thread_object(
            row,
            status=p.NotLoadedThreadStatus(),
            turns=turns,
            name=self._index.name(entry),
            forked_from=row.forked_from,
            provider=row.provider or self._provider(),
        )

    def _provider(self) -> str:
        """The configured model provider."""
        return config.load_or_default(self._threads.layout.path, self._threads.flags, self._threads.cwd).provider_id


def _state(thread: Thread | None) -> SessionState | None:
    return thread.journal.state if thread is not None else None


def _running(thread: Thread | None) -> str | None:
    return thread.overlay.open_turn_id if thread is not None else None


def _failed(error: Unreadable) -> Internal:
    return Internal(
        f"failed to read thread: thread-store internal error: failed to read thread {error.path}: {error.read_reason}"
    )
