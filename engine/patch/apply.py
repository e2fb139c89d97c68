"""Writes a patch to the disk: all of it, or nothing.

Blocking. The patch is planned anew against the files as they are now, because an approval may have taken its time.
If a write fails midway, what was already written is put back, where the reference leaves half a patch behind.
Files are written in place: they keep their mode, owner and hard links, and links are followed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from engine.named_files import read_bytes
from engine.patch.plan import Misfit, Reader, Step, Verified, Write, plan

_PERMISSIONS = 0o7777


class PatchFailed(Exception):
    """A verified patch could not be applied; the files are as before.

    :param text: what went wrong, with a final newline; output of the call beside exit code 1.
    :param unwritten: a file could not be written.
    """

    def __init__(self, text: str, unwritten: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.unwritten = unwritten


def everywhere(path: str) -> bool:
    """The permission of a turn without a sandbox."""
    return True


def apply(verified: Verified, read: Reader, allowed: Callable[[str], bool] = everywhere) -> str:
    """Apply a patch and return the text of success.

    :param allowed: whether a file may be written or removed; asked with the place where it really is, so that a link
        inside a writable folder is no way out of it
    :raises PatchFailed: it no longer fits, or a file cannot be written
    """
    try:
        planned = plan(verified.patch, verified.cwd, read, verified.home)
    except Misfit as misfit:
        raise PatchFailed(f"{misfit}\n") from misfit
    done = _Done(allowed)
    for number, step in enumerate(planned.steps):
        try:
            done.take(step)
        except _Stopped as stopped:
            text = f"{stopped} {step.path}\n{done.undo(others=number > 0)}"
            raise PatchFailed(text, isinstance(step, Write)) from stopped
    return planned.summary


class _Stopped(Exception):
    """What could not be done, in the reference's words."""


@contextmanager
def _or(complaint: str) -> Iterator[None]:
    """Turn a failure of the system into a complaint."""
    try:
        yield
    except OSError as error:
        raise _Stopped(complaint) from error


class _Done:
    """What was done to the disk, as the actions that undo it."""

    def __init__(self, allowed: Callable[[str], bool]) -> None:
        self._allowed = allowed
        self._undo: list[tuple[str, Callable[[], object]]] = []

    def take(self, step: Step) -> None:
        """Do a step.

        :raises _Stopped: it failed; part of it may be done
        """
        if isinstance(step, Write):
            with _or("Failed to write file"):
                self._write(step)
        else:
            with _or("Failed to remove original" if step.moved else "Failed to delete file"):
                self._remove(step.path)

    def undo(self, others: bool) -> str:
        """Put everything back, newest first.

        :param others: whether files other than the failed one were changed
        :returns: lines that tell the model about it
        """
        stuck = []
        for path, action in reversed(self._undo):
            try:
                action()
            except OSError as error:
                stuck.append(f"Failed to restore {path}: {error.strerror}\n")
        if others and not stuck:
            return "The other changes of this patch were undone.\n"
        return "".join(stuck)

    def _write(self, step: Write) -> None:
        # Undoing concerns the file behind a link; the link itself is never touched.
        path = self._permitted(os.path.realpath(step.path))
        mode = os.stat(step.mode_of).st_mode & _PERMISSIONS if step.mode_of else None
        try:
            old = read_bytes(path)
        except FileNotFoundError:
            self._make_folders(path.parent)
            self._undo.append((step.path, partial(path.unlink, missing_ok=True)))
        else:
            mode = None
            self._undo.append((step.path, partial(path.write_bytes, old)))
        path.write_bytes(step.text.encode())
        if mode is not None:
            path.chmod(mode)

    def _permitted(self, path: str) -> Path:
        if not self._allowed(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return Path(path)

    def _make_folders(self, folder: Path) -> None:
        with _or("Failed to create parent directories for"):
            missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
            for parent in reversed(missing):
                parent.mkdir()
                self._undo.append((str(parent), parent.rmdir))

    def _remove(self, name: str) -> None:
        folder, file = os.path.split(name)
        path = self._permitted(os.path.join(os.path.realpath(folder), file))
        if path.is_symlink():
            self._undo.append((name, partial(path.symlink_to, path.readlink())))
        else:
            self._undo.append((name, partial(_create, path, path.read_bytes(), path.stat().st_mode & _PERMISSIONS)))
        try:
            path.unlink()
        except OSError:
            self._undo.pop()
            raise


def _create(path: Path, data: bytes, mode: int) -> None:
    path.write_bytes(data)
    path.chmod(mode)
