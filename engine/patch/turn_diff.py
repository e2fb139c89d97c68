"""The diff of a whole turn in git's form, for `turn/diff/updated` (spec: tools, section 4.3).

Pure: files are read by functions passed in. The first time a patch of the turn touches a file, the file's state is
kept; a diff is always from there to what is on the disk now, whoever wrote it. A moved file is followed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import msgspec

from engine.patch.diff import unified
from engine.patch.files import Blob
from rollouts import events as ev

CONTEXT = 3
NO_FILE = "0" * 40


class _File(msgspec.Struct):
    """A file of the turn: where and what it was, where it is now, and its last diff with what that was made of."""

    old_path: str
    old: Blob | None
    path: str
    seen: tuple[str, Blob | None]
    diff: str = ""


class TurnDiff:
    """What the patches of one turn did to the files.

    :param read: a file as git stores it, None if there is none
    :param shown: an absolute path as the diff shows it: relative to its repository, if it is in one
    """

    def __init__(self, read: Callable[[str], Blob | None], shown: Callable[[str], str]) -> None:
        self._read = read
        self._shown = shown
        self._files: dict[str, _File] = {}
        self._overwritten: list[_File] = []

    def before(self, changes: Mapping[str, ev.FileChange]) -> None:
        """A patch is about to be applied: keep the files it changes, if not seen before."""
        for path in changes:
            if path not in self._files:
                blob = self._read(path)
                self._files[path] = _File(path, blob, path, seen=(path, blob))

    def applied(self, changes: Mapping[str, ev.FileChange]) -> None:
        """A patch was applied: follow the files it moved."""
        for path, change in changes.items():
            if isinstance(change, ev.UpdateFile) and change.move_path not in (None, path):
                file = self._files.pop(path)
                file.path = change.move_path or path
                if overwritten := self._files.get(file.path):
                    self._overwritten.append(overwritten)
                self._files[file.path] = file

    def render(self) -> str | None:
        """The diff as of now, files sorted by path; None if all is as it was."""
        files = [*self._files.values(), *self._overwritten]
        return "".join(self._diff(file) for file in sorted(files, key=lambda file: self._shown(file.path))) or None

    def _diff(self, file: _File) -> str:
        new = self._read(file.path)
        if file.seen != (file.path, new):
            file.seen = (file.path, new)
            file.diff = _diff(file.old, new, self._shown(file.old_path), self._shown(file.path))
        return file.diff


def _diff(old: Blob | None, new: Blob | None, old_path: str, new_path: str) -> str:
    """The diff of one file; a move alone, without another change, shows nothing."""
    if (old and old.data) == (new and new.data):
        return ""
    parts = [f"diff --git a/{old_path} b/{new_path}\n"]
    if old is None and new is not None:
        parts.append(f"new file mode {new.mode}\n")
    elif old is not None and new is None:
        parts.append(f"deleted file mode {old.mode}\n")
    elif old and new and old.mode != new.mode:
        parts.append(f"old mode {old.mode}\nnew mode {new.mode}\n")
    parts.append(f"index {_blob_id(old)}..{_blob_id(new)}\n")
    header = f"--- {f'a/{old_path}' if old else '/dev/null'}\n+++ {f'b/{new_path}' if new else '/dev/null'}\n"
    try:
        hunks = unified(_text(old), _text(new), CONTEXT)
    except UnicodeDecodeError:
        return "".join([*parts, header, "Binary files differ\n"])
    return "".join([*parts, header, hunks] if hunks else parts)


def _text(blob: Blob | None) -> str:
    return blob.data.decode() if blob else ""


def _blob_id(blob: Blob | None) -> str:
    """The id git gives to this content; zeros for no file."""
    if blob is None:
        return NO_FILE
    return hashlib.sha1(b"blob %d\0%s" % (len(blob.data), blob.data), usedforsecurity=False).hexdigest()
