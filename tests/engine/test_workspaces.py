"""The repository around a turn's folder in the metadata of its requests; the git program is the real one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from engine import git, workspaces
from engine.workspaces import Workspaces
from tests.engine.mocked import mocked
from tests.mock_model import MockModel, Request

pytestmark = pytest.mark.anyio


@pytest.fixture
def model() -> Iterator[MockModel]:
    with MockModel() as running:
        yield running


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit and a remote."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    folder = tmp_path / "repo"
    folder.mkdir()
    for command in (
        "init -q",
        "-c user.name=n -c user.email=e@x commit -q --allow-empty -m x",
        "remote add origin https://example.com/r.git",
    ):
        subprocess.run(["git", *command.split()], cwd=folder, check=True)
    return folder


def told(request: Request) -> Any:
    """The workspaces in a request's metadata."""
    return json.loads(request.headers["x-codex-turn-metadata"]).get("workspaces")


async def test_requests_tell_of_the_repository_as_it_is(tmp_path: Path, model: MockModel, repo: Path) -> None:
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repo, check=True, capture_output=True, text=True)
    known = {
        "associated_remote_urls": {"origin": "https://example.com/r.git"},
        "latest_git_commit_hash": head.stdout.strip(),
        "has_changes": False,
    }
    async with mocked(tmp_path / "home", model) as engine:
        thread = await engine.start(cwd=str(repo))
        await engine.play(thread)
        (repo / "new").write_text("x")
        (repo / "sub").mkdir()
        await engine.play(thread, cwd=str(repo / "sub"))
        await engine.play(thread, cwd=str(tmp_path / "home"))
        changed = known | {"has_changes": True}
        assert [told(request) for request in engine.requests] == [{str(repo): known}, {str(repo): changed}, None]


async def test_a_slow_disk_holds_nothing_up(monkeypatch: pytest.MonkeyPatch, repo: Path) -> None:
    async def never(cwd: Path) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(git, "workspace", never)
    monkeypatch.setattr(workspaces, "PATIENCE", 0.01)
    async with anyio.create_task_group() as tasks:
        found = Workspaces()
        found.look(repo, tasks)
        await found.settled()
        assert found.found is None
        tasks.cancel_scope.cancel()


async def test_what_was_known_of_a_folder_stays_until_it_is_looked_up_again(repo: Path) -> None:
    async with anyio.create_task_group() as tasks:
        found = Workspaces()
        found.look(repo, tasks)
        await found.settled()
        known = found.found
        assert known is not None
        found.look(repo, tasks)
        assert found.found == known
        found.look(repo.parent, tasks)
        assert found.found is None
        await found.settled()
        assert found.found is None


async def test_outside_of_repositories_git_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def asked(cwd: Path) -> None:
        raise AssertionError(cwd)

    monkeypatch.setattr(git, "workspace", asked)
    async with anyio.create_task_group() as tasks:
        found = Workspaces()
        found.look(tmp_path, tasks)
        await found.settled()
        assert found.found is None
