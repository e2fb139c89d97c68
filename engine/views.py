"""Threads as clients see them: the published thread, its turns, the replay of its usage. Reads, changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from engine.index import Entry, Index
from engine.listing import thread_object
from engine.notes import Notification, Only
from engine.publish import usage_note
from engine.restore import History
from engine.thread import Thread
from projections import protocol as p
from projections.catalog import IMAGE_ONLY
from projections.turns import interrupt_stale


def published(
    thread: Thread, index: Index, turns: Sequence[p.Turn] = (), *, opening: bool = False, named: bool = True
) -> p.Thread:
    """A loaded thread.

    :param opening: show the preview that resume and fork show (spec thread-lifecycle 6).
    :param named: show its name; the answer to a fork does not.
    """
    entry = thread.journal.entry
    row = entry.row
    written = thread.journal.written
    ephemeral = thread.ephemeral
    if written and not ephemeral:
        row = msgspec.structs.replace(row, updated_at=thread.updated_at, path=_unpacked(row.path))
    preview = row.opening or "" if opening else "" if ephemeral else None
    shown = thread_object(
        row,
        status=thread.overlay.status,
        turns=turns,
        name=_name(index, entry, opening) if named and not ephemeral else None,
        forked_from=None if ephemeral and not opening else thread.journal.meta.forked_from_id,
        preview=preview,
        ephemeral=ephemeral,
        provider=thread.settings.provider_id,
    )
    # Git data belongs to the file's first line: before there is one, there is none.
    return shown if written else msgspec.structs.replace(shown, git_info=None)


def _unpacked(path: str) -> str:
    """Where the file is now: an archive becomes a plain file with the first line that is appended."""
    plain = path.removesuffix(".zst")
    return plain if plain != path and Path(plain).exists() else path


def _name(index: Index, entry: Entry, opening: bool) -> str | None:
    """The name; where resume shows other words as the preview, what the user said first is one (observed)."""
    row = entry.row
    name = index.name(entry) or row.name
    if name is None and opening and row.preview not in ("", IMAGE_ONLY, (row.opening or "").strip()):
        return row.preview
    return name


def settled(turns: Sequence[p.Turn], running: str | None) -> list[p.Turn]:
    """Turns as the file has them; only the one that really runs is in progress."""
    pairs = zip(turns, interrupt_stale(turns), strict=True)
    return [turn if turn.id == running else stale for turn, stale in pairs]


def joined_turns(found: History, thread: Thread) -> list[p.Turn]:
    """The turns for a connection that joins: the running one comes from memory, with what is not written yet."""
    live = thread.overlay.running_turn()
    if live is None:
        return interrupt_stale(found.turns)
    return [*(turn for turn in interrupt_stale(found.turns) if turn.id != live.id), live]


def replay(thread: Thread, found: History, connection_id: int) -> Iterator[Notification]:
    """The restored usage for the connection that asked; nothing when none was ever reported (spec token-usage 4)."""
    info = thread.usage.info
    if info is not None:
        note = usage_note(thread.id, found.usage_turn_id, info)
        yield Notification("thread/tokenUsage/updated", note, Only(connection_id))
