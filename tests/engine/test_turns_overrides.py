"""What parameters of turns and threads reach besides the plain request to the model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from projections import protocol as p
from tests.engine.mocked import mocked
from tests.mock_model import Drop, MockModel, created

pytestmark = pytest.mark.anyio


async def test_skills_are_those_of_the_folder_the_turn_runs_in(tmp_path: Path) -> None:
    folder = tmp_path / "other"
    file = folder / ".agents" / "skills" / "there" / "SKILL.md"
    file.parent.mkdir(parents=True)
    file.write_text("---\nname: there\ndescription: d\n---\n")
    with MockModel() as model:
        model.say("fine")
        async with mocked(tmp_path / "home", model) as engine:
            thread = await engine.start()
            await engine.play(thread, "use $there", cwd=str(folder))
            (request,) = engine.requests
            pulled_in = request.json["input"][-1]["content"][0]["text"]
            assert pulled_in.startswith("<skill>\n<name>there</name>")


async def test_overrides_of_turns_sent_at_once_add_up(tmp_path: Path) -> None:
    with MockModel() as model:
        async with mocked(tmp_path / "home", model) as engine:
            thread = await engine.start()
            turn = engine.open(thread, effort="high")
            engine.open(thread, summary="detailed")
            await engine.ended(turn)
            settings = engine.host.threads.get(thread).settings
            assert (settings.effort, settings.summary) == ("high", "detailed")


async def test_client_metadata_goes_with_the_compaction_of_its_turn(tmp_path: Path) -> None:
    with MockModel() as model:
        model.say("large", usage=(900, 0, 50, 0))
        model.say("SUMMARY")
        model.say("fine")
        async with mocked(tmp_path / "home", model, "model_auto_compact_token_limit = 900") as engine:
            thread = await engine.start()
            await engine.play(thread)
            await engine.play(thread, responsesapiClientMetadata={"of": "this"})
            told = [json.loads(request.headers["x-codex-turn-metadata"]).get("of") for request in engine.requests]
            assert told == [None, "this", "this"]


async def test_a_thread_may_have_no_base_instructions(tmp_path: Path) -> None:
    (tmp_path / "configured.md").write_text("configured")
    with MockModel() as model:
        async with mocked(tmp_path / "home", model, f'model_instructions_file = "{tmp_path}/configured.md"') as engine:
            await engine.play(await engine.start(base_instructions=""))
            await engine.play(await engine.start())
            none, configured = engine.requests
            assert "instructions" not in none.json
            assert configured.json["instructions"] == "configured"


async def test_another_attempt_at_a_request_says_what_the_first_said(tmp_path: Path) -> None:
    with MockModel() as model:
        model.play(created(), model.hold(), Drop())
        async with mocked(tmp_path / "home", model, stream_max_retries=1) as engine:
            thread = await engine.start()
            turn = engine.open(thread, responsesapiClientMetadata={"said": "first"})
            await engine.until(model.wait_requests, 1)
            given: list[p.UserInput] = [p.TextUserInput(text="more")]
            said = {"said": "then"}
            params = p.TurnSteerParams(
                thread_id=thread, expected_turn_id=turn, input=given, responsesapi_client_metadata=said
            )
            await engine.host.turns.steer(params)
            model.release()
            await engine.ended(turn)
            told = [json.loads(request.headers["x-codex-turn-metadata"])["said"] for request in engine.requests]
            assert told == ["first", "first", "then"]
