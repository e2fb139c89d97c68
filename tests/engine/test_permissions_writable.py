"""Where patches may write: roots, links, and the folders in them that stay read-only."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.permissions.writable import can_write
from projections import protocol as p


def policy(*roots: Path) -> p.SandboxPolicy:
    """Without the temporary folders, in which tests keep their workspaces."""
    return p.WorkspaceWriteSandboxPolicy(
        writable_roots=[str(root) for root in roots], exclude_slash_tmp=True, exclude_tmpdir_env_var=True
    )


@pytest.fixture
def work(tmp_path: Path) -> Path:
    for folder in ("work", "root", "root/.git", "outside"):
        (tmp_path / folder).mkdir()
    (tmp_path / "work/link").symlink_to(tmp_path / "outside")
    return tmp_path / "work"


@pytest.mark.parametrize(
    ("path", "asked", "written"),
    [
        ("a", True, True),
        ("sub/.git/x", True, True),
        (".gitx", True, True),
        ("link/x", False, False),
        ("../outside/x", False, False),
        ("../root/x", True, True),
        ("../root/.git/x", False, False),
        (".codex/x", False, False),
        (".git/x", True, False),
        (".agents/x", True, False),
        ("../root/.codex/x", True, False),
    ],
)
def test_a_folder_that_would_be_protected_is_not_made(work: Path, path: str, asked: bool, written: bool) -> None:
    allowed = policy(work.parent / "root")
    assert can_write(allowed, str(work), f"{work}/{path}", None) is asked
    assert can_write(allowed, str(work), f"{work}/{path}", None, creates=True) is written


def test_other_policies_allow_all_or_nothing(work: Path) -> None:
    assert can_write(p.DangerFullAccessSandboxPolicy(), str(work), "/etc/x", None, creates=True)
    assert not can_write(p.ReadOnlySandboxPolicy(), str(work), f"{work}/x", None)
