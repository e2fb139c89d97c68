"""From a permission profile to the sandbox policy that tells older clients and files the same (spec: permissions,
sections 2 and 3).

Pure: the cwd and the places of temporary folders are parameters. A policy never says more than the profile: what
has no counterpart (`none` entries, globs) leaves no trace, and writes that a policy cannot express are refused.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec

from projections import protocol as p

_OUTSIDE = (
    "permissions profile requests filesystem writes outside the workspace root, which is not supported until the"
    " runtime enforces FileSystemSandboxPolicy directly"
)

Entries = Sequence[p.FileSystemSandboxEntry]


class Unprojectable(Exception):
    """No sandbox policy stands for this profile."""

    def __init__(self) -> None:
        super().__init__(_OUTSIDE)


class Places(msgspec.Struct, frozen=True):
    """Where special paths lead, absolute; `None` for a temporary folder that does not exist."""

    cwd: str
    tmpdir: str | None = None
    slash_tmp: str | None = None

    def of(self, target: p.FileSystemPath) -> str | None:
        """The path of an entry's target, normalised by name; `None` for globs and what leads nowhere."""
        match target:
            case p.PathFileSystemPath(path=path):
                return os.path.normpath(path)
            case p.SpecialFileSystemPath(value=p.RootFileSystemSpecialPath()):
                return "/"
            case p.SpecialFileSystemPath(value=p.CurrentWorkingDirectoryFileSystemSpecialPath()):
                return self.cwd
            case p.SpecialFileSystemPath(value=p.ProjectRootsFileSystemSpecialPath(subpath=subpath)):
                return os.path.normpath(os.path.join(self.cwd, subpath or ""))
            case p.SpecialFileSystemPath(value=p.TmpdirFileSystemSpecialPath()):
                return self.tmpdir
            case p.SpecialFileSystemPath(value=p.SlashTmpFileSystemSpecialPath()):
                return self.slash_tmp
        return None


def project(granted: p.PermissionProfile, places: Places) -> tuple[p.SandboxPolicy, p.PermissionProfile]:
    """The policy for a profile, and the profile as it is echoed: paths normalised, `disabled` for no limits at all.

    :raises Unprojectable: for writable places other than the cwd when the cwd itself is not writable
    """
    match granted:
        case p.DisabledPermissionProfile():
            return p.DangerFullAccessSandboxPolicy(), granted
        case p.ExternalPermissionProfile(network=network):
            return _external(network), granted
        case p.ManagedPermissionProfile(file_system=p.UnrestrictedPermissionProfileFileSystemPermissions()):
            if granted.network.enabled:
                return p.DangerFullAccessSandboxPolicy(), p.DisabledPermissionProfile()
            return _external(granted.network), granted
        case p.ManagedPermissionProfile(file_system=p.RestrictedPermissionProfileFileSystemPermissions() as files):
            entries = [_normalised(entry) for entry in files.entries]
            echoed = msgspec.structs.replace(granted, file_system=msgspec.structs.replace(files, entries=entries))
            return _restricted(entries, granted.network, places), echoed
    raise TypeError(granted)


def also_writable(granted: p.ManagedPermissionProfile, root: str, places: Places) -> p.PermissionProfile:
    """The profile with one more writable root, unless an entry for the root folder or `root` writes there already."""
    files = granted.file_system
    if isinstance(files, p.UnrestrictedPermissionProfileFileSystemPermissions):
        return granted
    if any(entry.access == "write" and places.of(entry.path) in ("/", root) for entry in files.entries):
        return granted
    added = p.FileSystemSandboxEntry(path=p.PathFileSystemPath(path=root), access="write")
    return msgspec.structs.replace(granted, file_system=msgspec.structs.replace(files, entries=[*files.entries, added]))


def full_disk_read(entries: Entries) -> bool:
    """May everything be read? A readable root and no `none` entry at all."""
    return any(_is_root(entry) and entry.access != "none" for entry in entries) and not any(
        entry.access == "none" for entry in entries
    )


def full_disk_write(entries: Entries) -> bool:
    """May everything be written? A writable root and nothing that narrows it."""
    return any(_is_root(entry) and entry.access == "write" for entry in entries) and not any(
        _narrows(entry, entries) for entry in entries
    )


def _narrows(entry: p.FileSystemSandboxEntry, entries: Entries) -> bool:
    if entry.access == "write":
        return False
    match entry.path:
        case p.GlobPatternFileSystemPath():
            return True
        case p.SpecialFileSystemPath(value=p.RootFileSystemSpecialPath()):
            return entry.access == "none"
        case p.SpecialFileSystemPath(value=p.MinimalFileSystemSpecialPath() | p.UnknownFileSystemSpecialPath()):
            return False
    target = _target(entry.path)
    return not any(other.access == "write" and _target(other.path) == target for other in entries)


def _target(path: p.FileSystemPath) -> object:
    """Equal for two spellings of one place, as far as spelling goes: cwd tokens are not compared with paths."""
    match path:
        case p.PathFileSystemPath(path="/"):
            return p.RootFileSystemSpecialPath()
        case p.PathFileSystemPath(path="/tmp"):
            return p.SlashTmpFileSystemSpecialPath()
        case p.PathFileSystemPath(path=plain):
            return plain
        case p.SpecialFileSystemPath(value=p.ProjectRootsFileSystemSpecialPath(subpath=None)):
            return p.CurrentWorkingDirectoryFileSystemSpecialPath()
        case p.SpecialFileSystemPath(value=value):
            return value
    return path


def _restricted(entries: Entries, network: p.PermissionProfileNetworkPermissions, places: Places) -> p.SandboxPolicy:
    if full_disk_write(entries):
        return p.DangerFullAccessSandboxPolicy() if network.enabled else _external(network)
    writable = [entry for entry in entries if entry.access == "write"]
    roots = [path for entry in writable if not _is_root(entry) and (path := places.of(entry.path))]
    if places.cwd not in roots:
        if roots or any(_is_root(entry) for entry in writable):
            raise Unprojectable
        return p.ReadOnlySandboxPolicy(access=_read_access(entries, places), network_access=network.enabled)
    written = {type(entry.path.value) for entry in writable if isinstance(entry.path, p.SpecialFileSystemPath)}
    plain = [path for entry in writable if not _is_temporary(entry) and (path := places.of(entry.path)) in roots]
    return p.WorkspaceWriteSandboxPolicy(
        writable_roots=[path for path in dict.fromkeys(plain) if path and path != places.cwd],
        read_only_access=_read_access(entries, places),
        network_access=network.enabled,
        exclude_tmpdir_env_var=p.TmpdirFileSystemSpecialPath not in written,
        exclude_slash_tmp=p.SlashTmpFileSystemSpecialPath not in written,
    )


def _read_access(entries: Entries, places: Places) -> p.ReadOnlyAccess:
    if full_disk_read(entries):
        return p.FullAccessReadOnlyAccess()
    readable = [entry for entry in entries if entry.access == "read"]
    roots = [path for entry in readable if (path := places.of(entry.path))]
    minimal = any(
        isinstance(entry.path, p.SpecialFileSystemPath) and isinstance(entry.path.value, p.MinimalFileSystemSpecialPath)
        for entry in readable
    )
    return p.RestrictedReadOnlyAccess(include_platform_defaults=minimal, readable_roots=list(dict.fromkeys(roots)))


def _external(network: p.PermissionProfileNetworkPermissions) -> p.SandboxPolicy:
    return p.ExternalSandboxSandboxPolicy(network_access="enabled" if network.enabled else "restricted")


def _normalised(entry: p.FileSystemSandboxEntry) -> p.FileSystemSandboxEntry:
    if not isinstance(entry.path, p.PathFileSystemPath):
        return entry
    path = p.PathFileSystemPath(path=os.path.normpath(entry.path.path))
    return msgspec.structs.replace(entry, path=path)


def _is_root(entry: p.FileSystemSandboxEntry) -> bool:
    return isinstance(entry.path, p.SpecialFileSystemPath) and isinstance(entry.path.value, p.RootFileSystemSpecialPath)


def _is_temporary(entry: p.FileSystemSandboxEntry) -> bool:
    return isinstance(entry.path, p.SpecialFileSystemPath) and isinstance(
        entry.path.value, p.TmpdirFileSystemSpecialPath | p.SlashTmpFileSystemSpecialPath
    )
