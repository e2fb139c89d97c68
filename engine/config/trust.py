"""Which project a folder belongs to, whether the user trusts it, and the record of that decision.

Trust is looked up for the folder, for its project root and for its git repository, by exact path (observed: a
parent folder that is not one of these does not count). The user's config.toml is the only file written here.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from engine.config.errors import ConfigError

TrustLevel = Literal["trusted", "untrusted"]

DEFAULT_MARKERS = (".git",)


def project_root(cwd: Path, markers: Sequence[str] = DEFAULT_MARKERS) -> Path:
    """The nearest folder, from `cwd` upwards, that holds one of the markers; `cwd` itself if none does."""
    for folder in (cwd, *cwd.parents):
        if any(os.path.exists(folder / marker) for marker in markers):
            return folder
    return cwd


def git_root(cwd: Path) -> Path | None:
    """The top of the repository that `cwd` is in; for a linked worktree that of the main one."""
    for folder in (cwd, *cwd.parents):
        dot_git = folder / ".git"
        if os.path.isdir(dot_git):
            return folder
        if os.path.isfile(dot_git):
            return _main_worktree(dot_git) or folder
    return None


def _main_worktree(dot_git: Path) -> Path | None:
    """From the `.git` file of a linked worktree (`gitdir: <main>/.git/worktrees/<name>`) to `<main>`."""
    try:
        pointer = dot_git.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
    target = Path(os.path.normpath(dot_git.parent / pointer.removeprefix("gitdir:").strip()))
    if target.parent.name != "worktrees" or target.parent.parent.name != ".git":
        return None
    return target.parent.parent.parent


def trust_level(table: Mapping[str, Any], cwd: Path, root: Path) -> TrustLevel | None:
    """The recorded decision for a folder whose project root is `root`; `None` if there is none."""
    projects: Mapping[str, Any] = table.get("projects", {})
    for folder in (cwd, root, git_root(cwd)):
        level = projects.get(str(folder), {}).get("trust_level") if folder else None
        if level is not None:
            return "trusted" if level == "trusted" else "untrusted"
    return None


def trust_root(cwd: Path) -> Path:
    """The folder a decision about `cwd` is recorded for: its git repository, else itself."""
    return git_root(cwd) or cwd


def record_trusted(home: Path, cwd: Path) -> Path:
    """Write `[projects."<root>"] trust_level = "trusted"` to the user's config.toml; all else stays.

    The root is the git repository of `cwd`, else `cwd`; it is returned. The file is replaced as a whole, so a
    crash leaves the old one; a link to it and its mode stay.

    :raises ConfigError: if the file cannot be read, parsed or written
    """
    import tomlkit  # once in the life of a project
    import tomlkit.exceptions

    root, file = trust_root(cwd), (home / "config.toml").resolve()
    try:
        document = tomlkit.parse(file.read_text(encoding="utf-8")) if file.exists() else tomlkit.document()
        projects = document.setdefault("projects", tomlkit.table(is_super_table=True))
        projects.setdefault(str(root), tomlkit.table())["trust_level"] = "trusted"
        fresh = file.with_name(f".config.toml.{os.getpid()}")
        fresh.write_text(tomlkit.dumps(document), encoding="utf-8")
        if file.exists():
            shutil.copymode(file, fresh)
        fresh.replace(file)
    except (OSError, UnicodeDecodeError, tomlkit.exceptions.TOMLKitError) as error:
        raise ConfigError(f"Failed to record {root} as trusted in {file}: {error}") from error
    return root
