"""Where a sandbox policy lets files be written: for patches, which the engine writes itself."""

from __future__ import annotations

import os
from pathlib import Path

from engine.permissions.legacy import PROTECTED, protected_subpaths
from projections import protocol as p


def can_write(policy: p.SandboxPolicy, cwd: str, path: str, tmpdir: str | None, *, creates: bool = False) -> bool:
    """Whether a file may be written; links are followed, so that none leads out.

    :param creates: False to ask about protected folders that are there, True also about those that are not: a patch
        that would make one is let through without a question, and then fails (observed).
    """
    match policy:
        case p.DangerFullAccessSandboxPolicy() | p.ExternalSandboxSandboxPolicy():
            return True
        case p.WorkspaceWriteSandboxPolicy():
            roots = [cwd, *policy.writable_roots]
            if not policy.exclude_slash_tmp:
                roots.append("/tmp")
            if tmpdir and not policy.exclude_tmpdir_env_var:
                roots.append(tmpdir)
            real = os.path.realpath(path)
            return any(_within(real, root, is_cwd=root == cwd, creates=creates) for root in roots)
    return False


def _within(path: str, root: str, *, is_cwd: bool, creates: bool) -> bool:
    real = os.path.realpath(root)
    if not _below(path, real):
        return False
    kept = protected_subpaths(Path(root), is_cwd=is_cwd)
    if creates:
        kept += [os.path.join(root, name) for name in PROTECTED]
    return not any(_below(path, os.path.realpath(each)) for each in kept)


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
