"""A patch checked against the files: what would be written, and what clients are shown of it.

Pure but for the reader passed in, and nothing is written here. A patch is refused as a whole or planned as a whole
(spec: tools, section 4.1). Every hunk must fit the files as they are, as in the reference; hunks that meet in one
file must also fit one after the other, where the reference would stop half-way.
"""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from engine.patch.diff import unified
from engine.patch.match import NotFound, patched
from engine.patch.parse import REFUSED, AddHunk, DeleteHunk, Hunk, Patch, PatchRefused, UpdateHunk
from rollouts import events as ev

# Text of a file by absolute path. Raises OSError or UnicodeDecodeError.
Reader: TypeAlias = Callable[[str], str]

ITEM_CONTEXT = 1


class Write(msgspec.Struct, frozen=True):
    """Write a file, making its folders. `mode_of`: the file whose mode a new one gets (a move)."""

    path: str
    text: str
    mode_of: str | None = None


class Remove(msgspec.Struct, frozen=True):
    """Remove a file. `moved` tells the end of a move from a deletion."""

    path: str
    moved: bool = False


Step: TypeAlias = Write | Remove


class Verified(msgspec.Struct, frozen=True):
    """A patch that fits. Paths are absolute, but those in `summary` are as written in the patch.

    `changes` is what items show, by path, the old one of a moved file; `steps` are what to do, in order;
    `summary` is the text of success.
    """

    patch: Patch
    cwd: str
    home: str
    changes: dict[str, ev.FileChange]
    steps: tuple[Step, ...]
    summary: str

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file that is written or removed, sorted; what a sandbox or an approval has to allow."""
        return tuple(sorted({step.path for step in self.steps}))


def resolve(cwd: str, path: str, home: str = "") -> str:
    """The absolute path meant by `path`: `~` is `home` (if known), `.` and `..` are taken out without looking."""
    if home and (path == "~" or path.startswith("~/")):
        path = home + path[1:]
    return "/" + posixpath.normpath(posixpath.join(cwd, path)).lstrip("/")


def verify(patch: Patch, cwd: str, read: Reader, home: str = "") -> Verified:
    """Check a whole patch and work out what it does.

    :param cwd: absolute folder that relative paths start from
    :param home: what `~` stands for; empty to take it literally
    :raises PatchRefused: a hunk does not fit or a file cannot be read
    """
    try:
        return plan(patch, cwd, read, home)
    except Misfit as misfit:
        raise PatchRefused(f"{REFUSED}{misfit}") from misfit


def plan(patch: Patch, cwd: str, read: Reader, home: str = "") -> Verified:
    """Like `verify`, for callers with their own words around the reason.

    :raises Misfit: a hunk does not fit or a file cannot be read
    """
    return _Plan(patch, cwd, read, home).run()


class Misfit(Exception):
    """Why a patch does not fit the files, in the reference's words; it may have several lines.

    :param deleted: the file that was to be deleted and cannot even be read.
    """

    def __init__(self, text: str, deleted: str | None = None) -> None:
        super().__init__(text)
        self.deleted = deleted


class _Plan:
    """The files as the hunks so far leave them (None: removed), and what is known of the patch by then."""

    def __init__(self, patch: Patch, cwd: str, read: Reader, home: str) -> None:
        self._patch = patch
        self._cwd = cwd
        self._home = home
        self._disk = read
        self._left: dict[str, str | None] = {}
        self._changes: dict[str, ev.FileChange] = {}
        self._steps: list[Step] = []
        self._summary: dict[str, list[str]] = {"A": [], "M": [], "D": []}

    def run(self) -> Verified:
        for hunk in self._patch.hunks:
            self._take(hunk)
        files = "".join(f"{letter} {path}\n" for letter, paths in self._summary.items() for path in paths)
        return Verified(
            patch=self._patch,
            cwd=self._cwd,
            home=self._home,
            changes=self._changes,
            steps=tuple(self._steps),
            summary=f"Success. Updated the following files:\n{files}",
        )

    def _take(self, hunk: Hunk) -> None:
        path = resolve(self._cwd, hunk.path, self._home)
        match hunk:
            case AddHunk(shown, content):
                self._write(path, content)
                self._changes[path] = ev.AddFile(content)
                self._summary["A"].append(shown)
            case DeleteHunk(shown):
                old = self._read(path, "Failed to read", deleted=path)
                self._left[path] = None
                self._steps.append(Remove(path))
                self._changes[path] = ev.DeleteFile(old)
                self._summary["D"].append(shown)
            case UpdateHunk(shown, move_path):
                old, new = self._updated(path, hunk)
                target = None if move_path is None else resolve(self._cwd, move_path, self._home)
                self._write(target or path, new, mode_of=path)
                if target not in (None, path):
                    self._left[path] = None
                    self._steps.append(Remove(path, moved=True))
                self._changes[path] = ev.UpdateFile(unified(old, new, ITEM_CONTEXT), target)
                self._summary["M"].append(move_path or shown)

    def _updated(self, path: str, hunk: UpdateHunk) -> tuple[str, str]:
        """Text of the file before the patch and after this hunk."""
        old = self._read(path, "Failed to read file to update")
        try:
            new = patched(old, hunk.chunks)
            left = self._left.get(path)
            return old, new if left is None else patched(left, hunk.chunks)
        except NotFound as problem:
            raise Misfit(problem.describe(path)) from problem

    def _read(self, path: str, complaint: str, deleted: str | None = None) -> str:
        try:
            text = self._disk(path)
            if path in self._left and self._left[path] is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        except (OSError, UnicodeDecodeError) as error:
            raise Misfit(f"{complaint} {path}: {_reason(error)}", deleted) from error
        return text

    def _write(self, path: str, text: str, mode_of: str | None = None) -> None:
        self._left[path] = text
        self._steps.append(Write(path, text, None if mode_of == path else mode_of))


def _reason(error: OSError | UnicodeDecodeError) -> str:
    """The reference's words for a failed read."""
    if isinstance(error, OSError):
        return f"{error.strerror} (os error {error.errno})"
    if error.reason == "unexpected end of data":
        return f"incomplete utf-8 byte sequence from index {error.start}"
    return f"invalid utf-8 sequence of {error.end - error.start} bytes from index {error.start}"
