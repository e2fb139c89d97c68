"""`make run` as a person runs it: the whole story from start to end, and what happens when something is off."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from rollouts.layout import Home
from tools.demo import __main__ as program
from tools.demo.stage import Stage
from tools.demo.story import Story


def test_the_story_is_told_to_the_end_and_leaves_its_files_when_asked(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    command = [sys.executable, "-m", "tools.demo", "--keep", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "✗" not in done.stdout
    for word in ("thread/resume", "thread/fork", "kill -9", "sessionStartSource clear", "heron"):
        assert word in done.stdout
    sessions = list(Home(folder / "home").sessions.rglob("*.jsonl"))
    assert len(sessions) == 3, "the session, its fork, and the one after clear"


def test_the_exit_code_says_when_something_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    async def tell(story: Story) -> None:
        story.stage.check("the usage is the same", 1, 2)

    monkeypatch.setattr(Story, "tell", tell)
    with pytest.raises(SystemExit) as ended:
        program.demo()
    assert ended.value.code == 1


def test_a_server_that_dies_on_its_own_ends_the_story(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tools.demo.story.SERVER", (sys.executable, "-c", "input()"))
    with pytest.raises(SystemExit) as ended:
        program.demo()
    assert ended.value.code == 1
    assert "the connection ended before the answer to initialize" in capsys.readouterr().out


def shown(stage: Stage) -> list[str]:
    file = stage.console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue().splitlines()


@pytest.fixture
def stage() -> Stage:
    return Stage(Console(file=io.StringIO(), highlight=False))


def test_a_failed_check_shows_what_was_expected_and_what_was_found(stage: Stage) -> None:
    stage.check("it is so", "this", "that")
    assert (stage.held, stage.failed) == (0, 1)
    assert shown(stage) == ["  ✗ it is so", "      expected 'this'", "      found    'that'"]


def test_an_answer_is_shown_with_the_method_it_answers(stage: Stage) -> None:
    stage.observe("sent", {"id": 7, "method": "thread/list", "params": {}})
    stage.observe("received", {"id": 7, "result": {"data": [1, 2]}})
    stage.observe("sent", {"id": 8, "method": "thread/read", "params": {}})
    stage.observe("received", {"id": 8, "error": {"code": -32600, "message": "thread not found"}})
    assert [" ".join(line.split()) for line in shown(stage)] == [
        "→ thread/list",
        "← thread/list answer 2 threads",
        "→ thread/read",
        "← thread/read refused thread not found",
    ]


def test_deltas_in_a_row_are_one_line(stage: Stage) -> None:
    for _ in range(3):
        stage.observe("received", {"method": "item/agentMessage/delta", "params": {"delta": "x"}})
    stage.observe("received", {"method": "warning", "params": {}})
    assert [" ".join(line.split()) for line in shown(stage)] == ["← item/agentMessage/delta ×3", "← warning"]


def test_a_brief_stage_leaves_out_what_every_turn_repeats_but_no_refusal(stage: Stage) -> None:
    stage.be_brief()
    stage.observe("sent", {"id": 1, "method": "turn/start", "params": {"input": []}})
    stage.observe("received", {"id": 1, "error": {"code": -32600, "message": "no such thread"}})
    stage.observe("received", {"method": "thread/status/changed", "params": {"status": {"type": "idle"}}})
    assert [" ".join(line.split()) for line in shown(stage)][1:] == [
        "→ turn/start “”",
        "← turn/start refused no such thread",
    ]
