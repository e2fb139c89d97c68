"""Trust: which folder a decision is looked up for, and how it is recorded."""

import subprocess
import tomllib
from pathlib import Path

import pytest

from engine.config import ConfigError, git_root, load, project_root, record_trusted, rule_folders
from engine.config.trust import trust_level


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e@x", *words], cwd=folder, check=True)


def test_the_project_root_is_the_nearest_folder_with_a_marker(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "a" / ".hg").mkdir()
    assert project_root(inner, (".hg",)) == tmp_path / "a"
    assert project_root(inner, ()) == inner
    assert project_root(tmp_path / "missing" / "x", ("no such marker",)) == tmp_path / "missing" / "x"


def test_the_git_root_of_a_linked_worktree_is_the_main_one(tmp_path: Path) -> None:
    main, linked = tmp_path / "main", tmp_path / "linked"
    main.mkdir()
    git(main, "init", "-q")
    git(main, "commit", "-q", "--allow-empty", "-m", "x")
    git(main, "worktree", "add", "-q", str(linked))
    assert git_root(linked) == main
    assert git_root(main) == main
    assert git_root(tmp_path) is None


def test_trust_is_looked_up_for_the_folder_its_root_and_its_repository(tmp_path: Path) -> None:
    inner = tmp_path / "repo" / "inner"
    inner.mkdir(parents=True)
    table = {"projects": {str(tmp_path / "repo"): {"trust_level": "trusted"}}}
    assert trust_level(table, inner, inner) is None
    assert trust_level(table, inner, tmp_path / "repo") == "trusted"
    (tmp_path / "repo" / ".git").mkdir()
    assert trust_level(table, inner, inner) == "trusted"
    nearer = {"projects": {**table["projects"], str(inner): {"trust_level": "untrusted"}}}
    assert trust_level(nearer, inner, inner) == "untrusted"


def test_a_file_where_a_project_would_have_its_folder_is_nothing_to_it(tmp_path: Path) -> None:
    """A sandbox leaves an empty `.codex` behind."""
    home, inner = tmp_path / "home", tmp_path / "repo" / "inner"
    for folder in (home, tmp_path / "repo" / ".codex", inner):
        folder.mkdir(parents=True)
    (tmp_path / "repo" / ".git").mkdir()
    (inner / ".codex").touch()
    record_trusted(home, tmp_path / "repo")
    config = load(home, {}, inner)
    assert config.trust == "trusted"
    assert rule_folders(config) == [home, tmp_path / "repo" / ".codex"]


def test_recording_keeps_the_file_as_it_is(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('# mine\nmodel = "m"  # why\n\n[features]\nundo = true\n')
    project = tmp_path / "a project.v2"
    assert record_trusted(tmp_path, project) == project
    assert record_trusted(tmp_path, tmp_path / "other") == tmp_path / "other"
    text = config.read_text()
    assert text.startswith('# mine\nmodel = "m"  # why\n\n[features]\nundo = true\n')
    levels = {name: entry["trust_level"] for name, entry in tomllib.loads(text)["projects"].items()}
    assert levels == {str(project): "trusted", str(tmp_path / "other"): "trusted"}
    assert load(tmp_path, {}, project).trust == "trusted"
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


def test_recording_keeps_a_link_and_the_mode(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "codex.toml"
    real.parent.mkdir()
    real.touch(mode=0o600)
    (tmp_path / "config.toml").symlink_to(real)
    record_trusted(tmp_path, tmp_path / "p")
    assert (tmp_path / "config.toml").is_symlink()
    assert "trusted" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o600


def test_recording_makes_a_missing_file(tmp_path: Path) -> None:
    record_trusted(tmp_path, tmp_path / "p")
    assert load(tmp_path, {}, tmp_path / "p").trust == "trusted"


def test_recording_in_a_broken_file_leaves_it_alone(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("a = = b")
    with pytest.raises(ConfigError):
        record_trusted(tmp_path, tmp_path / "p")
    assert (tmp_path / "config.toml").read_text() == "a = = b"
