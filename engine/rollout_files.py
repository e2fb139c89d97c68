"""Rollouts as requests name them: by id or by path; and the words for those that cannot be used.

The words differ by method (spec rollout-format 10): a resume says what failed to load, a read what failed to be read.
"""

from __future__ import annotations

import string
from pathlib import Path

import msgspec

from engine.errors import BadRequest, Internal
from engine.parents import Find, joined
from engine.storage import Place, Storage
from projections import window_tail
from rollouts import codec
from rollouts import events as ev
from rollouts.log import Log, LogError, Moved

_GROUPS = (8, 4, 4, 4, 12)
_FORMS = (32, 36)


def check_thread_id(text: str) -> str:
    """The id in lower case with hyphens.

    :raises BadRequest: not a UUID; worded like the reference's parser.
    """
    if len(text) == 38 and text.startswith("{") and text.endswith("}"):
        text = text[1:-1]
    digits = text.removeprefix("urn:uuid:").replace("-", "")
    if len(digits) == 32 and all(c in string.hexdigits for c in digits) and len(text) in (*_FORMS, 45):
        low = digits.lower()
        return f"{low[:8]}-{low[8:12]}-{low[12:16]}-{low[16:20]}-{low[20:]}"
    raise BadRequest(f"invalid thread id: {_why(text)}")


def _why(text: str) -> str:
    for position, character in enumerate(text, 1):
        if character not in string.hexdigits and character != "-":
            return (
                "invalid character: expected an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-], "
                f"found `{character}` at {position}"
            )
    groups = text.split("-")
    if len(groups) == 1:
        return f"invalid length: expected length 32 for simple format, found {len(text)}"
    if len(groups) != len(_GROUPS):
        return f"invalid group count: expected 5, found {len(groups)}"
    at, group = next((n, g) for n, g in enumerate(groups) if len(g) != _GROUPS[n])
    return f"invalid group length in group {at}: expected {_GROUPS[at]}, found {len(group)}"


class Unreadable(Exception):
    """A rollout that cannot be used; `reason` in a resume's words."""

    def __init__(self, path: Path | str | None, reason: str, read_reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason
        self.read_reason = read_reason


class Opened(msgspec.Struct, frozen=True):
    """A usable rollout: its log and the line that names its thread."""

    place: Place
    log: Log
    meta: ev.SessionMeta

    @property
    def moved(self) -> bool:
        """Whether it is no longer where it was found.

        :raises LogError: it cannot be looked at.
        """
        try:
            self.log.end()
        except Moved:
            return True
        return False

    def check_first(self) -> None:
        """Refuse to resume a file that does not begin with its meta, as the reference does; reading it is fine.

        :raises Internal: naming the file.
        """
        for record in self.log.read():
            line = codec.decode(record.data)
            if isinstance(line, codec.Line) and codec.counts(line.body):
                if not isinstance(line.body, ev.SessionMeta):
                    path = self.log.path
                    raise Internal(
                        f"failed to load rollout `{path}` for thread {self.meta.id}: rollout at {path} does not start "
                        "with session metadata"
                    )
                return


def open_rollout(storage: Storage, place: Place) -> Opened:
    """Open a thread for a resume, a read or a fork.

    :raises Unreadable: it is missing, empty, or has no `session_meta`.
    """
    log = storage.log(place)
    path = log.path
    if not log.exists():
        reason = "No such file or directory (os error 2)"
        raise Unreadable(path, reason, reason)
    try:
        log = joined(log, finder(storage))
        meta = window_tail.first_meta(log)
        if meta is not None:
            return Opened(Place(place.thread_id or meta.id, place.path), log, meta)
        blank = all(not record.data.strip() for record in log.read(limit=1024))
    except LogError as error:
        raise Unreadable(path, error.reason, error.reason) from error
    if blank:
        raise Unreadable(path, "empty session file", f"rollout at {path} is empty")
    raise Unreadable(
        path,
        "failed to parse thread ID from rollout file",
        f"rollout at {path} does not start with session metadata",
    )


def finder(storage: Storage) -> Find:
    """Finds the parents of forks, live or archived."""

    def find(thread_id: str) -> Log | None:
        try:
            place = storage.find(thread_id) or storage.find(thread_id, archived=True)
        except ValueError:
            return None
        return None if place is None else storage.log(place)

    return find


def not_utf8(path: Path | str | None) -> Unreadable:
    """A file with a line that is no text."""
    reason = "stream did not contain valid UTF-8"
    return Unreadable(path, reason, reason)


def check_text(path: Path | str | None, line: codec.Line | codec.BadLine) -> None:
    """Refuse what the reference refuses: bytes that are no UTF-8.

    :raises Unreadable: naming the file.
    """
    if isinstance(line, codec.BadLine) and line.reason.startswith("not UTF-8") and "unexpected end" not in line.reason:
        raise not_utf8(path)
