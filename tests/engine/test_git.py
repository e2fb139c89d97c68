"""What git knows about a folder, asked of the real program."""

import os
import subprocess
from pathlib import Path

import pytest

from engine import git
from rollouts import events as ev

pytestmark = pytest.mark.anyio


def run(folder: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=n", "-c", "user.email=e@x", *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    run(tmp_path, "init", "-q", "-b", "main")
    return tmp_path


async def test_outside_a_repository_there_is_nothing(tmp_path: Path) -> None:
    assert await git.info(tmp_path) is None
    assert await git.workspace(tmp_path) is None
    assert await git.info(tmp_path / "missing") is None


async def test_a_repository_without_commits_knows_little(repo: Path) -> None:
    assert await git.info(repo) == ev.GitInfo()
    assert await git.workspace(repo) == (str(repo), git.Workspace(has_changes=False))


async def test_commit_branch_and_origin(repo: Path) -> None:
    run(repo, "commit", "-q", "--allow-empty", "-m", "x")
    run(repo, "remote", "add", "origin", "https://example.com/a/b.git")
    commit = run(repo, "rev-parse", "HEAD")
    (repo / "sub").mkdir()
    assert await git.info(repo / "sub") == ev.GitInfo(commit, "main", "https://example.com/a/b.git")


async def test_a_detached_head_has_no_branch(repo: Path) -> None:
    run(repo, "commit", "-q", "--allow-empty", "-m", "x")
    run(repo, "checkout", "-q", "--detach")
    assert await git.info(repo) == ev.GitInfo(commit_hash=run(repo, "rev-parse", "HEAD"))


async def test_the_merge_base_with_a_branch_or_with_its_upstream_if_that_has_gone_on(repo: Path) -> None:
    def commit(text: str) -> str:
        run(repo, "commit", "--allow-empty", "-qm", text)
        return run(repo, "rev-parse", "HEAD")

    left = commit("one")
    run(repo, "branch", "-q", "theirs")
    run(repo, "branch", "-q", "-u", "theirs")
    assert await git.merge_base(repo, "main") == left
    run(repo, "checkout", "-q", "theirs")
    later = commit("two")
    run(repo, "checkout", "-q", "-b", "mine")
    commit("three")
    assert await git.merge_base(repo, "main") == later
    assert await git.merge_base(repo, "theirs") == later
    for unknown in ("nowhere", "--all"):
        assert await git.merge_base(repo, unknown) is None


async def test_the_workspace_of_the_turn_metadata(repo: Path) -> None:
    run(repo, "commit", "-q", "--allow-empty", "-m", "x")
    for name in ("origin", "up"):
        run(repo, "remote", "add", name, f"https://example.com/{name}.git")
    (repo / "new").write_text("x")
    urls = {name: f"https://example.com/{name}.git" for name in ("origin", "up")}
    assert await git.workspace(repo) == (str(repo), git.Workspace(urls, run(repo, "rev-parse", "HEAD"), True))


async def test_a_missing_git_is_like_no_repository(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repo / "empty"))
    assert await git.info(repo) is None


async def test_a_git_that_hangs_is_given_up(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = repo / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec /bin/sleep 100\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(slow.parent))
    assert await git.info(repo, limit=0.2) is None


async def test_git_and_its_hooks_do_not_read_what_clients_send(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    curious = repo / "bin" / "git"
    curious.parent.mkdir()
    curious.write_text("#!/bin/sh\nexec /bin/cat\n")
    curious.chmod(0o755)
    monkeypatch.setenv("PATH", str(curious.parent))
    ours, (read, write) = os.dup(0), os.pipe()
    try:
        os.dup2(read, 0)
        os.write(write, b"for the server")
        os.close(write)
        await git.info(repo)
        assert os.read(read, 99) == b"for the server"
    finally:
        os.dup2(ours, 0)
        os.close(ours)
        os.close(read)
