"""A permission profile as a sandbox sees it: which places of this disk can be read, written, or not even seen.

Looks at the disk, changes nothing. Places are absolute; what does not exist is dropped where it cannot matter and
kept where its creation has to be prevented (spec: sandbox, section 3; permissions, sections 2 to 4).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from engine.permissions.bridge import Places, full_disk_write
from engine.permissions.legacy import protected_subpaths
from engine.sandbox.globs import masked_files
from projections import protocol as p

PLATFORM = ("/bin", "/etc", "/lib", "/lib64", "/sbin", "/usr", "/nix/store", "/run/current-system/sw")
"""What `minimal` lets programs read."""


class SandboxUnsupported(Exception):
    """The command cannot be run under this sandbox here, and so must not run at all."""


class Root(msgspec.Struct, frozen=True):
    """A place that may be written, with what stays read-only inside."""

    path: str
    read_only: tuple[str, ...]


class View(msgspec.Struct, frozen=True):
    """What a sandbox lets see and do."""

    network: bool
    reads_all: bool
    writes_all: bool = False
    readable: tuple[str, ...] = ()
    """Sorted; empty when everything is readable."""
    writable: tuple[Root, ...] = ()
    """The outermost first."""
    denied: tuple[str, ...] = ()
    """Must not be readable; the outermost first. Some may not exist."""


def depth(path: str) -> int:
    """How many folders lead to a path."""
    return path.count("/")


def inside(path: str, folder: str) -> bool:
    """Is this the folder or something in it?"""
    return path == folder or folder == "/" or path.startswith(folder + "/")


def places(workspace: str, env: Mapping[str, str]) -> Places:
    """Where the special paths of policies lead."""
    tmpdir = env.get("TMPDIR", "")
    return Places(
        cwd=os.path.normpath(workspace),
        tmpdir=os.path.normpath(tmpdir) if os.path.isabs(tmpdir) else None,
        slash_tmp="/tmp" if os.path.isdir("/tmp") else None,
    )


def view(profile: p.PermissionProfile, where: Places) -> View:
    """What a profile means on this disk now.

    :raises SandboxUnsupported: for what cannot be enforced
    """
    match profile:
        case p.DisabledPermissionProfile():
            return View(network=True, reads_all=True, writes_all=True)
        case p.ExternalPermissionProfile(network=network):
            return View(network=network.enabled, reads_all=True, writes_all=True)
        case p.ManagedPermissionProfile(file_system=p.UnrestrictedPermissionProfileFileSystemPermissions()):
            return View(network=profile.network.enabled, reads_all=True, writes_all=True)
        case p.ManagedPermissionProfile(file_system=p.RestrictedPermissionProfileFileSystemPermissions() as files):
            return _restricted(files, profile.network.enabled, where)
    raise SandboxUnsupported(f"unknown permission profile: {type(profile).__name__}")


def _restricted(files: p.RestrictedPermissionProfileFileSystemPermissions, network: bool, where: Places) -> View:
    if full_disk_write(files.entries):
        return View(network=network, reads_all=True, writes_all=True)
    entries = [(path, entry.access) for entry in files.entries if (path := where.of(entry.path)) is not None]
    by_access = {
        access: list(
            dict.fromkeys(path for path, given in entries if given == access and _strictest(path, entries) == access)
        )
        for access in ("read", "write", "none")
    }
    explicit = {path for path, _ in entries}
    roots = sorted((path for path in by_access["write"] if os.path.exists(path)), key=depth)
    writable = [_root(path, roots, by_access["read"], explicit, where) for path in roots]
    masked = [found for glob in _denied_globs(files) for found in masked_files(glob, where.cwd, _depth(files))]
    denied = sorted({*by_access["none"], *masked}, key=lambda path: (depth(path), path))
    readable = [*by_access["read"], *by_access["write"]]
    _refuse_links(writable, denied)
    if "/" in denied:
        raise SandboxUnsupported("a sandbox cannot deny to read `/`")
    minimal = any(_is_minimal(entry) for entry in files.entries)
    return View(
        network=network,
        reads_all="/" in readable,
        readable=tuple(sorted({path for path in (*readable, *(PLATFORM if minimal else ())) if os.path.exists(path)})),
        writable=tuple(writable),
        denied=tuple(path for path in denied if not _hidden_already(path, denied, roots)),
    )


def _strictest(path: str, entries: Sequence[tuple[str, str]]) -> str:
    """Of several entries for one place `none` wins over `write`, and that over `read`."""
    return max((access for other, access in entries if other == path), key=("read", "write", "none").index)


def _root(root: str, roots: Sequence[str], read_only: Sequence[str], explicit: set[str], where: Places) -> Root:
    kept = [path for path in protected_subpaths(Path(root), is_cwd=root == where.cwd) if path not in explicit]
    kept += [path for path in read_only if path != root and inside(path, root)]
    innermost = {path: max((each for each in roots if inside(path, each)), key=depth, default=root) for path in kept}
    return Root(root, tuple(path for path in dict.fromkeys(kept) if os.path.lexists(path) or innermost[path] == root))


def _denied_globs(files: p.RestrictedPermissionProfileFileSystemPermissions) -> list[str]:
    return [
        entry.path.pattern
        for entry in files.entries
        if isinstance(entry.path, p.GlobPatternFileSystemPath) and entry.access == "none"
    ]


def _depth(files: p.RestrictedPermissionProfileFileSystemPermissions) -> int | None:
    return files.glob_scan_max_depth or None


def _is_minimal(entry: p.FileSystemSandboxEntry) -> bool:
    return (
        isinstance(entry.path, p.SpecialFileSystemPath)
        and isinstance(entry.path.value, p.MinimalFileSystemSpecialPath)
        and entry.access != "none"
    )


def _hidden_already(path: str, denied: Sequence[str], roots: Sequence[str]) -> bool:
    """Does a denied folder around it hide this path, with no writable place in between that shows it again?"""
    around = [folder for folder in denied if folder != path and inside(path, folder)]
    shown = [root for root in roots if inside(path, root)]
    return bool(around) and max(map(depth, around)) >= max(map(depth, shown), default=-1)


def _refuse_links(writable: Sequence[Root], denied: Sequence[str]) -> None:
    """A mount on a path through a link that the command could replace would protect nothing."""
    for kind, paths in (
        ("read-only", [path for root in writable for path in root.read_only]),
        ("deny-read", denied),
    ):
        for path in paths:
            for root in writable:
                link = _link_below(root.path, path)
                if link is not None:
                    raise SandboxUnsupported(
                        f"cannot enforce sandbox {kind} path {path} because it crosses writable symlink {link}"
                    )


def _link_below(root: str, path: str) -> str | None:
    """The first link on the way from a folder to a path inside it."""
    if not inside(path, root):
        return None
    way = [step for step in (path, *map(str, Path(path).parents)) if inside(step, root) and step != root]
    return next((step for step in reversed(way) if os.path.islink(step)), None)
