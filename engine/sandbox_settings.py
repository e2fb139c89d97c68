"""The sandbox policy of a thread, and the permission profile that says the same: as configured or as asked for."""

from __future__ import annotations

import os
from pathlib import Path

from engine.config import Config
from engine.permissions import bridge, legacy
from projections import protocol as p


def configured_sandbox(config: Config) -> tuple[p.SandboxPolicy, p.PermissionProfile]:
    """Policy and profile of the configuration alone."""
    write = config.workspace_write
    policy = legacy.for_mode(
        config.sandbox_mode or ("workspace-write" if config.trust else "read-only"),
        p.WorkspaceWriteSandboxPolicy(
            writable_roots=list(dict.fromkeys([*write.writable_roots, _memories(config)])),
            network_access=write.network_access,
            exclude_tmpdir_env_var=write.exclude_tmpdir_env_var,
            exclude_slash_tmp=write.exclude_slash_tmp,
        ),
    )
    return policy, legacy.profile(policy, config.cwd)


def granted_sandbox(wanted: p.PermissionProfile, config: Config) -> tuple[p.SandboxPolicy, p.PermissionProfile]:
    """Policy and profile for a profile that a client wants; with a writable workspace so are the notes (observed).

    :raises Unprojectable: no sandbox policy can say the same.
    """
    here = places(config.cwd)
    sandbox, granted = bridge.project(wanted, here)
    if not isinstance(sandbox, p.WorkspaceWriteSandboxPolicy) or not isinstance(granted, p.ManagedPermissionProfile):
        return sandbox, granted
    return bridge.project(bridge.also_writable(granted, _memories(config), here), here)


def places(cwd: Path) -> bridge.Places:
    """What the symbolic folders of a profile stand for."""
    tmpdir = os.environ.get("TMPDIR", "")
    return bridge.Places(
        cwd=str(cwd),
        tmpdir=tmpdir if os.path.isabs(tmpdir) else None,
        slash_tmp="/tmp" if os.path.isdir("/tmp") else None,
    )


def _memories(config: Config) -> str:
    """The folder that stays writable wherever the workspace is: the agent keeps its notes there."""
    return str(config.home / "memories")
