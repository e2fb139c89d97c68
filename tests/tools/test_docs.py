"""README and ARCHITECTURE say what is so: the example runs, commands, modules and methods exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import served

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
ROOMS = ("rollouts", "projections", "engine", "tools", "tests")


def blocks(language: str) -> list[str]:
    """The code blocks of the README in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_the_example_of_the_readme_is_a_whole_program(tmp_path: Path) -> None:
    (example,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    said, usage, turn, resumed, replayed = done.stdout.splitlines()
    assert said.startswith("agent: Hello! This is message 1 of our session")
    assert re.fullmatch(r"usage: \d+ tokens", usage)
    assert (turn, resumed, replayed) == ("turn: completed", "resumed: 1 turn", usage)


def test_every_command_of_make_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE))
    assert {"run", "test", "serve", "bench"} <= named <= targets


def test_the_flags_shown_for_replay_exist() -> None:
    command = [sys.executable, "-m", "tools.replay", "--help"]
    usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    shown = [line for block in blocks("sh") for line in block.splitlines() if "rollout-replay" in line]
    flags = {flag for line in shown for flag in re.findall(r"--[a-z]+", line)}
    assert {"--state", "--diff", "--check"} <= flags
    assert all(flag in usage for flag in flags)


def test_the_table_of_methods_is_current() -> None:
    assert served.replaced(README, served.table(served.current())) == README, "run python -m tools.served"


def test_the_table_shows_what_is_served_what_is_not_and_where_nothing_is() -> None:
    shown = served.table({"initialize": True, "thread/start": True, "thread/name/set": False, "fs/copy": False})
    assert shown.splitlines()[2:] == [
        "| thread | `start` | `name/set` |",
        "| without area | `initialize` |  |",
        "",
        "Nothing yet of: fs.",
    ]


@pytest.mark.parametrize("text", [README, ARCHITECTURE], ids=["README", "ARCHITECTURE"])
def test_every_module_and_folder_named_exists(text: str) -> None:
    known = {f"/{path.relative_to(ROOT)}" for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    folders = {f"{path.rpartition('/')[0]}/" for path in known} | {f"/{room}/" for room in ROOMS}
    named = {name for name in re.findall(r"`([\w./-]+)`", text) if re.fullmatch(r"[\w/]+\.py|[\w/]+/", name)}
    user_folders = {"sessions/", "archived_sessions/", "skills/"}
    missing = [
        name
        for name in sorted(named - user_folders)
        if not any(path.endswith(f"/{name}") for path in (folders if name.endswith("/") else known))
    ]
    assert not missing


@pytest.mark.parametrize("text", [README, ARCHITECTURE], ids=["README", "ARCHITECTURE"])
def test_every_link_leads_somewhere(text: str) -> None:
    headings = {re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in text.splitlines()}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert target[1:] in headings if target.startswith("#") else (ROOT / target).exists()
