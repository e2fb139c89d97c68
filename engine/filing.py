"""Stored threads as files: archive, bring back, name, patch (spec thread-lifecycle 8 and 9).

Each works on loaded threads and on cold ones; a cold one is changed by appending to its file.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import UNSET

from engine.clock import Clock
from engine.errors import BadRequest
from engine.index import Entry
from engine.journal import Journal
from engine.listing import thread_object
from engine.notes import Everyone, Notification
from engine.publish import status_note
from engine.rollout_files import Unreadable, check_thread_id, open_rollout
from engine.storage import Place
from engine.thread import Thread
from engine.threads import Threads
from engine.views import published
from projections import catalog
from projections import protocol as p
from rollouts import events as ev


class Filing:
    """Archive, unarchive, names and metadata."""

    def __init__(self, threads: Threads, clock: Clock) -> None:
        self._threads = threads
        self._clock = clock
        self._index = threads.index
        self._storage = threads.storage

    async def archive(self, params: p.ThreadArchiveParams) -> Notification:
        """Move a thread to the archive; a loaded one is unloaded first. Returns what all clients hear then.

        :raises BadRequest: there is no such thread, or it has no file, or not one that can be moved.
        """
        thread_id = check_thread_id(params.thread_id)
        async with self._threads.opening(thread_id):
            place = self._storage.find(thread_id)
            if place is None:
                raise BadRequest(f"no rollout found for thread id {thread_id}")
            thread = self._threads.loaded(thread_id)
            if thread is not None:
                self._threads.drop(thread_id)
                await thread.close()
                self._threads.sink.publish(status_note(thread_id, p.NotLoadedThreadStatus()))
            self._storage.archive(place)
        return Notification("thread/archived", p.ThreadArchivedNotification(thread_id=thread_id), Everyone())

    async def unarchive(self, params: p.ThreadUnarchiveParams) -> tuple[p.ThreadUnarchiveResponse, Notification]:
        """Move a thread back to its day.

        :raises BadRequest: it is not archived, or its file cannot be moved.
        """
        thread_id = check_thread_id(params.thread_id)
        place = self._storage.find(thread_id, archived=True)
        if place is None:
            raise BadRequest(f"no archived rollout found for thread id {thread_id}")
        entry = self._entry(self._storage.unarchive(place))
        row = msgspec.structs.replace(entry.row, updated_at=entry.row.created_at)
        shown = thread_object(row, status=p.NotLoadedThreadStatus(), name=self._index.name(entry))
        note = Notification("thread/unarchived", p.ThreadUnarchivedNotification(thread_id=thread_id), Everyone())
        return p.ThreadUnarchiveResponse(thread=shown), note

    async def set_name(self, params: p.ThreadSetNameParams) -> Callable[[], None]:
        """Name a thread, loaded or not. Returns what is to be done after the answer.

        An ephemeral thread takes no name: the answer is the usual one, an `error` follows (observed).

        :raises BadRequest: an empty name, or no such thread.
        """
        thread_id = check_thread_id(params.thread_id)
        name = params.name.strip()
        if not name:
            raise BadRequest("thread name must not be empty")
        thread = self._threads.loaded(thread_id)
        if thread is not None and thread.ephemeral:
            return lambda: self._refuse_name(thread)
        self._index.warm = True
        event = ev.ThreadNameUpdated(thread_id=thread_id, thread_name=name)
        await self._append(thread_id, [event])
        self._threads.layout.append_name(thread_id, name, self._clock.now())
        note = p.ThreadNameUpdatedNotification(thread_id=thread_id, thread_name=name)
        return lambda: self._threads.sink.publish(Notification("thread/name/updated", note, Everyone()))

    def _refuse_name(self, thread: Thread) -> None:
        error = ev.ErrorEvent(
            message="Session persistence is disabled; cannot rename thread.", codex_error_info="other"
        )
        submission = self._threads.layout.new_id(self._clock.now())

        async def refuse() -> None:
            thread.record([error], submission)

        thread.post(refuse)

    async def metadata_update(self, params: p.ThreadMetadataUpdateParams) -> p.ThreadMetadataUpdateResponse:
        """Patch the git data of a thread.

        :raises BadRequest: nothing to change, an empty value, an ephemeral or unknown thread.
        """
        thread_id = check_thread_id(params.thread_id)
        override = _override(params.git_info)
        thread = self._threads.loaded(thread_id)
        if thread is not None and thread.ephemeral:
            raise BadRequest(f"ephemeral thread does not support metadata updates: {thread_id}")
        await self._append(thread_id, [ev.ThreadMetadata(git=override)], archived=True)
        if thread is not None:
            return p.ThreadMetadataUpdateResponse(thread=published(thread, self._index))
        place = self._find(thread_id)
        assert place is not None
        entry = self._entry(place)
        shown = thread_object(entry.row, status=p.NotLoadedThreadStatus(), name=self._index.name(entry))
        return p.ThreadMetadataUpdateResponse(thread=shown)

    async def memory_mode(self, params: p.ThreadMemoryModeSetParams) -> None:
        """Say whether memories are made of a thread: a copy of its meta with the mode set.

        :raises BadRequest: an ephemeral or unknown thread.
        """
        thread_id = check_thread_id(params.thread_id)
        thread = self._threads.loaded(thread_id)
        if thread is not None and thread.ephemeral:
            raise BadRequest(f"ephemeral thread does not support memory mode updates: {thread_id}")
        meta = thread.journal.meta if thread is not None else self._cold(thread_id)[1].meta
        changed = msgspec.structs.replace(meta, memory_mode=params.mode)
        await self._append(thread_id, [changed])

    async def _append(self, thread_id: str, events: list[ev.Body], *, archived: bool = False) -> None:
        """Append to a loaded thread through its owner, to a cold one's file directly, in the archive only if told so.

        :raises BadRequest: there is no such thread.
        """
        thread = self._threads.loaded(thread_id)
        if thread is None:
            place, journal = self._cold(thread_id, archived=archived)
            journal.append(events)
            self._storage.put(place, journal.entry)
            self._threads.restorer.keep(thread_id, journal)
            return

        async def append() -> None:
            thread.journal.append(events)
            thread.keep()

        await thread.ask(append)

    def _find(self, thread_id: str) -> Place | None:
        return self._storage.find(thread_id) or self._storage.find(thread_id, archived=True)

    def _cold(self, thread_id: str, *, archived: bool = False) -> tuple[Place, Journal]:
        place = self._find(thread_id) if archived else self._storage.find(thread_id)
        if place is None:
            raise BadRequest(f"thread not found: {thread_id}")
        try:
            source = open_rollout(self._storage, place)
            state = self._threads.restorer.open(source)
        except Unreadable as error:
            raise BadRequest(f"failed to load rollout `{error.path}`: {error.reason}") from error
        return place, Journal(source.log, state, source.meta, self._entry(place), self._clock, extended=False)

    def _entry(self, place: Place) -> Entry:
        return self._storage.entry(place) or Entry(catalog.EMPTY)


def _override(given: p.ThreadMetadataGitInfoUpdateParams | None) -> ev.GitOverride:
    """The patch: absent keeps, null clears, a string is trimmed and set."""
    values = {
        "sha": given.sha if given is not None else UNSET,
        "branch": given.branch if given is not None else UNSET,
        "origin_url": given.origin_url if given is not None else UNSET,
    }
    if all(value is UNSET for value in values.values()):
        raise BadRequest("gitInfo must include at least one field")
    wire = {"sha": "sha", "branch": "branch", "origin_url": "originUrl"}
    for key, value in values.items():
        if isinstance(value, str):
            values[key] = value.strip()
            if not values[key]:
                raise BadRequest(f"gitInfo.{wire[key]} must not be empty")
    return ev.GitOverride(**values)
