"""What clients hear about a configuration that cannot be used."""

from pathlib import Path

from engine.config_warnings import config_warnings


def test_a_sound_home_gives_none(tmp_path: Path) -> None:
    assert config_warnings(tmp_path, {}, tmp_path) == []


def test_a_bad_value_is_named_by_file_line_and_column(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('model = "m"\nmodel_reasoning_effort = 7\n')
    (warning,) = config_warnings(tmp_path, {}, tmp_path)
    assert warning.summary == "Invalid configuration; using defaults."
    assert warning.path == str(tmp_path / "config.toml")
    assert warning.range.start.line == 2  # type: ignore[union-attr]
    assert warning.range.start.column == 26  # type: ignore[union-attr]


def test_rules_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.rules").write_text("\nnonsense(\n")
    (warning,) = config_warnings(tmp_path, {}, tmp_path)
    assert warning.summary == "Error parsing rules; custom rules not applied."
    assert warning.path == str(tmp_path / "rules" / "a.rules")


def test_rules_of_a_project_count_only_when_it_is_trusted(tmp_path: Path) -> None:
    project, home = tmp_path / "project", tmp_path / "home"
    (project / ".codex" / "rules").mkdir(parents=True)
    (project / ".git").mkdir()
    home.mkdir()
    (project / ".codex" / "rules" / "a.rules").write_text("nonsense(\n")
    assert config_warnings(home, {}, project) == []
    (home / "config.toml").write_text(f'[projects."{project}"]\ntrust_level = "trusted"\n')
    assert len(config_warnings(home, {}, project)) == 1
