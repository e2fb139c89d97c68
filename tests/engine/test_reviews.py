"""Reviews through a whole engine: what takes the place of what, how a review ends, who hears of a detached one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.errors import BadRequest, Internal
from engine.journal import Journal
from projections import protocol as p
from rollouts import events as ev
from rollouts.log import LogError
from tests.engine.harness import CLIENT, until
from tests.engine.mocked import Mocked, mocked
from tests.mock_model import MockModel, completed, created, message, reasoning

pytestmark = pytest.mark.anyio

NO_RESULT = "Review was interrupted. Please re-run /review and wait for it to complete."
CUSTOM = {"type": "custom", "instructions": "look at it"}


@pytest.fixture
def model() -> Iterator[MockModel]:
    with MockModel() as running:
        yield running


def repository(folder: Path, branch: str) -> str:
    """A repository with one commit; gives its hash."""
    git = ["git", "-C", str(folder), "-c", "user.name=n", "-c", "user.email=e@x"]
    subprocess.run([*git, "init", "-q", "-b", branch], check=True)
    subprocess.run([*git, "commit", "--allow-empty", "-qm", "one"], check=True)
    return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


async def review(engine: Mocked, thread: str, target: Any = CUSTOM, **params: Any) -> p.ReviewStartResponse:
    given = {"threadId": thread, "target": target, **params}
    begun = await engine.host.reviews.start(msgspec.convert(given, p.ReviewStartParams), CLIENT)
    begun.begin()
    return begun.response


def kinds(engine: Mocked, thread: str) -> list[str]:
    return [kind for kind, _ in engine.lines(thread)]


async def test_a_review_takes_the_place_of_the_running_turn(tmp_path: Path, model: MockModel) -> None:
    model.play(created(), model.hold())
    model.say("fine")
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        turn = engine.open(thread)
        await engine.until(model.wait_requests, 1)
        begun = await review(engine, thread)
        assert (await engine.ended(turn)).status == "interrupted"
        assert (await engine.ended(begun.turn.id)).status == "completed"
        (aborted,) = (payload for kind, payload in engine.lines(thread) if kind == "turn_aborted")
        assert aborted["reason"] == "replaced"
        assert not any("<turn_aborted>" in json.dumps(payload) for _, payload in engine.lines(thread))


async def test_an_interrupted_review_says_so_to_clients_and_to_the_model(tmp_path: Path, model: MockModel) -> None:
    model.play(created(), model.hold())
    model.say("after")
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        begun = await review(engine, thread)
        await engine.until(model.wait_requests, 1)
        told_before_the_answer: list[str] = []
        engine.host.turns.interrupt(
            p.TurnInterruptParams(thread_id=thread, turn_id=begun.turn.id),
            lambda: told_before_the_answer.extend(method for method, _ in engine.told()),
        )
        assert (await engine.ended(begun.turn.id)).status == "interrupted"
        assert told_before_the_answer[-1] == "item/completed"
        assert engine.heard("item/completed")[-1]["item"]["text"] == NO_RESULT
        await engine.play(thread)
        said = [part["text"] for item in engine.requests[-1].json["input"] for part in item["content"]]
        assert any("<results>\n  None.\n  </results>\n</user_action>\n\n" in text for text in said)
        assert NO_RESULT in said


async def test_a_reviewer_that_fails_fails_the_turn(tmp_path: Path, model: MockModel) -> None:
    model.fail(400, {"error": {"message": "no"}})
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        begun = await review(engine, thread)
        ended = await engine.ended(begun.turn.id)
        assert ended.status == "failed"
        assert [error["willRetry"] for error in engine.heard("error")] == [False]
        assert engine.heard("item/completed")[-1]["item"]["text"] == NO_RESULT
        assert "turn_error" in kinds(engine, thread)


async def test_a_review_that_cannot_be_written_ends_under_its_own_id(
    tmp_path: Path, model: MockModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Journal.append

    def no_results(journal: Journal, bodies: Iterable[ev.Body]) -> None:
        events = list(bodies)
        if any(isinstance(event, ev.ExitedReviewMode) for event in events):
            raise LogError(tmp_path, "no space left")
        append(journal, events)

    monkeypatch.setattr(Journal, "append", no_results)
    async with mocked(tmp_path, model) as engine:
        begun = await review(engine, await engine.start())
        assert (await engine.ended(begun.turn.id)).status == "failed"


async def test_a_review_begins_though_the_turn_in_its_place_cannot_be_ended(
    tmp_path: Path, model: MockModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Journal.append

    def no_ends(journal: Journal, bodies: Iterable[ev.Body]) -> None:
        events = list(bodies)
        if any(isinstance(event, ev.TurnAborted) for event in events):
            raise LogError(tmp_path, "no space left")
        append(journal, events)

    monkeypatch.setattr(Journal, "append", no_ends)
    model.play(created(), model.hold())
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        turn = engine.open(thread)
        await engine.until(model.wait_requests, 1)
        begun = await review(engine, thread)
        assert (await engine.ended(turn)).status == "failed"
        assert (await engine.ended(begun.turn.id)).status == "completed"


async def test_what_a_reviewer_thinks_and_says_on_the_way_is_written_in_the_parent(
    tmp_path: Path, model: MockModel
) -> None:
    model.play(created(), reasoning("thinking"), *message("first", "m1"), *message("second", "m2"), completed())
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        await engine.ended((await review(engine, thread)).turn.id)
        lines = engine.lines(thread)
        assert [payload["text"] for kind, payload in lines if kind == "agent_reasoning"] == ["thinking", "thinking"]
        assert [payload["message"] for kind, payload in lines if kind == "agent_message"] == ["first", "second"]


async def test_a_reviewer_works_as_the_thread_was_started_with_the_model_of_now(
    tmp_path: Path, model: MockModel
) -> None:
    model.say("one")
    model.say("fine")
    config = 'model_reasoning_effort = "low"'
    async with mocked(tmp_path, model, config) as engine:
        thread = await engine.start()
        await engine.play(thread, model="gpt-5.2", effort="high", summary="detailed", serviceTier="flex")
        await engine.ended((await review(engine, thread)).turn.id)
        turn, reviewer = (request.json for request in engine.requests)
        assert turn["reasoning"] == {"effort": "high", "summary": "detailed"}
        assert (reviewer["model"], reviewer["reasoning"]["effort"]) == ("gpt-5.2", "low")
        assert "service_tier" not in reviewer


async def test_after_a_review_a_log_does_not_say_what_the_model_was_told(tmp_path: Path, model: MockModel) -> None:
    for text in ("one", "fine", "two", "three", "four"):
        model.say(text)
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        await engine.play(thread, "first")
        await engine.ended((await review(engine, thread)).turn.id)
        forked = (await engine.fork(thread)).thread.id
        await engine.play(thread, "second")
        await engine.play(forked, "in the fork")
        await engine.play(forked, "again")
    told = [sum("<environment_context>" in str(item) for item in request.json["input"]) for request in model.requests]
    assert told == [1, 1, 1, 2, 2]


async def test_a_review_goes_by_its_own_id(tmp_path: Path, model: MockModel) -> None:
    model.play(created(), model.hold())
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        begun = await review(engine, thread)
        await engine.until(model.wait_requests, 1)
        given: list[p.UserInput] = [p.TextUserInput(text="x")]
        for turn, refused in (("other", f"but found `{begun.turn.id}`"), (begun.turn.id, "cannot steer a review turn")):
            with pytest.raises(BadRequest, match=refused):
                params = p.TurnSteerParams(thread_id=thread, expected_turn_id=turn, input=given)
                await engine.host.turns.steer(params)
        joined = (await engine.resume(thread)).thread.turns
        assert [item.id for turn in joined[-2:] for item in turn.items][-2:] == ["item-2", "item-3"]


async def test_an_interrupted_command_of_the_user_is_told_as_aborted(tmp_path: Path, model: MockModel) -> None:
    model.say("one")
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        engine.host.turns.shell(p.ThreadShellCommandParams(thread_id=thread, command="sleep 60"))()
        await until(lambda: engine.heard("item/started"))
        turn = engine.heard("turn/started")[0]["turn"]["id"]
        engine.host.turns.interrupt(p.TurnInterruptParams(thread_id=thread, turn_id=turn), lambda: None)
        assert (await engine.ended(turn)).status == "interrupted"
        (ended,) = engine.heard("item/completed")
        shown = ended["item"]
        assert (shown["status"], shown["exitCode"]) == ("failed", -1)
        assert shown["aggregatedOutput"] == "command aborted by user"
        await engine.play(thread)
        assert "command aborted by user" in str(engine.requests[-1].json["input"])


async def test_a_command_of_the_user_runs_beside_a_review_whose_reviewer_has_not_begun(
    tmp_path: Path, model: MockModel
) -> None:
    model.say("fine")
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        begun = await review(engine, thread)
        engine.host.turns.shell(p.ThreadShellCommandParams(thread_id=thread, command="true"))()
        assert (await engine.ended(begun.turn.id)).status == "completed"
        assert len(engine.heard("turn/completed")) == 1


async def test_a_review_that_ends_before_its_reviewer_begins_leaves_nothing_to_the_next_turn(
    tmp_path: Path, model: MockModel
) -> None:
    model.play(created(), model.hold())
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        begun = await review(engine, thread)
        engine.host.turns.interrupt(p.TurnInterruptParams(thread_id=thread, turn_id=begun.turn.id), lambda: None)
        await engine.ended(begun.turn.id)
        engine.open(thread)
        await engine.until(model.wait_requests, 1)
        running = engine.host.threads.get(thread).overlay.running_turn()
        assert running is not None
        assert [type(item).__name__ for item in running.items] == ["UserMessageThreadItem"]


async def test_a_review_against_a_branch_needs_a_repository(tmp_path: Path, model: MockModel) -> None:
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        await review(engine, thread, {"type": "baseBranch", "branch": "main"})
        await until(lambda: engine.heard("error"))
        (error,) = engine.heard("error")
        assert error["error"]["message"] == f'"{tmp_path / "work"}" is not a git repository'
        assert engine.heard("turn/started") == []


@pytest.mark.parametrize("branch", ["main", "nowhere"])
async def test_a_review_against_a_branch_names_the_merge_base_if_there_is_one(
    tmp_path: Path, model: MockModel, branch: str
) -> None:
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        base = repository(tmp_path / "work", "main")
        started = await review(engine, thread, {"type": "baseBranch", "branch": branch})
        await engine.ended(started.turn.id)
        asked = engine.requests[0].json["input"][-1]["content"][0]["text"]
        assert (f"git diff {base}" in asked, f"merge-base HEAD {branch}" in asked) == (
            branch == "main",
            branch != "main",
        )


async def test_an_unknown_thread_is_refused_before_an_empty_target(tmp_path: Path, model: MockModel) -> None:
    async with mocked(tmp_path, model) as engine:
        with pytest.raises(BadRequest, match="thread not found"):
            await review(engine, "00000000-0000-7000-8000-000000000000", {"type": "custom", "instructions": " "})


async def test_a_detached_review_runs_on_a_fork_that_is_told_before_the_answer(
    tmp_path: Path, model: MockModel
) -> None:
    model.say("one")
    model.say("fine")
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        with pytest.raises(Internal, match="error creating detached review thread: No such file or directory"):
            await review(engine, thread, delivery="detached")
        await engine.play(thread)
        params = p.ReviewStartParams(
            thread_id=thread, target=p.CustomReviewTarget(instructions="look"), delivery="detached"
        )
        begun = await engine.host.reviews.start(params, CLIENT)
        assert begun.forked is not None
        told = msgspec.to_builtins(begun.forked.params)["thread"]
        assert (told["id"], told["forkedFromId"], told["turns"]) == (begun.response.review_thread_id, None, [])
        begun.begin()
        assert (await engine.ended(begun.response.turn.id)).status == "completed"
        assert "entered_review_mode" not in kinds(engine, thread)
