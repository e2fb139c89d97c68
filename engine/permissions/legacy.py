"""Sandbox policies of the old kind (`read-only`, `workspace-write`, ...) and the permission profiles they stand for.

Policies and profiles are the published types; `core_policy` and `core_profile` give the spelling of rollout lines
(spec: permissions, sections 1, 3 and 4). Only `protected_subpaths` looks at the disk.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from projections import protocol as p

PROTECTED = (".git", ".agents", ".codex")


def for_mode(mode: str, write: p.WorkspaceWriteSandboxPolicy) -> p.SandboxPolicy:
    """The policy of a configured mode; `write` is what `workspace-write` stands for there."""
    policies: dict[str, p.SandboxPolicy] = {
        "read-only": p.ReadOnlySandboxPolicy(),
        "workspace-write": write,
        "danger-full-access": p.DangerFullAccessSandboxPolicy(),
    }
    return policies[mode]


def profile(policy: p.SandboxPolicy, cwd: Path) -> p.PermissionProfile:
    """The profile that decides what the policy decides for a thread in `cwd`."""
    match policy:
        case p.DangerFullAccessSandboxPolicy():
            return p.DisabledPermissionProfile()
        case p.ExternalSandboxSandboxPolicy(network_access=access):
            return p.ExternalPermissionProfile(network=_network(access == "enabled"))
        case p.ReadOnlySandboxPolicy(access=access):
            entries = _readable(access, cwd_too=True)
        case p.WorkspaceWriteSandboxPolicy():
            entries = _workspace_write(policy, cwd)
    files = p.RestrictedPermissionProfileFileSystemPermissions(entries=entries)
    return p.ManagedPermissionProfile(network=_network(policy.network_access), file_system=files)


PROTECTED = (".git", ".agents", ".codex")
"""Folders of a writable root that stay read-only."""


def protected_subpaths(root: Path, *, is_cwd: bool = False) -> list[str]:
    """What stays read-only inside a writable root, in the reference's order.

    The folder that a `.git` file points to, `.git`, `.agents` and `.codex`; the last one of the cwd also when
    missing, so that its first creation stays blocked.
    """
    found = []
    dot_git = root / ".git"
    if dot_git.is_file() and (target := _gitdir(dot_git)):
        found.append(str(target))
    found += [str(dot_git)] if dot_git.exists() else []
    found += [str(root / ".agents")] if (root / ".agents").is_dir() else []
    found += [str(root / ".codex")] if is_cwd or (root / ".codex").is_dir() else []
    return found


def core_policy(policy: p.SandboxPolicy) -> dict[str, Any]:
    """The policy as a rollout line writes it: kebab tag, snake_case keys, full read access left out."""
    match policy:
        case p.DangerFullAccessSandboxPolicy():
            return {"type": "danger-full-access"}
        case p.ExternalSandboxSandboxPolicy():
            return {"type": "external-sandbox", "network_access": policy.network_access}
        case p.ReadOnlySandboxPolicy():
            network = {"network_access": True} if policy.network_access else {}
            return {"type": "read-only", **_core_access("access", policy.access), **network}
        case p.WorkspaceWriteSandboxPolicy():
            roots = {"writable_roots": list(policy.writable_roots)} if policy.writable_roots else {}
            return {
                "type": "workspace-write",
                **roots,
                **_core_access("read_only_access", policy.read_only_access),
                "network_access": policy.network_access,
                "exclude_tmpdir_env_var": policy.exclude_tmpdir_env_var,
                "exclude_slash_tmp": policy.exclude_slash_tmp,
            }


def core_profile(granted: p.PermissionProfile) -> dict[str, Any]:
    """The profile as a rollout line writes it."""
    match granted:
        case p.DisabledPermissionProfile():
            return {"type": "disabled"}
        case p.ExternalPermissionProfile(network=network):
            return {"type": "external", "network": _core_network(network)}
        case p.ManagedPermissionProfile(network=network, file_system=files):
            return {"type": "managed", "file_system": _core_files(files), "network": _core_network(network)}


def _entry(target: p.FileSystemPath, access: p.FileSystemAccessMode) -> p.FileSystemSandboxEntry:
    return p.FileSystemSandboxEntry(path=target, access=access)


def _paths(paths: Sequence[str], access: p.FileSystemAccessMode) -> list[p.FileSystemSandboxEntry]:
    return [_entry(p.PathFileSystemPath(path=path), access) for path in paths]


def _special(value: p.FileSystemSpecialPath, access: p.FileSystemAccessMode) -> p.FileSystemSandboxEntry:
    return _entry(p.SpecialFileSystemPath(value=value), access)


def _network(enabled: bool) -> p.PermissionProfileNetworkPermissions:
    return p.PermissionProfileNetworkPermissions(enabled=enabled)


def _readable(access: p.ReadOnlyAccess, *, cwd_too: bool, below: Sequence[str] = ()) -> list[p.FileSystemSandboxEntry]:
    """Entries for the read access of a policy; roots inside the writable roots `below` need no entry."""
    if isinstance(access, p.FullAccessReadOnlyAccess):
        return [_special(p.RootFileSystemSpecialPath(), "read")]
    cwd = [_special(p.CurrentWorkingDirectoryFileSystemSpecialPath(), "read")] if cwd_too else []
    minimal = [_special(p.MinimalFileSystemSpecialPath(), "read")] if access.include_platform_defaults else []
    roots = [root for root in access.readable_roots if not any(Path(root).is_relative_to(b) for b in below)]
    return [*cwd, *minimal, *_paths(roots, "read")]


def _workspace_write(policy: p.WorkspaceWriteSandboxPolicy, cwd: Path) -> list[p.FileSystemSandboxEntry]:
    roots = policy.writable_roots
    entries = _readable(policy.read_only_access, cwd_too=False, below=[str(cwd), *roots])
    entries.append(_special(p.CurrentWorkingDirectoryFileSystemSpecialPath(), "write"))
    if not policy.exclude_slash_tmp:
        entries.append(_special(p.SlashTmpFileSystemSpecialPath(), "write"))
    if not policy.exclude_tmpdir_env_var:
        entries.append(_special(p.TmpdirFileSystemSpecialPath(), "write"))
    entries += _paths(roots, "write")
    kept = [path for root in roots for path in protected_subpaths(Path(root), is_cwd=Path(root) == cwd)]
    protected = dict.fromkeys([*protected_subpaths(cwd, is_cwd=True), *kept])
    return entries + _paths([path for path in protected if path not in roots], "read")


def _gitdir(dot_git: Path) -> Path | None:
    try:
        pointer = dot_git.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
    if not pointer.startswith("gitdir:"):
        return None
    target = Path(os.path.normpath(dot_git.parent / pointer.removeprefix("gitdir:").strip()))
    return target if target.exists() else None


def _core_access(key: str, access: p.ReadOnlyAccess) -> dict[str, Any]:
    if isinstance(access, p.FullAccessReadOnlyAccess):
        return {}
    return {
        key: {
            "type": "restricted",
            "include_platform_defaults": access.include_platform_defaults,
            **({"readable_roots": list(access.readable_roots)} if access.readable_roots else {}),
        }
    }


def _core_network(network: p.PermissionProfileNetworkPermissions) -> str:
    return "enabled" if network.enabled else "restricted"


def _core_files(files: p.PermissionProfileFileSystemPermissions) -> dict[str, Any]:
    if isinstance(files, p.UnrestrictedPermissionProfileFileSystemPermissions):
        return {"type": "unrestricted"}
    written: dict[str, Any] = {"type": "restricted", "entries": [_core_entry(entry) for entry in files.entries]}
    if files.glob_scan_max_depth:
        written["glob_scan_max_depth"] = files.glob_scan_max_depth
    return written


def _core_entry(entry: p.FileSystemSandboxEntry) -> dict[str, Any]:
    """The same entry, without an absent subpath."""
    written: dict[str, Any] = msgspec.to_builtins(entry)
    value = written["path"].get("value", {})
    if value.get("subpath", "") is None:
        del value["subpath"]
    return written
