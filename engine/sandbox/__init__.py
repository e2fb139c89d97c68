"""The sandbox of commands: what a policy or profile lets them see, enforced by bubblewrap.

Use `confine` on the way to a process. A policy that asks for no sandbox leaves the command as it is; one that cannot
be enforced raises `SandboxUnsupported`, and the command must not run.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import anyio.to_thread
import msgspec

from engine.permissions import legacy
from engine.processes.spawn import Arg, Command
from engine.sandbox import bubblewrap
from engine.sandbox.denial import likely_denied
from engine.sandbox.view import SandboxUnsupported, View, places, view
from projections import protocol as p

__all__ = ["SandboxUnsupported", "confine", "confined", "likely_denied", "sandboxed", "told"]

NETWORK_DISABLED = "CODEX_SANDBOX_NETWORK_DISABLED"

Permissions = p.SandboxPolicy | p.PermissionProfile


async def confine(command: Command, permissions: Permissions, workspace: str) -> Command:
    """`confined`, without holding up others while files are looked for that patterns deny. Else it does not wait."""
    if _has_patterns(permissions):
        return await anyio.to_thread.run_sync(confined, command, permissions, workspace)
    return confined(command, permissions, workspace)


def confined(command: Command, permissions: Permissions, workspace: str) -> Command:
    """The command as it runs under a policy or profile: wrapped, and told when it has no network.

    :param workspace: the folder that the policy is about, the turn's. Not that of the command: a command chooses its
        own folder, and must not thereby choose what it may write.
    :raises SandboxUnsupported: the policy cannot be enforced here.
    """
    argv = sandboxed(command.argv, permissions, workspace)
    return msgspec.structs.replace(told(command, permissions), argv=argv)


def told(command: Command, permissions: Permissions) -> Command:
    """The command, told when its policy or profile gives it no network: also where nothing keeps it from using one."""
    if _network(permissions):
        return command
    return msgspec.structs.replace(command, env={**command.env, NETWORK_DISABLED: "1"})


def sandboxed(argv: Sequence[Arg], permissions: Permissions, workspace: str) -> tuple[Arg, ...]:
    """The command line that runs `argv` under a policy or profile; see `confined`, which also sets the environment.

    :raises SandboxUnsupported: the policy cannot be enforced here.
    """
    if isinstance(permissions, p.ExternalSandboxSandboxPolicy | p.ExternalPermissionProfile):
        return tuple(argv)
    seen = _view(permissions, workspace)
    if seen.writes_all and seen.network:
        return tuple(argv)
    writable = [root.path for root in seen.writable if root.path != "/"]
    program = bubblewrap.find(os.environ.get("PATH", ""), writable)
    return bubblewrap.confine(argv, seen, program, proc=bubblewrap.mounts_proc(program))


def _view(permissions: Permissions, workspace: str) -> View:
    profile = legacy.profile(permissions, Path(workspace)) if isinstance(permissions, p.SandboxPolicy) else permissions
    try:
        return view(profile, places(workspace, os.environ))
    except OSError as error:
        raise SandboxUnsupported(f"unreadable glob expansion: {error}") from error


def _has_patterns(permissions: Permissions) -> bool:
    return (
        isinstance(permissions, p.ManagedPermissionProfile)
        and isinstance(permissions.file_system, p.RestrictedPermissionProfileFileSystemPermissions)
        and any(isinstance(entry.path, p.GlobPatternFileSystemPath) for entry in permissions.file_system.entries)
    )


def _network(permissions: Permissions) -> bool:
    match permissions:
        case p.DangerFullAccessSandboxPolicy() | p.DisabledPermissionProfile():
            return True
        case p.ExternalSandboxSandboxPolicy(network_access=access):
            return access == "enabled"
        case p.ReadOnlySandboxPolicy() | p.WorkspaceWriteSandboxPolicy():
            return permissions.network_access
        case _:
            return permissions.network.enabled
