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
_MAX_LINKS = 40


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
    named = [(path, entry.access) for entry in files.entries if (path := where.of(entry.path)) is not None]
    writable = [os.path.realpath(path) for path, access in named if access == "write" and os.path.exists(path)]
    globs = [found for glob in _denied_globs(files) for found in masked_files(glob, where.cwd, _depth(files))]
    denied = {_settled(path, writable, "deny-read") for path in (*_with(named, "none"), *globs)}
    if "/" in denied:
        raise SandboxUnsupported("a sandbox cannot deny to read `/`")
    roots = sorted(dict.fromkeys(path for path in writable if path not in denied), key=depth)
    read_only = [path for path in _with(named, "read") if not _outside(path, roots)]
    kept = [
        path for path in (_settled(path, roots, "read-only") for path in read_only) if path not in {*roots, *denied}
    ]
    explicit = {*roots, *kept, *denied}
    masks = sorted(denied, key=lambda path: (depth(path), path))
    readable = [*_with(named, "read"), *_with(named, "write"), *(PLATFORM if any(map(_minimal, files.entries)) else ())]
    return View(
        network=network,
        reads_all="/" in readable,
        readable=tuple(sorted({each for path in readable for each in (path, _real(path)) if os.path.exists(each)})),
        writable=tuple(_root(root, roots, kept, explicit, where) for root in roots),
        denied=tuple(path for path in masks if not _hidden_already(path, masks, roots)),
    )


def _with(named: Sequence[tuple[str, str]], access: str) -> list[str]:
    return [path for path, given in named if given == access]


def _real(path: str) -> str:
    """Where a path leads; those of the platform stay as they are known."""
    return path if path in PLATFORM else os.path.realpath(path)


def _outside(path: str, roots: Sequence[str]) -> bool:
    """Is this in no writable root, by its own name or where it leads?"""
    return not any(inside(each, root) for each in (path, os.path.realpath(path)) for root in roots)


def _root(root: str, roots: Sequence[str], read_only: Sequence[str], explicit: set[str], where: Places) -> Root:
    is_cwd = root == os.path.realpath(where.cwd)
    protected = [_settled(path, roots, "read-only") for path in protected_subpaths(Path(root), is_cwd=is_cwd)]
    kept = [path for path in protected if path not in explicit] + [path for path in read_only if inside(path, root)]
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


def _minimal(entry: p.FileSystemSandboxEntry) -> bool:
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


def _settled(path: str, writable: Sequence[str], kind: str) -> str:
    """Where a path leads, when no command can make it lead elsewhere.

    :raises SandboxUnsupported: it crosses a link in a writable place: a mount behind it would protect nothing.
    """
    at, steps, links = "/", path.split("/")[::-1], 0
    while steps:
        step = steps.pop()
        at = os.path.normpath(os.path.join(at, step))
        if not os.path.islink(at):
            continue
        if any(inside(at, root) for root in writable):
            raise SandboxUnsupported(
                f"cannot enforce sandbox {kind} path {path} because it crosses writable symlink {at}"
            )
        links += 1
        if links > _MAX_LINKS:
            raise SandboxUnsupported(f"cannot enforce sandbox {kind} path {path}: too many levels of symbolic links")
        steps += os.readlink(at).split("/")[::-1]
        at = "/" if os.readlink(at).startswith("/") else os.path.dirname(at)
    return at
