"""One session, two engines: files move between ours and the reference, in either direction and back."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from tests.interop.history import asked, conversation, events, total, written
from tests.interop.peer import Peer
from tests.interop.place import Place
from tests.interop.programs import OTHER, Engine
from tests.interop.sessions import ENGINES, continued_by, read_by, restored, resumed, usage
from tests.mock_model import MockModel, completed, created, custom_call, function_call, message, reasoning

pytestmark = pytest.mark.interop


@pytest.mark.parametrize(("slug", "extended"), [("gpt-5.1-codex", False), ("gpt-5.4", True)])
@pytest.mark.parametrize("first", ENGINES)
def test_turns_of_alternating_engines_are_one_history(
    place: Place, model: MockModel, first: Engine, slug: str, extended: bool
) -> None:
    place.configure(model.base_url, model=slug)
    turns: list[str] = []
    said: list[tuple[str, str]] = []
    engine, thread_id = first, ""
    for number in range(1, 6):
        model.say(f"answer {number}", usage=usage(number), deltas=("answer ", str(number)))
        with Peer(engine, place) as peer:
            if number == 1:
                thread_id = peer.start(persistExtendedHistory=extended)
            else:
                answer = resumed(peer, thread_id, persistExtendedHistory=extended)
                assert [turn["id"] for turn in answer["thread"]["turns"]] == turns
                replay = restored(peer, thread_id)
                assert replay["turnId"] == turns[-1]
                assert replay["tokenUsage"]["total"] == total([usage(one) for one in range(1, number)])
            turns.append(peer.turn(thread_id, f"question {number}"))
        said += [("user", f"question {number}")]
        assert conversation(asked(model)[-1].json["input"]) == said
        said += [("assistant", f"answer {number}")]
        engine = OTHER[engine]

    requests = [request.json for request in asked(model)]
    assert len(requests) == 5
    for earlier, later in itertools.pairwise(requests):
        assert later["input"][: len(earlier["input"])] == earlier["input"], "a later request begins differently"
        assert later["instructions"] == earlier["instructions"]

    lines = place.lines(thread_id)
    assert [one["message"] for one in events(lines, "user_message")] == [f"question {n}" for n in range(1, 6)]
    assert [one["message"] for one in events(lines, "agent_message")] == [f"answer {n}" for n in range(1, 6)]
    assert [one["turn_id"] for one in events(lines, "task_complete")] == turns
    last = [one["info"] for one in events(lines, "token_count") if one["info"]][-1]
    assert last["total_token_usage"] == written([usage(one) for one in range(1, 6)])

    threads = [read_by(engine, place, [thread_id])[thread_id] for engine in ENGINES]
    assert threads[0] == threads[1]
    assert [turn["id"] for turn in threads[0]["turns"]] == turns


Step = Callable[[Peer, MockModel, str], None]


def answered(peer: Peer, model: MockModel, thread_id: str) -> None:
    model.say("a whole answer")
    peer.turn(thread_id, "a plain question")


def injected(peer: Peer, model: MockModel, thread_id: str) -> None:
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "from elsewhere"}]}
    peer.call("thread/inject_items", threadId=thread_id, items=[item])


def compacted(peer: Peer, model: MockModel, thread_id: str) -> None:
    model.say("what was said so far")
    peer.new_turn("thread/compact/start", threadId=thread_id)


def rolled_back(peer: Peer, model: MockModel, thread_id: str) -> None:
    model.say("an answer to forget")
    peer.turn(thread_id, "a question to forget")
    peer.call("thread/rollback", threadId=thread_id, numTurns=1)


def shell(peer: Peer, model: MockModel, thread_id: str) -> None:
    peer.new_turn("thread/shellCommand", threadId=thread_id, command="echo from the shell")


def interrupted(peer: Peer, model: MockModel, thread_id: str) -> None:
    model.play(created(), *message("half an"), model.hold("for good"))
    turn_id = peer.begin_turn(thread_id, "a long question")
    peer.wait("item/completed", lambda params: params["item"].get("text") == "half an")
    peer.call("turn/interrupt", threadId=thread_id, turnId=turn_id)
    assert peer.end_turn(turn_id)["status"] == "interrupted"


def failed(peer: Peer, model: MockModel, thread_id: str) -> None:
    model.fail(400, {"error": {"message": "no such thing"}})
    turn_id = peer.begin_turn(thread_id, "a bad question")
    assert peer.end_turn(turn_id)["status"] == "failed"


def named(peer: Peer, model: MockModel, thread_id: str) -> None:
    peer.call("thread/name/set", threadId=thread_id, name=f"Named by {peer.engine}")


def used_tools(peer: Peer, model: MockModel, thread_id: str) -> None:
    patch = "*** Begin Patch\n*** Add File: made.txt\n+made\n*** End Patch"
    plan = {"plan": [{"step": "look", "status": "in_progress"}]}
    model.play(created(), reasoning("I look around"), function_call("exec_command", {"cmd": "echo seen"}), completed())
    model.play(created(), custom_call("apply_patch", patch, "call_2"), completed())
    model.call("update_plan", plan, "call_3")
    model.call("no_such_tool", {}, "call_4")
    model.say("looked around")
    peer.turn(thread_id, "look around")


def used_tools_in_full(peer: Peer, model: MockModel, thread_id: str) -> None:
    used_tools(peer, model, thread_id)


STEPS: tuple[Step, ...] = (
    answered,
    used_tools,
    used_tools_in_full,
    injected,
    compacted,
    rolled_back,
    shell,
    interrupted,
    failed,
    named,
)
EXTENDED = (used_tools_in_full, shell)


@pytest.mark.parametrize("first", ENGINES)
def test_either_engine_goes_on_from_whatever_the_other_did(
    place: Place, model: MockModel, subtests: pytest.Subtests, first: Engine
) -> None:
    place.configure(model.base_url, model="gpt-5.4")
    threads: dict[Step, str] = {}
    with Peer(first, place) as peer:
        for step in STEPS:
            threads[step] = peer.start(persistExtendedHistory=step in EXTENDED)
            answered(peer, model, threads[step])
    with Peer(OTHER[first], place) as peer:
        for step in STEPS:
            with subtests.test("done by one", step=step.__name__):
                resumed(peer, threads[step], persistExtendedHistory=step in EXTENDED)
                step(peer, model, threads[step])
    with Peer(first, place) as peer:
        for step in STEPS:
            with subtests.test("continued by the other", step=step.__name__):
                resumed(peer, threads[step], persistExtendedHistory=step in EXTENDED)
                answered(peer, model, threads[step])

    reads = {engine: read_by(engine, place, threads.values()) for engine in ENGINES}
    inputs = {engine: continued_by(engine, place, model, threads.values()) for engine in ENGINES}
    for step, thread_id in threads.items():
        with subtests.test("one view of it", step=step.__name__):
            assert reads["ours"][thread_id] == reads["reference"][thread_id]
            assert inputs["ours"][thread_id] == inputs["reference"][thread_id]
            said = conversation(inputs["ours"][thread_id])
            assert said.count(("user", "a plain question")) == (3 if step is answered else 2)
            assert ("user", "a question to forget") not in said
            place.lines(thread_id)
