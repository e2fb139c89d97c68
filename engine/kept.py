"""What is kept of a loaded thread: its log and state, where it is stored, and what the index knows of it."""

from __future__ import annotations

import logging
from pathlib import Path

from engine.journal import Journal
from engine.restore import History, Restorer
from engine.rollout_files import Opened, Unreadable
from engine.storage import Place, Storage
from rollouts.log import LogError

logger = logging.getLogger(__name__)


class Kept:
    """A thread without the life in it."""

    def __init__(
        self, thread_id: str, place: Place | None, journal: Journal, storage: Storage, restorer: Restorer
    ) -> None:
        self.id = thread_id
        self.place = place
        """Where the rollout is or will be; None for an ephemeral thread."""
        self.journal = journal
        self._storage = storage
        self._restorer = restorer

    @property
    def path(self) -> Path | None:
        """The file of the rollout; None for an ephemeral thread and for one in a database."""
        return None if self.place is None else self.place.path

    @property
    def ephemeral(self) -> bool:
        """Whether nothing of the thread is kept."""
        return self.place is None

    @property
    def updated_at(self) -> int:
        """When something was last written, epoch ms; 0 before."""
        if self.place is None or not self.journal.written:
            return 0
        return self._storage.updated_at(self.place, self.journal.entry)

    def source(self) -> Opened:
        """The rollout, for those who read it."""
        return Opened(self.place or Place(self.id), self.journal.log, self.journal.meta)

    async def history(self) -> History:
        """The turns that are written, an open one as it is.

        :raises Unreadable: the log is no text.
        :raises LogError: it cannot be read.
        """
        return await self._restorer.history(self.source(), self.journal.state)

    async def complete(self) -> None:
        """Let the state know of all that was ever written, if it was opened without that."""
        try:
            await self._restorer.complete(self.source(), self.journal.state)
        except (LogError, Unreadable) as error:
            logger.warning("thread %s: %s", self.id, error)

    def keep(self) -> None:
        """Let the index know how far the thread is; nothing is lost without it."""
        if self.journal.written and self.place is not None:
            self._storage.put(self.place, self.journal.entry)
            self._restorer.keep(self.id, self.journal)
