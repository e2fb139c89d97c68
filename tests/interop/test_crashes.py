"""Files that a crash left, or that two engines write at the same time, in the hands of either engine."""

from __future__ import annotations

import json
import re

import pytest

from tests.interop.history import asked, conversation, events
from tests.interop.peer import Peer
from tests.interop.place import Place
from tests.interop.programs import OTHER, Engine
from tests.interop.sessions import ENGINES, read_by, resumed
from tests.mock_model import MockModel, created, eventually, message

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("killed", ENGINES)
def test_a_turn_that_one_engine_died_in_is_interrupted_for_the_other(
    place: Place, model: MockModel, killed: Engine
) -> None:
    model.say("the first answer")
    model.play(created(), *message("half of the second"), model.hold())
    with Peer(killed, place) as peer:
        thread_id = peer.start()
        finished = peer.turn(thread_id, "the first question")
        lost = peer.begin_turn(thread_id, "the second question")
        peer.wait("item/completed", lambda params: params["item"].get("text") == "half of the second")
        # The reference tells before it writes.
        assert eventually(lambda: place.rollout(thread_id).read_text().count("half of the second") == 2)
        peer.kill()
    model.release()

    model.say("the third answer")
    with Peer(OTHER[killed], place) as peer:
        turns = resumed(peer, thread_id)["thread"]["turns"]
        assert [(turn["id"], turn["status"]) for turn in turns] == [(finished, "completed"), (lost, "interrupted")]
        peer.turn(thread_id, "the third question")
    assert conversation(asked(model)[-1].json["input"]) == [
        ("user", "the first question"),
        ("assistant", "the first answer"),
        ("user", "the second question"),
        ("assistant", "half of the second"),
        ("user", "the third question"),
    ]
    reads = [read_by(engine, place, [thread_id]) for engine in ENGINES]
    assert reads[0] == reads[1]
    place.lines(thread_id)


def test_what_we_append_to_a_torn_line_of_the_reference_is_not_lost_to_it(place: Place, model: MockModel) -> None:
    model.say("the first answer")
    with Peer("reference", place) as peer:
        thread_id = peer.start()
        peer.turn(thread_id, "the first question")
    path = place.rollout(thread_id)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])

    model.say("the second answer")
    with Peer("ours", place) as peer:
        resumed(peer, thread_id)
        second = peer.turn(thread_id, "the second question")

    model.say("the third answer")
    with Peer("reference", place) as peer:
        turns = resumed(peer, thread_id)["thread"]["turns"]
        assert [turn["id"] for turn in turns][1:] == [second]
        peer.turn(thread_id, "the third question")
    said = conversation(asked(model)[-1].json["input"])
    assert (
        said
        == [
            (role, f"the {which} {what}")
            for which in ("first", "second", "third")
            for role, what in (("user", "question"), ("assistant", "answer"))
        ][:-1]
    )
    assert path.read_bytes().startswith(whole[:-20] + b"\n"), "the torn line was touched"


def test_a_thread_that_we_have_loaded_takes_in_what_the_reference_wrote(place: Place, model: MockModel) -> None:
    with Peer("ours", place) as ours:
        thread_id = ours.start()
        model.say("the first answer")
        first = ours.turn(thread_id, "the first question")
        elsewhere = place.root / "elsewhere"
        elsewhere.mkdir()
        with Peer("reference", place) as reference:
            resumed(reference, thread_id, cwd=str(elsewhere))
            model.say("the second answer")
            second = reference.turn(thread_id, "the second question")
        assert [turn["id"] for turn in resumed(ours, thread_id)["thread"]["turns"]] == [first, second]
        replay = ours.wait("thread/tokenUsage/updated", lambda params: params["turnId"] == second)
        assert replay["tokenUsage"]["total"]["totalTokens"] == 240
        model.say("the third answer")
        third = ours.turn(thread_id, "the third question")
        given = asked(model)[-1].json["input"]
        assert conversation(given)[-3:] == [
            ("user", "the second question"),
            ("assistant", "the second answer"),
            ("user", "the third question"),
        ]
        assert re.findall("<cwd>([^<]*)", json.dumps(given)) == [
            str(place.workspace),
            str(elsewhere),
            str(place.workspace),
        ]
        usage = ours.wait(
            "thread/tokenUsage/updated",
            lambda params: params["turnId"] == third and params["tokenUsage"]["total"]["totalTokens"] == 360,
        )
        assert usage["tokenUsage"]["last"]["totalTokens"] == 120
    reads = [read_by(engine, place, [thread_id]) for engine in ENGINES]
    assert reads[0] == reads[1]
    assert [turn["id"] for turn in reads[0][thread_id]["turns"]] == [first, second, third]
    assert len(events(place.lines(thread_id), "user_message")) == 3
