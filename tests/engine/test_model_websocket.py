"""The websocket transport against a real local endpoint: one connection, requests that only add, HTTP when it
must."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import anyio.to_thread
import msgspec
import pytest
from msgspec import Raw

from engine.config.providers import Provider
from engine.model import catalog
from engine.model.client import ModelClient
from engine.model.endpoint import Endpoint, resolve
from engine.model.request import ModelRequest, Prompt, RequestSettings, build
from engine.model.websocket import WebsocketSession
from engine.turn.replies import Completed, Headers, ItemDone, ModelFailure, RateLimits, StreamEvent, TextDelta
from rollouts import codec
from rollouts import events as ev
from tests.mock_model import Drop, MockModel, completed, created, delta, failed, message

pytestmark = pytest.mark.anyio

STREAM = "stream disconnected before completion: "
RESET = "WebSocket protocol error: Connection reset without closing handshake"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
SETTINGS = RequestSettings("T", "U", catalog.built_in().find("gpt-5.4"), "I", "tester", "tester/1", "none")


def item(text: str, role: str = "user") -> Raw:
    part = ev.InputText(text=text) if role == "user" else ev.OutputText(text=text)
    return Raw(codec.encode_item(ev.Message(role=role, content=(part,))))


def request(*items: Raw, **settings: Any) -> ModelRequest:
    return build(Prompt("Be.", items), msgspec.structs.replace(SETTINGS, **settings))


def endpoint(model: MockModel, **settings: Any) -> Endpoint:
    provider = Provider(
        id="mock", name="mock", base_url=model.base_url, request_max_retries=0, supports_websockets=True
    )
    return resolve(msgspec.structs.replace(provider, **settings), {})


@asynccontextmanager
async def session() -> AsyncIterator[WebsocketSession]:
    http = ModelClient(clock=lambda: NOW, jitter=lambda: 0.0)
    one = WebsocketSession(http, clock=lambda: NOW)
    try:
        yield one
    finally:
        await one.aclose()
        await http.aclose()


async def play(one: WebsocketSession, given: ModelRequest, there: Endpoint) -> list[StreamEvent]:
    async with aclosing(one.stream(given, there)) as events:
        return [event async for event in events]


async def fails(one: WebsocketSession, given: ModelRequest, there: Endpoint) -> ModelFailure:
    with pytest.raises(ModelFailure) as caught:
        await play(one, given, there)
    return caught.value


async def test_a_prewarmed_connection_serves_the_first_request() -> None:
    with MockModel() as model:
        model.say("hello", deltas=("he", "llo"))
        async with session() as one:
            await one.prewarm(request(turn_id=""), endpoint(model))
            events = await play(one, request(item("one")), endpoint(model))
        (socket,) = model.sockets
    warm, first = socket.frames
    assert list(warm)[:3] == ["type", "model", "instructions"]
    assert (warm["type"], warm["input"], warm["generate"]) == ("response.create", [], False)
    assert "previous_response_id" not in warm
    assert (first["previous_response_id"], first["input"]) == ("warm", [json.loads(bytes(item("one")))])
    assert "generate" not in first
    assert not any(isinstance(event, Headers) for event in events)
    assert [event.delta for event in events if isinstance(event, TextDelta)] == ["he", "llo"]
    assert isinstance(events[-1], Completed)


async def test_the_upgrade_and_the_frame_carry_what_http_headers_would() -> None:
    with MockModel() as model:
        model.say("ok")
        there = endpoint(model, http_headers={"x-a": "1"}, experimental_bearer_token="key")
        async with session() as one:
            await play(one, request(item("one"), client_metadata={"a": "1"}, window=2), there)
        (socket,) = model.sockets
    assert {
        "openai-beta": "responses_websockets=2026-02-06",
        "originator": "tester",
        "session_id": "T",
        "x-client-request-id": "T",
        "x-codex-window-id": "T:2",
        "x-a": "1",
        "authorization": "Bearer key",
    }.items() <= socket.headers.items()
    metadata = '{"session_id":"T","thread_source":"user","turn_id":"U","sandbox":"none","a":"1"}'
    assert socket.frames[0]["client_metadata"] == {
        "x-codex-installation-id": "I",
        "x-codex-window-id": "T:2",
        "x-codex-turn-metadata": metadata,
    }


async def test_later_requests_send_only_what_is_new() -> None:
    with MockModel() as model:
        model.play(created("r1"), *message("first"), completed(response_id="r1"))
        model.play(created("r2"), *message("second"), completed(response_id="r2"))
        model.play(created("r3"), *message("third"), completed(response_id="r3"))
        model.play(created("r4"), *message("fourth"), completed(response_id="r4"))
        there = endpoint(model)
        history = [item("one")]
        async with session() as one:
            await play(one, request(*history), there)
            history += [item("first", "assistant"), item("two")]
            await play(one, request(*history, turn_id="U2"), there)
            history += [item("second", "assistant"), item("three")]
            await play(one, request(*history, effort="low"), there)
            await play(one, request(item("rewritten"), item("three"), effort="low"), there)
        (socket,) = model.sockets
    sent = [(frame.get("previous_response_id"), len(frame["input"])) for frame in socket.frames]
    assert sent == [(None, 1), ("r1", 1), (None, 5), (None, 2)]


async def test_a_new_connection_tells_its_headers_but_no_limits() -> None:
    with MockModel() as model:
        model.upgrade_headers = {"x-codex-turn-state": "ts", "openai-model": "gpt-5.2", "x-models-etag": "e"}
        limits = {"primary": {"used_percent": 42, "window_minutes": 300, "reset_at": 1900000000}}
        model.play({"type": "codex.rate_limits", "plan_type": "prolite", "rate_limits": limits}, completed())
        async with session() as one:
            first, told, _ = await play(one, request(item("one")), endpoint(model))
    assert first == Headers((), turn_state="ts", model="gpt-5.2", models_etag="e")
    assert isinstance(told, RateLimits) and told.snapshot.plan_type == "prolite"


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([created(), Drop()], f"{STREAM}websocket closed by server before response.completed"),
        ([created(), Drop(abrupt=True)], f"{STREAM}{RESET}"),
        ([created(), failed("zzz", "mm")], f"{STREAM}mm"),
        (
            [{"type": "error", "error": {"code": "websocket_connection_limit_reached", "message": "full"}}],
            f"{STREAM}full",
        ),
    ],
)
async def test_a_broken_reply_costs_the_connection(steps: list[Any], text: str) -> None:
    with MockModel() as model:
        model.play(created(), *message("whole"), completed())
        model.play(*steps)
        model.say("fine now")
        there = endpoint(model)
        history = [item("one"), item("whole", "assistant"), item("two")]
        async with session() as one:
            await play(one, request(history[0]), there)
            failure = await fails(one, request(*history), there)
            await play(one, request(*history), there)
        first, second = model.sockets
    assert (failure.message, failure.fallback, failure.retry is not None) == (text, True, True)
    assert [len(frame["input"]) for frame in first.frames] == [1, 1]
    assert [(frame.get("previous_response_id"), len(frame["input"])) for frame in second.frames] == [(None, 3)]


async def test_errors_in_a_frame_are_http_answers() -> None:
    limit = {"type": "usage_limit_reached", "plan_type": "plus"}
    bad = {"type": "error", "status_code": 400, "error": {"message": "bad"}}
    with MockModel() as model:
        headers = {"X-Codex-Primary-Used-Percent": "100"}
        model.play({"type": "error", "status": 429, "error": limit, "headers": headers})
        model.play(bad)
        model.play({"type": "error", "status": 200}, {"type": "error"}, completed())
        async with session() as one:
            used_up = await fails(one, request(item("one")), endpoint(model))
            refused = await fails(one, request(item("one")), endpoint(model))
            assert isinstance((await play(one, request(item("one")), endpoint(model)))[-1], Completed)
    assert used_up.info.wire() == "usageLimitExceeded" and used_up.retry is None
    assert used_up.rate_limits is not None
    assert used_up.rate_limits.primary == ev.RateLimitWindow(used_percent=100)
    assert (refused.message, refused.retry) == (json.dumps(bad), None)


async def test_silence_times_out() -> None:
    with MockModel() as model:
        model.play(created(), model.hold())
        async with session() as one:
            failure = await fails(one, request(item("one")), endpoint(model, stream_idle_timeout_ms=50))
    assert failure.message == f"{STREAM}idle timeout waiting for websocket"


async def test_426_means_http_for_the_rest_of_the_session() -> None:
    with MockModel() as model:
        model.refuse_upgrades(426, 1)
        model.say("over http")
        model.say("again")
        async with session() as one:
            events = await play(one, request(item("one")), endpoint(model))
            await play(one, request(item("one")), endpoint(model))
            assert one.http_only
        assert [seen.method for seen in model.requests] == ["GET", "POST", "POST"]
    assert any(isinstance(event, ItemDone) for event in events)
    assert isinstance(events[0], Headers) and events[0].rate_limits


async def test_a_refused_upgrade_is_a_failure_until_the_turn_falls_back() -> None:
    with MockModel() as model:
        model.refuse_upgrades(500, 2)
        model.say("over http")
        async with session() as one:
            await one.prewarm(request(turn_id=""), endpoint(model))
            failure = await fails(one, request(item("one")), endpoint(model))
            one.fall_back()
            assert isinstance((await play(one, request(item("one")), endpoint(model)))[-1], Completed)
    assert (failure.info.wire(), failure.status, failure.fallback) == ("internalServerError", 500, True)


@pytest.mark.parametrize(("status", "told"), [(200, "200 OK: Unknown error"), (404, "404 Not Found: gone")])
async def test_a_page_in_place_of_an_upgrade_says_nothing(status: int, told: str) -> None:
    with MockModel() as model:
        model.refuse_upgrades(status, 1, "gone")
        async with session() as one:
            failure = await fails(one, request(item("one")), endpoint(model))
    assert failure.message.startswith(f"unexpected status {told}, url: ws://")


async def test_over_http_failures_have_nothing_to_fall_back_to() -> None:
    with MockModel() as model:
        model.fail(401, "x")
        async with session() as one:
            one.fall_back()
            assert not (await fails(one, request(item("one")), endpoint(model))).fallback


async def test_nobody_listens() -> None:
    with MockModel() as model:
        there = endpoint(model)
    async with session() as one:
        await one.prewarm(request(turn_id=""), there)
        failure = await fails(one, request(item("one")), there)
    assert failure.message.startswith(f"{STREAM}failed to connect to websocket: ")
    assert failure.fallback and failure.retry is not None


async def test_a_connection_closed_between_turns_is_replaced_silently() -> None:
    with MockModel() as model:
        model.play(created("r1"), *message("first"), completed(response_id="r1"), Drop())
        model.say("second")
        there = endpoint(model)
        async with session() as one:
            await play(one, request(item("one")), there)
            await anyio.to_thread.run_sync(model.wait_closed, 1)
            history = [item("one"), item("first", "assistant"), item("two")]
            assert isinstance((await play(one, request(*history), there))[-1], Completed)
        assert [len(frame["input"]) for socket in model.sockets for frame in socket.frames] == [1, 3]


async def test_cancelling_hangs_up_at_once() -> None:
    with MockModel() as model:
        model.play(created(), delta("he"), model.hold())
        model.say("next")
        there = endpoint(model)
        async with session() as one:
            async with anyio.create_task_group() as group:
                reached = anyio.Event()

                async def sample() -> None:
                    async with aclosing(one.stream(request(item("one")), there)) as events:
                        async for event in events:
                            if isinstance(event, TextDelta):
                                reached.set()

                group.start_soon(sample)
                await reached.wait()
                group.cancel_scope.cancel()
            await anyio.to_thread.run_sync(model.wait_closed, 1)
            assert isinstance((await play(one, request(item("two")), there))[-1], Completed)


async def test_large_frames_both_ways() -> None:
    with MockModel() as model:
        model.say("y" * 3_000_000)
        async with session() as one:
            events = await play(one, request(item("x" * 3_000_000)), endpoint(model))
        assert len(model.sockets[0].frames[0]["input"][0]["content"][0]["text"]) == 3_000_000
    done = next(event for event in events if isinstance(event, ItemDone))
    assert len(codec.encode_item(done.item)) > 3_000_000
