"""Turns through a whole engine against a scripted endpoint: what goes out, what clients hear, what is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from engine.errors import BadRequest
from projections import protocol as p
from tests.engine.harness import until
from tests.engine.mocked import Json, Mocked, mocked
from tests.mock_model import (
    Drop,
    MockModel,
    begun,
    completed,
    created,
    done,
    function_call,
    message,
)

pytestmark = pytest.mark.anyio

CLOSED = "stream disconnected before completion: stream closed before response.completed"


@pytest.fixture
def model() -> Iterator[MockModel]:
    with MockModel() as running:
        yield running


def metadata(engine: Mocked, number: int) -> Json:
    found: Json = json.loads(engine.requests[number].headers["x-codex-turn-metadata"])
    return found


def said(body: Json) -> list[str]:
    """Texts of the input of a request behind the two messages of the context."""
    return [part["text"] for item in body["input"][2:] for part in item.get("content", ())]


async def heard(engine: Mocked, method: str, count: int = 1) -> None:
    """Wait until clients have heard of something."""
    await until(lambda: len(engine.sink.of(method)) >= count)


async def steer(engine: Mocked, thread: str, turn: str, text: str, **more: Any) -> str:
    given: list[p.UserInput] = [p.TextUserInput(text=text)]
    params = p.TurnSteerParams(thread_id=thread, expected_turn_id=turn, input=given, **more)
    return await engine.host.turns.steer(params)


# --- failures -----------------------------------------------------------------------------------------------------


async def test_a_broken_reply_is_asked_for_again(tmp_path: Path, model: MockModel) -> None:
    model.play(created(), *message("whole", "msg_1"), *begun("hal", "msg_2"), Drop())
    model.say("after")
    async with mocked(tmp_path, model, stream_max_retries=1) as engine:
        thread = await engine.start()
        assert (await engine.play(thread)).status == "completed"
        (notice,) = engine.heard("error")
        assert notice["willRetry"] is True
        assert notice["error"] == {
            "message": "Reconnecting... 1/1",
            "codexErrorInfo": {"responseStreamDisconnected": {"httpStatusCode": None}},
            "additionalDetails": CLOSED,
        }
        assert said(engine.requests[1].json) == ["go on", "whole"], "what was complete stays, half a message does not"


async def test_used_up_retries_fail_the_turn_and_not_the_thread(tmp_path: Path, model: MockModel) -> None:
    for _ in range(3):
        model.play(created(), Drop())
    async with mocked(tmp_path, model, stream_max_retries=2) as engine:
        thread = await engine.start()
        turn = await engine.play(thread)
        assert turn.status == "failed"
        notices = engine.heard("error")
        assert [n["error"]["message"] for n in notices] == ["Reconnecting... 1/2", "Reconnecting... 2/2", CLOSED]
        assert [n["willRetry"] for n in notices] == [True, True, False]
        assert notices[-1]["error"]["codexErrorInfo"] == "other"
        told = [method for method, _ in engine.told()]
        assert told[-1] == "turn/completed"
        assert (await engine.play(thread)).status == "completed"
        kinds = [kind for kind, _ in engine.lines(thread)]
        assert "error" not in kinds, "the reference keeps no error line in this mode"


async def test_a_turn_that_cannot_even_be_set_up_fails_under_its_own_id(tmp_path: Path, model: MockModel) -> None:
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        await engine.play(thread)
        (path,) = tmp_path.glob("sessions/*/*/*/*.jsonl")
        path.unlink()
        path.mkdir()
        turn = engine.open(thread)
        with anyio.fail_after(10):
            assert (await engine.ended(turn)).status == "failed"
        assert engine.heard("error")[-1]["turnId"] == turn
        assert engine.heard("turn/started")[-1]["turn"]["id"] == turn


async def test_silent_retries_of_a_server_error_are_the_clients(tmp_path: Path, model: MockModel) -> None:
    model.fail(500)
    model.say("fine")
    async with mocked(tmp_path, model, request_max_retries=1) as engine:
        thread = await engine.start()
        assert (await engine.play(thread)).status == "completed"
        assert not engine.heard("error")


async def test_a_refusal_is_not_retried(tmp_path: Path, model: MockModel) -> None:
    model.fail(400, "no such model")
    async with mocked(tmp_path, model, stream_max_retries=3, request_max_retries=3) as engine:
        thread = await engine.start()
        turn = await engine.play(thread)
        assert (turn.status, turn.error and turn.error.message) == ("failed", "no such model")
        assert len(engine.requests) == 1


# --- another model answers ----------------------------------------------------------------------------------------


async def test_a_reroute_is_told_once_a_turn(tmp_path: Path, model: MockModel) -> None:
    other = {"openai-model": "gpt-5.2"}
    model.play(created(), function_call("update_plan", {"plan": []}), completed(), headers=other)
    model.play(created(), *message("done"), completed(), headers=other)
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        turn = await engine.play(thread)
        assert engine.heard("model/rerouted") == [
            {
                "threadId": thread,
                "turnId": turn.id,
                "fromModel": "gpt-5.4",
                "toModel": "gpt-5.2",
                "reason": "highRiskCyberActivity",
            }
        ]
        (warning,) = engine.heard("warning")
        methods = [method for method, _ in engine.told()]
        first = methods.index("model/rerouted")
        assert methods[first : first + 3] == ["model/rerouted", "warning", "account/rateLimits/updated"]
        lines = engine.lines(thread)
        at = [kind for kind, _ in lines].index("token_count")
        assert lines[at - 1][1]["content"][0]["text"] == f"Warning: {warning['message']}"
        assert f"Warning: {warning['message']}" in said(engine.requests[1].json)


@pytest.mark.parametrize("answering", ["gpt-5.4", "GPT-5.4"])
async def test_the_asked_model_in_any_case_is_no_reroute(tmp_path: Path, model: MockModel, answering: str) -> None:
    model.play(created(), *message("done"), completed(), headers={"openai-model": answering})
    async with mocked(tmp_path, model) as engine:
        await engine.play(await engine.start())
        assert not engine.heard("model/rerouted", "warning")


async def test_limits_inside_an_http_stream_are_ignored(tmp_path: Path, model: MockModel) -> None:
    limits = {"type": "codex.rate_limits", "plan_type": "pro", "rate_limits": {"primary": {"used_percent": 42}}}
    model.play(limits, created(), *message("done"), completed())
    async with mocked(tmp_path, model) as engine:
        await engine.play(await engine.start())
        told = engine.heard("account/rateLimits/updated")
        assert [limit["rateLimits"]["primary"] for limit in told] == [None, None]


# --- what one turn asks for ---------------------------------------------------------------------------------------


async def test_metadata_of_a_steer_replaces_that_of_the_start(tmp_path: Path, model: MockModel) -> None:
    model.play(created(), *begun("a"), model.hold(), *message("first"), completed())
    model.say("second")
    model.say("third")
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        turn = engine.open(thread, "one", responsesapiClientMetadata={"a": "1", "session_id": "evil"})
        await heard(engine, "item/agentMessage/delta")
        assert await steer(engine, thread, turn, "two", responsesapi_client_metadata={"b": "2"}) == turn
        model.release()
        await engine.ended(turn)
        await engine.play(thread, "three")
        known = {"session_id": thread, "thread_source": "user", "sandbox": "none"}
        assert metadata(engine, 0) == {**known, "turn_id": turn, "a": "1"}
        assert metadata(engine, 1) == {**known, "turn_id": turn, "b": "2"}
        assert set(metadata(engine, 2)) == {*known, "turn_id"}, "it was for that turn only"
        assert said(engine.requests[1].json) == ["one", "first", "two"]


async def test_a_steer_without_metadata_keeps_that_of_the_start(tmp_path: Path, model: MockModel) -> None:
    model.play(created(), *begun("a"), model.hold(), *message("first"), completed())
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        turn = engine.open(thread, "one", responsesapiClientMetadata={"a": "1"})
        await heard(engine, "item/agentMessage/delta")
        await steer(engine, thread, turn, "two")
        model.release()
        await engine.ended(turn)
        assert metadata(engine, 1) == metadata(engine, 0)


async def test_an_output_schema_is_for_one_turn(tmp_path: Path, model: MockModel) -> None:
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        await engine.play(thread, outputSchema=schema)
        await engine.play(thread)
        first, second = (request.json["text"] for request in engine.requests)
        assert first["format"] == {
            "type": "json_schema",
            "strict": True,
            "schema": schema,
            "name": "codex_output_schema",
        }
        assert "format" not in second


async def test_service_tiers_stay_until_they_are_taken_back(tmp_path: Path, model: MockModel) -> None:
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        for more in ({}, {"serviceTier": "fast"}, {}, {"serviceTier": "flex"}, {"serviceTier": None}, {}):
            await engine.play(thread, **more)
        tiers = [request.json.get("service_tier") for request in engine.requests]
        assert tiers == [None, "priority", "priority", "flex", None, None]


async def test_fast_is_not_the_tier_threads_begin_with_where_the_feature_is_off(
    tmp_path: Path, model: MockModel
) -> None:
    async with mocked(tmp_path, model, 'service_tier = "fast"\nfeatures.fast_mode = false') as engine:
        for more in ({}, {"service_tier": "fast"}):
            await engine.play(await engine.start(**more))
        await engine.play(await engine.start(), serviceTier="fast")
        assert [request.json.get("service_tier") for request in engine.requests] == [None, None, "priority"]


async def test_the_servers_turn_state_is_echoed_within_the_turn(tmp_path: Path, model: MockModel) -> None:
    call = function_call("update_plan", {"plan": []})
    model.play(created(), call, completed(), headers={"x-codex-turn-state": "s1"})
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        await engine.play(thread)
        await engine.play(thread)
        states = [request.headers.get("x-codex-turn-state") for request in engine.requests]
        assert states == [None, "s1", None]


async def test_without_an_environment_there_are_no_hands(tmp_path: Path, model: MockModel) -> None:
    model.call("exec_command", {"cmd": "touch made"})
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        await engine.play(thread, environments=[])
        names = [tool.get("name", tool["type"]) for tool in engine.requests[0].json["tools"]]
        assert names == ["update_plan", "request_user_input", "web_search"]
        assert engine.requests[1].json["input"][-1]["output"] == "unsupported call: exec_command"
        await engine.play(thread)
        assert engine.requests[2].json["tools"][0]["name"] == "exec_command", "it was for one turn only"


# --- input --------------------------------------------------------------------------------------------------------


async def test_empty_input_is_an_error_that_begins_no_turn(tmp_path: Path, model: MockModel) -> None:
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        turn = engine.open(thread, input=[])
        await heard(engine, "error")
        assert engine.heard("error") == [
            {
                "error": {
                    "message": "input must not be empty",
                    "codexErrorInfo": "badRequest",
                    "additionalDetails": None,
                },
                "willRetry": False,
                "threadId": thread,
                "turnId": turn,
            }
        ]
        assert (await engine.play(thread)).status == "completed", "the error does not leak into the next turn"
        assert turn not in [note.turn.id for note in engine.sink.of("turn/started")]


async def test_empty_input_does_not_harm_a_running_turn(tmp_path: Path, model: MockModel) -> None:
    model.play(created(), *begun("a"), model.hold(), *message("first"), completed())
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        turn = engine.open(thread)
        await heard(engine, "item/agentMessage/delta")
        empty = engine.open(thread, input=[])
        await heard(engine, "error")
        model.release()
        assert (await engine.ended(turn)).status == "completed"
        assert [note["turnId"] for note in engine.heard("error")] == [empty]
        assert len(engine.requests) == 1, "there was nothing to tell the model"


async def test_a_start_during_a_turn_joins_it(tmp_path: Path, model: MockModel) -> None:
    model.play(created(), *begun("a"), model.hold(), *message("first"), completed())
    model.say("second")
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        turn = engine.open(thread, "one")
        await heard(engine, "item/agentMessage/delta")
        joined = engine.open(thread, "two", model="gpt-5.2")
        model.release()
        assert (await engine.ended(turn)).status == "completed"
        assert said(engine.requests[1].json) == ["one", "first", "two"]
        assert engine.requests[1].json["model"] == "gpt-5.4", "overrides are for the next turn"
        assert joined not in str(engine.told())
        await engine.play(thread)
        assert engine.requests[2].json["model"] == "gpt-5.2"


async def test_a_steer_for_another_turn_is_refused(tmp_path: Path, model: MockModel) -> None:
    model.play(created(), *begun("a"), model.hold(), *message("first"), completed())
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        with pytest.raises(BadRequest, match="no active turn to steer"):
            await steer(engine, thread, "nobody", "x")
        turn = engine.open(thread)
        await heard(engine, "item/agentMessage/delta")
        with pytest.raises(BadRequest, match=f"expected active turn id `other` but found `{turn}`"):
            await steer(engine, thread, "other", "x")
        model.release()
        await engine.ended(turn)


# --- interrupts ---------------------------------------------------------------------------------------------------


async def test_an_interrupt_ends_the_stream_and_the_turn(tmp_path: Path, model: MockModel) -> None:
    model.play(created(), *message("whole", "msg_1"), *begun("hal", "msg_2"), model.hold())
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        turn = engine.open(thread)
        await heard(engine, "item/agentMessage/delta")
        answered: list[int] = []
        params = p.TurnInterruptParams(thread_id=thread, turn_id="whatever")
        engine.host.turns.interrupt(params, lambda: answered.append(len(engine.sink.of("turn/completed"))))
        ended = await engine.ended(turn)
        assert (ended.status, ended.error) == ("interrupted", None)
        assert answered == [0], "the answer goes out before clients hear of the end"
        await engine.until(model.wait_hangups, 1)
        kinds = [kind for kind, _ in engine.lines(thread)]
        assert kinds[-2:] == ["message", "turn_aborted"]
        assert "task_complete" not in kinds
        await engine.play(thread, "and now")
        texts = said(engine.requests[1].json)
        assert texts[:2] == ["go on", "whole"]
        assert texts[2].startswith("<turn_aborted>")
        assert texts[3:] == ["and now"]


async def interrupted_after(engine: Mocked, thread: str, *steered: str) -> None:
    """A turn that is interrupted before the model has seen what was steered."""
    turn = engine.open(thread, "go")
    await heard(engine, "item/agentMessage/delta")
    for text in steered:
        await steer(engine, thread, turn, text)
    engine.host.turns.interrupt(p.TurnInterruptParams(thread_id=thread, turn_id=turn), lambda: None)
    assert (await engine.ended(turn)).status == "interrupted"
    items = [note["item"] for note in engine.heard("item/completed") if note["item"]["type"] == "userMessage"]
    assert [item["content"][0]["text"] for item in items] == ["go"], "clients may submit the rest again"


@pytest.mark.parametrize(
    ("later", "turns"),
    [
        ("something else", ["first", "second", "something else"]),
        ("first\nsecond", ["first\nsecond"]),
        ("second\nand more", ["first", "second\nand more"]),
        ("the second", ["first", "second", "the second"]),
    ],
)
async def test_what_an_interrupt_kept_from_the_model_goes_ahead_of_the_next_input(
    tmp_path: Path, model: MockModel, later: str, turns: list[str]
) -> None:
    model.play(created(), *begun("half"), model.hold())
    model.say("the answer")
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        await interrupted_after(engine, thread, "first", "second")
        await engine.play(thread, later)
        assert said(engine.requests[1].json)[2:] == turns
        items = [note["item"] for note in engine.heard("item/completed") if note["item"]["type"] == "userMessage"]
        assert [item["content"][0]["text"] for item in items][1:] == turns
        await engine.play(thread, "the end")
        assert said(engine.requests[2].json)[2:] == [*turns, "the answer", "the end"]


async def test_what_an_interrupt_kept_from_the_model_is_written_when_the_thread_ends(
    tmp_path: Path, model: MockModel
) -> None:
    model.play(created(), *begun("half"), model.hold())
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        await interrupted_after(engine, thread, "first", "second")
    async with mocked(tmp_path, model) as engine:
        await engine.resume(thread)
        await engine.play(thread, "third")
        assert said(engine.requests[1].json)[2:] == ["first", "second", "third"]


async def test_a_rollback_takes_back_what_an_interrupt_kept_from_the_model(tmp_path: Path, model: MockModel) -> None:
    model.play(created(), *begun("half"), model.hold())
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        await interrupted_after(engine, thread, "first")
        await engine.host.edits.rollback(p.ThreadRollbackParams(thread_id=thread, num_turns=1))
        await engine.play(thread, "anew")
        assert said(engine.requests[1].json)[-1:] == ["anew"]
        assert "first" not in said(engine.requests[1].json)


async def test_an_interrupt_ends_the_wait_for_a_retry(tmp_path: Path, model: MockModel) -> None:
    failure = {"code": "rate_limit_exceeded", "message": "Please try again in 3600s."}
    model.play(created(), {"type": "response.failed", "response": {"id": "resp_1", "error": failure}})
    async with mocked(tmp_path, model, stream_max_retries=1) as engine:
        thread = await engine.start()
        turn = engine.open(thread)
        await heard(engine, "error")
        engine.host.turns.interrupt(p.TurnInterruptParams(thread_id=thread, turn_id=turn), lambda: None)
        assert (await engine.ended(turn)).status == "interrupted"
        assert len(engine.requests) == 1


# --- calls --------------------------------------------------------------------------------------------------------


async def test_two_calls_run_at_once_and_are_recorded_in_order(tmp_path: Path, model: MockModel) -> None:
    """The first waits for what the second does: one after the other it would take for ever."""
    wait = "until test -e made; do sleep 0.02; done; echo seen"
    first = function_call("exec_command", {"cmd": wait, "login": False, "yield_time_ms": 30000}, "slow")
    second = function_call("exec_command", {"cmd": "touch made; echo made", "login": False}, "quick")
    model.play(created(), first, second, completed())
    model.say("done")
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        assert (await engine.play(thread)).status == "completed"
        tail = engine.requests[1].json["input"][-4:]
        assert [(item["type"], item["call_id"]) for item in tail] == [
            ("function_call", "slow"),
            ("function_call", "quick"),
            ("function_call_output", "slow"),
            ("function_call_output", "quick"),
        ]
        assert [item["output"].split("Output:\n")[1] for item in tail[2:]] == ["seen\n", "made\n"]
        ended = [n["item"] for n in engine.heard("item/completed") if n["item"]["type"] == "commandExecution"]
        assert {(item["id"], item["status"]) for item in ended} == {("slow", "completed"), ("quick", "completed")}


async def test_a_call_starts_before_the_reply_has_ended(tmp_path: Path, model: MockModel) -> None:
    model.play(created(), function_call("update_plan", {"plan": []}), model.hold(), completed())
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        turn = engine.open(thread)
        await heard(engine, "turn/plan/updated")
        assert len(engine.requests) == 1
        model.release()
        assert (await engine.ended(turn)).status == "completed"


async def test_unknown_tools_are_answered_and_the_turn_goes_on(tmp_path: Path, model: MockModel) -> None:
    named = {"type": "function_call", "name": "b", "namespace": "a_", "arguments": "{}", "call_id": "c2"}
    custom = {"type": "custom_tool_call", "name": "none", "input": "x", "call_id": "c3"}
    model.play(created(), function_call("none", "{}", "c1"), done(named), done(custom), completed())
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        assert (await engine.play(thread)).status == "completed"
        outputs = [item["output"] for item in engine.requests[1].json["input"] if item["type"].endswith("_output")]
        assert outputs == ["unsupported call: none", "unsupported call: a_b", "unsupported custom tool call: none"]


@pytest.mark.parametrize(("asks", "sent"), [(True, "Bearer sk-test"), (False, None)])
async def test_a_login_goes_to_providers_that_ask_for_it(
    tmp_path: Path, model: MockModel, asks: bool, sent: str | None
) -> None:
    (tmp_path / "auth.json").write_text(json.dumps({"OPENAI_API_KEY": "sk-test"}))
    model.say("hi")
    async with mocked(tmp_path, model, requires_openai_auth=asks) as engine:
        await engine.play(await engine.start())
        assert engine.requests[0].headers.get("authorization") == sent
