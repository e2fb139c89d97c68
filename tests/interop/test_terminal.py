"""The reference's terminal client, unchanged, as a front end of our server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.interop.history import asked, conversation, events
from tests.interop.peer import Peer
from tests.interop.place import Place
from tests.interop.programs import Engine
from tests.interop.relay import Relay, serving
from tests.interop.terminal import Terminal
from tests.mock_model import USAGE, MockModel, Usage, completed, created, custom_call, eventually, message

pytestmark = pytest.mark.interop

HELLO = ["initialize", "initialized"]
ACCOUNT = ["account/read", "model/list"]
SKILLS = ["skills/list", "skills/list"]


def chat(server: Relay, terminal: Terminal, model: MockModel, which: str, usage: Usage = USAGE) -> None:
    """A question and its answer."""
    model.say(f"the {which} answer", usage, deltas=(f"the {which} ", "answer"))
    with a_turn(server):
        terminal.say(f"the {which} question")
        terminal.wait(f"the {which} answer")


@contextmanager
def a_turn(server: Relay) -> Iterator[None]:
    """Wait until the turn of this block has ended: what is said before would steer it."""
    before = len(server.wire.notifications("turn/completed"))
    yield
    assert eventually(lambda: len(server.wire.notifications("turn/completed")) > before, 20)


def status(terminal: Terminal, tokens: str) -> None:
    """`/status` says so many tokens."""
    terminal.say("/status")
    terminal.wait(f"Token usage:          {tokens}")


def quit_(terminal: Terminal) -> str:
    """Leave; gives what is left on the screen."""
    terminal.say("/quit")
    assert terminal.exit_status() == 0
    return terminal.text()


def switched(server: Relay, times: int) -> None:
    """The client has gone to another thread so often; before, keys are lost."""
    assert eventually(lambda: len(server.wire.results("skills/list")) == len(SKILLS) + times, 20)


def test_a_session_from_start_to_quit(place: Place, model: MockModel, engine: Engine) -> None:
    with serving(engine, place) as server:
        with Terminal(place, server.url) as terminal:
            chat(server, terminal, model, "first")
            chat(server, terminal, model, "second", (200, 100, 30, 0))
            status(terminal, "240 total  (190 input + 50 output)")
            last = quit_(terminal)
        assert "Token usage: total=240 input=190 (+ 110 cached) output=50 (reasoning 5)" in last
        thread_id = server.wire.results("thread/start")[0]["thread"]["id"]
        assert f"codex resume {thread_id}" in last
        turns = ["turn/start", "turn/start", "thread/unsubscribe"]
        assert server.wire.methods_sent() == [*HELLO, *ACCOUNT, "thread/start", *SKILLS, *turns]
    said = [event["message"] for event in events(place.lines(thread_id), "user_message")]
    assert said == ["the first question", "the second question"]


@pytest.mark.parametrize("how", ["the same server", "another server", "the other engine"])
def test_a_session_is_resumed_by_id(place: Place, model: MockModel, engine: Engine, how: str) -> None:
    with serving(engine, place) as server:
        if how == "the other engine":
            model.say("the first answer")
            with Peer("reference", place) as peer:
                thread_id = peer.start()
                peer.turn(thread_id, "the first question")
        else:
            with Terminal(place, server.url) as terminal:
                chat(server, terminal, model, "first")
                quit_(terminal)
            thread_id = server.wire.results("thread/start")[0]["thread"]["id"]
        if how == "the same server":
            resume(place, model, server, thread_id)
    if how != "the same server":
        with serving(engine, place) as server:
            resume(place, model, server, thread_id)
            sent = [*HELLO, "thread/read", *ACCOUNT, "thread/resume", *SKILLS, "turn/start", "thread/unsubscribe"]
            assert server.wire.methods_sent() == sent
    said = [event["message"] for event in events(place.lines(thread_id), "user_message")]
    assert said == ["the first question", "the second question"]


def resume(place: Place, model: MockModel, server: Relay, thread_id: str) -> None:
    with Terminal(place, server.url, "resume", thread_id) as terminal:
        assert "the first question" in terminal.wait("the first answer")
        status(terminal, "110 total  (90 input + 20 output)")
        chat(server, terminal, model, "second")
        said = conversation(asked(model)[-1].json["input"])
        assert [text for _, text in said] == ["the first question", "the first answer", "the second question"]
        last = quit_(terminal)
    assert "Token usage: total=220 input=180 (+ 20 cached) output=40 (reasoning 10)" in last


def test_the_last_session_and_the_picker(place: Place, model: MockModel, engine: Engine) -> None:
    threads = {}
    with Peer(engine, place) as peer:
        for which in ("older", "newer"):
            model.say(f"the {which} answer")
            threads[which] = peer.start()
            peer.turn(threads[which], f"the {which} question")
    older = place.rollout(threads["older"])
    an_hour_before = older.stat().st_mtime - 3600
    os.utime(older, (an_hour_before, an_hour_before))
    with serving(engine, place) as server:
        with Terminal(place, server.url, "resume", "--last") as terminal:
            terminal.wait("the newer answer")
            assert threads["newer"] in quit_(terminal)
        assert server.wire.methods_sent()[:3] == [*HELLO, "thread/list"]
        with Terminal(place, server.url, "resume", shows="the older question") as terminal:
            terminal.wait("the newer question")
            terminal.press("Down", "Enter")
            terminal.wait("the older answer")
            assert threads["older"] in quit_(terminal)
        assert [wire.methods_sent()[2] for wire in server.wires] == ["thread/list", "thread/list", "account/read"]


def test_rename_fork_clear_and_new(place: Place, model: MockModel, engine: Engine) -> None:
    with serving(engine, place) as server:
        with Terminal(place, server.url) as terminal:
            chat(server, terminal, model, "first")
            terminal.say("/rename Blue moon")
            terminal.wait("Thread renamed to Blue moon")
            terminal.say("/fork")
            terminal.wait("Thread forked from Blue moon")
            switched(server, 1)
            status(terminal, "110 total")
            chat(server, terminal, model, "second")
            said = conversation(asked(model)[-1].json["input"])
            assert [text for _, text in said] == ["the first question", "the first answer", "the second question"]
            status(terminal, "220 total")
            terminal.say("/clear")
            switched(server, 2)
            chat(server, terminal, model, "third")
            assert conversation(asked(model)[-1].json["input"]) == [("user", "the third question")]
            terminal.say("/new")
            switched(server, 3)
            chat(server, terminal, model, "fourth")
            quit_(terminal)
        started = [result["thread"]["id"] for result in server.wire.results("thread/start")]
        (fork,) = [result["thread"] for result in server.wire.results("thread/fork")]
        assert fork["forkedFromId"] == started[0]
        sent = server.wire.methods_sent()
        assert sent[sent.index("thread/fork") :][:3] == ["thread/fork", "thread/read", "thread/unsubscribe"]
    assert {path.stem[-36:] for path in place.rollouts()} == {*started, fork["id"]}
    with Peer(engine, place) as peer:
        rows = {row["id"]: row for row in peer.call("thread/list")["data"]}
    assert rows[started[0]]["name"] == "Blue moon"
    assert {row["source"] for row in rows.values()} == {"vscode"}


def test_commands_and_patches_are_asked_for(place: Place, model: MockModel, engine: Engine) -> None:
    place.configure(model.base_url, model="gpt-5.4", approval_policy="untrusted")
    patch = "*** Begin Patch\n*** Add File: made.txt\n+by a patch\n*** End Patch"
    with serving(engine, place) as server, Terminal(place, server.url) as terminal:
        model.call("exec_command", {"cmd": "mkdir allowed", "login": False}, "call_1")
        model.play(created(), custom_call("apply_patch", patch, "call_2"), completed())
        model.say("both are done")
        terminal.say("make a folder and a file")
        terminal.wait("Would you like to run the following command?")
        assert not (place.workspace / "allowed").exists()
        terminal.press("y")
        terminal.wait("Would you like to make the following edits?")
        assert (place.workspace / "allowed").is_dir()
        with a_turn(server):
            terminal.press("y")
            terminal.wait("both are done")
        assert (place.workspace / "made.txt").read_text() == "by a patch\n"
        assert "Added made.txt (+1 -0)" in terminal.text()

        model.call("exec_command", {"cmd": "mkdir refused", "login": False}, "call_3")
        terminal.say("make another folder")
        terminal.wait("mkdir refused")
        with a_turn(server):
            terminal.press("Escape")
            terminal.wait("Conversation interrupted")
        chat(server, terminal, model, "next")
        assert not (place.workspace / "refused").exists()
        quit_(terminal)
        thread_id = server.wire.results("thread/start")[0]["thread"]["id"]
        with Terminal(place, server.url, "resume", thread_id) as again:
            again.wait("the next answer")
            quit_(again)
        (resumed,) = server.wire.results("thread/resume")
        kinds = [(item["type"], item.get("status")) for turn in resumed["thread"]["turns"] for item in turn["items"]]
        assert ("commandExecution", "completed") in kinds
        assert ("fileChange", "completed") in kinds


def test_interrupt_shell_compaction_and_an_edited_message(place: Place, model: MockModel, engine: Engine) -> None:
    with serving(engine, place) as server, Terminal(place, server.url) as terminal:
        chat(server, terminal, model, "first")
        model.play(created(), *message("half an answer"), model.hold("for good"))
        terminal.say("a long question")
        terminal.wait("half an answer")
        with a_turn(server):
            terminal.press("Escape")
            terminal.wait("Conversation interrupted")
        with a_turn(server):
            terminal.say("!echo said by the $0 shell")
            terminal.wait("You ran")
        model.say("what was said so far")
        with a_turn(server):
            terminal.say("/compact")
            terminal.wait("Context compacted")
        chat(server, terminal, model, "second")
        terminal.press("Escape")
        terminal.wait("esc again to edit previous message")
        terminal.press("Escape")
        terminal.press("Enter")
        assert eventually(lambda: server.wire.results("thread/rollback"))
        model.say("an answer to the edited one")
        with a_turn(server):
            terminal.say(", edited")
            terminal.wait("an answer to the edited one")
        said = conversation(asked(model)[-1].json["input"])
        assert said[-1] == ("user", "the second question, edited")
        assert ("user", "the second question") not in said
        quit_(terminal)


def test_what_is_said_during_a_turn_is_sent_at_once_on_an_interrupt(
    place: Place, model: MockModel, engine: Engine
) -> None:
    with serving(engine, place) as server, Terminal(place, server.url) as terminal:
        model.play(created(), *message("half an answer"), model.hold("for good"))
        model.say("an answer to the hint")
        terminal.say("a long question")
        terminal.wait("half an answer")
        terminal.say("a hint")
        assert eventually(lambda: server.wire.results("turn/steer"), 20)
        terminal.press("Escape")
        terminal.wait("an answer to the hint")
        assert conversation(asked(model)[-1].json["input"]).count(("user", "a hint")) == 1
        assert eventually(lambda: len(server.wire.notifications("turn/completed")) == 2, 20)
        quit_(terminal)
