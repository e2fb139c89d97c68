"""The reference's terminal client, unchanged, as a front end of our server."""

from __future__ import annotations

import re

import pytest

from tests.interop.history import asked, conversation
from tests.interop.place import Place
from tests.interop.programs import Engine
from tests.interop.relay import serving
from tests.interop.terminal import Terminal
from tests.mock_model import MockModel

pytestmark = pytest.mark.interop

HELLO = ["initialize", "initialized"]
ACCOUNT = ["account/read", "model/list"]
SKILLS = ["skills/list", "skills/list"]


def test_a_session_from_start_to_quit(place: Place, model: MockModel, engine: Engine) -> None:
    with serving(engine, place) as server:
        with Terminal(place, server.url) as terminal:
            terminal.wait("% left" if False else "› ")
            model.say("the first answer", deltas=("the first ", "answer"))
            terminal.say("the first question")
            terminal.wait("the first answer")
            model.say("the second answer", usage=(200, 100, 30, 0))
            terminal.say("the second question")
            terminal.wait("the second answer")
            terminal.say("/status")
            terminal.wait("Token usage:          240 total  (190 input + 50 output)")
            terminal.say("/quit")
            assert terminal.exit_status() == 0
            last = terminal.text()
        assert "Token usage: total=240 input=190 (+ 110 cached) output=50 (reasoning 5)" in last
        thread_id = server.wire.results("thread/start")[0]["thread"]["id"]
        assert f"codex resume {thread_id}" in last
        assert server.wire.methods_sent() == [
            *HELLO,
            *ACCOUNT,
            "thread/start",
            *SKILLS,
            "turn/start",
            "turn/start",
            "thread/unsubscribe",
        ]
        assert len(server.wires) == 1
    assert [row["message"] for row in user_messages(place, thread_id)] == ["the first question", "the second question"]
