"""What git knows about a folder, for `session_meta`, the turn metadata and reviews.

Asks the git program, with a time limit. A folder outside a repository, a missing program, a slow disk: all
give less information, never an error, because no thread start may fail over it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import anyio
import msgspec

from rollouts import events as ev

TIME_LIMIT = 5.0


class Workspace(msgspec.Struct, frozen=True, omit_defaults=True):
    """A repository in the turn metadata (spec: turns, section 4.3). URLs by name of the remote."""

    associated_remote_urls: Mapping[str, str] | None = None
    latest_git_commit_hash: str | None = None
    has_changes: bool | None = None


async def info(cwd: Path, limit: float = TIME_LIMIT) -> ev.GitInfo | None:
    """Commit, branch and URL of `origin` of the repository around `cwd`; `None` outside of one.

    :param limit: seconds for each question to git; what is not known by then is left out
    """
    if not await inside(cwd, limit):
        return None
    found: dict[str, str | None] = {}

    async def ask(part: str, *words: str) -> None:
        found[part] = await _git(cwd, limit, *words)

    async with anyio.create_task_group() as group:
        group.start_soon(ask, "commit", "rev-parse", "HEAD")
        group.start_soon(ask, "branch", "rev-parse", "--abbrev-ref", "HEAD")
        group.start_soon(ask, "url", "remote", "get-url", "origin")
    branch = None if found["branch"] == "HEAD" else found["branch"]
    return ev.GitInfo(found["commit"] or None, branch or None, found["url"] or None)


async def inside(cwd: Path, limit: float = TIME_LIMIT) -> bool:
    """Whether `cwd` is in a repository, as far as git says so within `limit` seconds."""
    return await _git(cwd, limit, "rev-parse", "--git-dir") is not None


async def merge_base(cwd: Path, branch: str, limit: float = TIME_LIMIT) -> str | None:
    """Commit at which the work in `cwd` left a branch, or the upstream of that if it has gone on; `None` if unknown."""
    if branch.startswith("-") or await _git(cwd, limit, "rev-parse", "--verify", "--quiet", branch) is None:
        return None
    upstream = await _git(cwd, limit, "rev-parse", "--abbrev-ref", "--symbolic-full-name", f"{branch}@{{upstream}}")
    if upstream and await _git(cwd, limit, "rev-list", "--count", f"{branch}..{upstream}") not in (None, "0"):
        branch = upstream
    return await _git(cwd, limit, "merge-base", "HEAD", branch) or None


async def workspace(cwd: Path, limit: float = TIME_LIMIT) -> tuple[str, Workspace] | None:
    """Root of the repository around `cwd` and what the turn metadata says of it; `None` outside of one."""
    root = await _git(cwd, limit, "rev-parse", "--show-toplevel")
    if not root:
        return None
    found: dict[str, str | None] = {}

    async def ask(part: str, *words: str) -> None:
        found[part] = await _git(cwd, limit, *words)

    async with anyio.create_task_group() as group:
        group.start_soon(ask, "commit", "rev-parse", "HEAD")
        group.start_soon(ask, "remotes", "remote", "-v")
        group.start_soon(ask, "status", "--no-optional-locks", "status", "--porcelain")
    status = found["status"]
    return root, Workspace(
        associated_remote_urls=_fetch_urls(found["remotes"] or "") or None,
        latest_git_commit_hash=found["commit"] or None,
        has_changes=None if status is None else bool(status),
    )


def _fetch_urls(listing: str) -> dict[str, str]:
    """From `git remote -v` (`<name>\\t<url> (fetch)`) to URLs by name."""
    rows = [line.removesuffix(" (fetch)").partition("\t") for line in listing.splitlines() if " (fetch)" in line]
    return {name: url for name, _, url in rows}


async def _git(cwd: Path, limit: float, *words: str) -> str | None:
    """What git prints, trimmed; `None` if it fails, is missing or takes longer than `limit` seconds."""
    with anyio.move_on_after(limit):
        try:
            # Without a stdin of its own a hook of the repository could read what clients send.
            done = await anyio.run_process(["git", *words], cwd=cwd, check=False, stdin=subprocess.DEVNULL)
        except OSError:
            return None
        return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None
    return None
