"""Turns over websockets (spec turns 4.4): what goes out on one connection, and how a session gives up on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from projections import protocol as p
from tests.engine.harness import until
from tests.engine.mocked import Json, Mocked, mocked
from tests.mock_model import Drop, MockModel, begun, completed, created, message

BUSY = "We're currently experiencing high demand, which may cause temporary errors."
CLOSED = "stream disconnected before completion: websocket closed by server before response.completed"
RESET = "stream disconnected before completion: WebSocket protocol error: Connection reset without closing handshake"


@pytest.fixture
def model() -> Iterator[MockModel]:
    with MockModel() as running:
        yield running


def over_websockets(home: Path, model: MockModel, retries: int = 2) -> Any:
    return mocked(home, model, supports_websockets=True, stream_max_retries=retries)


async def warm(engine: Mocked, sockets: int = 1) -> None:
    """Wait for the warm-up of the newest thread."""
    model = engine.endpoint
    await until(lambda: len(model.sockets) == sockets and bool(model.sockets[-1].frames))


def metadata(frame: Json) -> Json:
    found: Json = json.loads(frame["client_metadata"]["x-codex-turn-metadata"])
    return found


def notices(engine: Mocked) -> list[str]:
    """Notices of retries and fall-backs, in order."""
    told = []
    for method, params in engine.told():
        if method == "error":
            told.append(f"{params['error']['message']} | {params['error']['additionalDetails']}")
        elif method == "warning":
            told.append(params["message"])
    return told


@pytest.mark.anyio
async def test_a_thread_connects_before_its_first_turn(tmp_path: Path, model: MockModel) -> None:
    async with over_websockets(tmp_path, model) as engine:
        thread = await engine.start()
        await warm(engine)
        (socket,) = model.sockets
        assert socket.headers["openai-beta"] == "responses_websockets=2026-02-06"
        assert json.loads(socket.headers["x-codex-turn-metadata"])["turn_id"] == ""
        (frame,) = socket.frames
        assert (frame["type"], frame["generate"], frame["input"]) == ("response.create", False, [])
        assert metadata(frame) == {
            "session_id": thread,
            "thread_source": "user",
            "turn_id": "",
            "sandbox": "none",
        }
        assert not engine.heard("turn/started", "error", "warning")
        assert not list(tmp_path.glob("sessions/*/*/*/*"))


@pytest.mark.anyio
async def test_each_request_sends_what_the_server_has_not_seen(tmp_path: Path, model: MockModel) -> None:
    async with over_websockets(tmp_path, model) as engine:
        thread = await engine.start()
        await warm(engine)
        model.play(created("r1"), *message("one"), completed(response_id="r1"))
        await engine.play(thread, "first")
        model.call("update_plan", {"plan": []})
        model.say("two")
        turn = await engine.play(thread, "second", responsesapiClientMetadata={"run": "7", "turn_id": "evil"})
        (socket,) = model.sockets
        _, first, second, third = socket.frames
        assert [frame.get("previous_response_id") for frame in socket.frames] == [None, "warm", "r1", "resp_1"]
        assert [item["role"] for item in first["input"]] == ["developer", "user", "user"]
        assert [item["content"][0]["text"] for item in second["input"]] == ["second"]
        assert [item["type"] for item in third["input"]] == ["function_call_output"]
        assert all("generate" not in frame for frame in (first, second, third))
        assert metadata(third) == metadata(second)
        assert metadata(second)["run"] == "7"
        assert metadata(second)["turn_id"] == turn.id
        assert not engine.requests, "nothing goes over HTTP"


@pytest.mark.anyio
async def test_limits_come_with_an_event_not_with_headers(tmp_path: Path, model: MockModel) -> None:
    limits = {
        "type": "codex.rate_limits",
        "plan_type": "prolite",
        "rate_limits": {"primary": {"used_percent": 42, "window_minutes": 60, "reset_at": 1700000000}},
        "credits": {"has_credits": True, "unlimited": False, "balance": "12"},
        "metered_limit_name": "codex",
    }
    async with over_websockets(tmp_path, model) as engine:
        thread = await engine.start()
        await warm(engine)
        model.say("quiet")
        await engine.play(thread)
        assert not engine.heard("account/rateLimits/updated")
        model.play(limits, created(), *message("loud"), completed())
        await engine.play(thread)
        told = engine.heard("account/rateLimits/updated")
        assert len(told) == 2, "at the event, and again with the usage"
        assert told[0] == told[1]
        assert told[0]["rateLimits"]["primary"] == {
            "usedPercent": 42,
            "windowDurationMins": 60,
            "resetsAt": 1700000000,
        }
        assert told[0]["rateLimits"]["planType"] == "prolite"


@pytest.mark.anyio
async def test_426_means_http_from_the_start_and_silence(tmp_path: Path, model: MockModel) -> None:
    model.refuse_upgrades(426, 1)
    async with over_websockets(tmp_path, model) as engine:
        thread = await engine.start()
        for _ in range(2):
            assert (await engine.play(thread)).status == "completed"
        assert len(engine.requests) == 2
        assert not model.sockets
        assert not notices(engine)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("retries", "told"),
    [
        (0, [f"Falling back from WebSockets to HTTPS transport. {BUSY}"]),
        (1, [f"Falling back from WebSockets to HTTPS transport. {BUSY}"]),
        (2, [f"Reconnecting... 2/2 | {BUSY}", f"Falling back from WebSockets to HTTPS transport. {BUSY}"]),
    ],
)
async def test_refused_upgrades_lead_to_http(tmp_path: Path, model: MockModel, retries: int, told: list[str]) -> None:
    """The warm-up takes one attempt of its own; the turn's first retry goes without notice."""
    model.refuse_upgrades(500, 30)
    async with over_websockets(tmp_path, model, retries) as engine:
        thread = await engine.start()
        for _ in range(2):
            assert (await engine.play(thread)).status == "completed"
        assert notices(engine) == told
        assert len(engine.requests) == 2
        assert sum(request.method == "GET" for request in model.requests) == 1 + 1 + retries


@pytest.mark.anyio
async def test_a_refusal_that_is_final_fails_the_turn(tmp_path: Path, model: MockModel) -> None:
    model.refuse_upgrades(400, 2, "no such model")
    async with over_websockets(tmp_path, model) as engine:
        thread = await engine.start()
        turn = await engine.play(thread)
        assert (turn.status, turn.error and turn.error.message) == ("failed", "no such model")
        assert not engine.requests


@pytest.mark.anyio
async def test_a_broken_connection_is_made_anew_with_the_whole_history(tmp_path: Path, model: MockModel) -> None:
    async with over_websockets(tmp_path, model) as engine:
        thread = await engine.start()
        await warm(engine)
        model.say("zero")
        await engine.play(thread, "a")
        model.play(created(), *begun("ha"), Drop())
        model.play(created(), *begun("hb"), Drop(abrupt=True))
        model.say("whole")
        turn = await engine.play(thread, "b")
        assert turn.status == "completed"
        assert notices(engine) == [f"Reconnecting... 2/2 | {RESET}"]
        assert len(model.sockets) == 3
        (again,) = model.sockets[2].frames
        assert "previous_response_id" not in again
        said = [part["text"] for item in again["input"][2:] for part in item["content"]]
        assert said == ["a", "zero", "b"], "what was half said is not in the history"


@pytest.mark.anyio
async def test_http_has_retries_of_its_own(tmp_path: Path, model: MockModel) -> None:
    async with over_websockets(tmp_path, model, retries=1) as engine:
        thread = await engine.start()
        await warm(engine)
        for _ in range(3):
            model.play(created(), Drop())
        model.say("after")
        assert (await engine.play(thread)).status == "completed"
        http = "stream disconnected before completion: stream closed before response.completed"
        assert notices(engine) == [
            f"Falling back from WebSockets to HTTPS transport. {CLOSED}",
            f"Reconnecting... 1/1 | {http}",
        ]
        assert len(engine.requests) == 2


@pytest.mark.anyio
async def test_an_interrupt_ends_the_connection_and_the_next_turn_makes_another(
    tmp_path: Path, model: MockModel
) -> None:
    async with over_websockets(tmp_path, model) as engine:
        thread = await engine.start()
        await warm(engine)
        model.play(created(), *begun("ha"), model.hold())
        turn = engine.open(thread)
        await until(lambda: engine.sink.of("item/agentMessage/delta"))
        engine.host.turns.interrupt(p.TurnInterruptParams(thread_id=thread, turn_id=turn), lambda: None)
        assert (await engine.ended(turn)).status == "interrupted"
        await engine.until(model.wait_closed, 1)
        assert (await engine.play(thread)).status == "completed"
        assert len(model.sockets) == 2
        assert "previous_response_id" not in model.sockets[1].frames[0]


@pytest.mark.anyio
async def test_threads_do_not_share_a_connection_and_close_theirs(tmp_path: Path, model: MockModel) -> None:
    async with over_websockets(tmp_path, model) as engine:
        first = await engine.start()
        await warm(engine, 1)
        second = await engine.start()
        await warm(engine, 2)
        await engine.play(first)
        await engine.play(second)
        assert [len(socket.frames) for socket in model.sockets] == [2, 2]
        await engine.host.threads.unload(first)
        await engine.until(model.wait_closed, 1)
        await engine.resume(first)
        await warm(engine, 3)
        await engine.play(first)
        assert model.sockets[2].frames[1]["previous_response_id"] == "warm"
    model.wait_closed(3)
