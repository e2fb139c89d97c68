"""The git repository around a turn's folder, for the metadata of its requests (spec turns 4.3).

It is looked up beside the turn, anew for each one. A request waits a moment for it and goes out without it then: no
turn is held up by a slow disk.
"""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import msgspec
from anyio.abc import TaskGroup

from engine import git

PATIENCE = 0.5
"""Seconds the first request of a turn waits."""


class Workspaces:
    """What is known of the folder of the running turn."""

    def __init__(self) -> None:
        self.found: msgspec.Raw | None = None
        """JSON object: root -> remotes, commit, whether there are changes; None outside of a repository."""
        self._cwd: Path | None = None
        self._scope = anyio.CancelScope()
        self._looked = anyio.Event()

    def look(self, cwd: Path, tasks: TaskGroup) -> None:
        """Look a folder up; what was known of it stays until then."""
        self._scope.cancel()
        if cwd != self._cwd:
            self.found = None
        self._cwd = cwd
        self._scope, self._looked = anyio.CancelScope(), anyio.Event()
        tasks.start_soon(self._look, cwd, self._scope, self._looked)

    async def settled(self) -> None:
        """Wait until the folder is looked up, but not for long."""
        with anyio.move_on_after(PATIENCE):
            await self._looked.wait()

    async def _look(self, cwd: Path, scope: anyio.CancelScope, looked: anyio.Event) -> None:
        with scope:
            known = await git.workspace(cwd) if _in_repository(cwd) else None
            self.found = None if known is None else msgspec.Raw(msgspec.json.encode({known[0]: known[1]}))
        looked.set()


def _in_repository(cwd: Path) -> bool:
    """Whether git is worth asking: no process is started for the other folders."""
    return any(os.path.exists(folder / ".git") for folder in (cwd, *cwd.parents))
