"""Compaction through a whole engine: when it comes, what it asks, and what it leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from projections import protocol as p
from tests.engine.harness import until
from tests.engine.mocked import Json, Mocked, mocked
from tests.mock_model import Event, MockModel, completed, created, failed, function_call, message

pytestmark = pytest.mark.anyio

PLAN: Json = {"plan": []}
LIMIT = "model_auto_compact_token_limit = 900"


@pytest.fixture
def model() -> Iterator[MockModel]:
    with MockModel() as running:
        yield running


def used(tokens: int) -> Any:
    return (tokens, 0, 0, 0)


def say(model: MockModel, text: str, tokens: int = 10, *before: Event) -> None:
    model.play(created(), *before, *message(text), completed(used(tokens)))


def texts(body: Json) -> list[str]:
    """The messages of a request without the context, summaries and prompts shortened."""
    found = [part["text"] for item in body["input"] for part in item.get("content", ()) if item["role"] != "developer"]
    return [_short(text) for text in found if not text.startswith("<environment_context>")]


def _short(text: str) -> str:
    if text.startswith("Another language model"):
        return "SUMMARY " + text.rpartition("\n")[2]
    return "PROMPT" if text.startswith("You are performing a CONTEXT CHECKPOINT") else text


def user(text: str) -> Json:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


async def inject(engine: Mocked, thread: str, *items: Json) -> None:
    raw = [msgspec.Raw(json.dumps(item).encode()) for item in items]
    await engine.host.edits.inject_items(p.ThreadInjectItemsParams(thread_id=thread, items=raw))


async def compact(engine: Mocked, thread: str) -> p.Turn:
    before = len(engine.heard("turn/started"))
    engine.host.turns.compact(p.ThreadCompactStartParams(thread_id=thread))()
    await engine.until(engine.endpoint.wait_requests, len(engine.requests) + 1)
    return await engine.ended(engine.heard("turn/started")[before]["turn"]["id"])


async def test_what_the_model_has_not_counted_yet_is_estimated(tmp_path: Path, model: MockModel) -> None:
    say(model, "one")
    say(model, "in short")
    say(model, "two")
    async with mocked(tmp_path, model, LIMIT) as engine:
        thread = await engine.start()
        await engine.play(thread, "first")
        await inject(engine, thread, user("x" * 4000))
        await engine.play(thread, "second")
        assert texts(engine.requests[1].json) == ["first", "one", "x" * 4000, "PROMPT"]
        assert texts(engine.requests[2].json) == ["first", "x" * 4000, "SUMMARY in short", "second"]


async def test_reasoning_counts_unless_the_server_counts_it(tmp_path: Path, model: MockModel) -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "e" * 8000}
    for headers in ({}, {"x-reasoning-included": "true"}):
        done = {"type": "response.output_item.done", "item": thought}
        model.play(created(), done, *message("one"), completed(used(10)), headers=headers)
        for _ in range(4):
            say(model, "more")
        async with mocked(tmp_path / f"{len(headers)}", model, LIMIT) as engine:
            asked = len(engine.requests)
            thread = await engine.start()
            for text in ("first", "second", "third"):
                await engine.play(thread, text)
            assert len(engine.requests) - asked == (3 if headers else 4)
        model._queue.clear()


async def test_after_a_compaction_the_calls_go_on_before_new_input_is_heard(tmp_path: Path, model: MockModel) -> None:
    model.play(created(), model.hold(), function_call("update_plan", PLAN), completed(used(1000)))
    say(model, "in short")
    say(model, "goes on")
    say(model, "heard")
    async with mocked(tmp_path, model, LIMIT) as engine:
        thread = await engine.start()
        turn = engine.open(thread, "first")
        await engine.until(model.wait_requests, 1)
        given: list[p.UserInput] = [p.TextUserInput(text="steered")]
        await engine.host.turns.steer(p.TurnSteerParams(thread_id=thread, expected_turn_id=turn, input=given))
        model.release()
        await engine.ended(turn)
        asked = [texts(request.json) for request in engine.requests]
        assert asked[1:] == [
            ["first", "PROMPT"],
            ["first", "SUMMARY in short"],
            ["first", "SUMMARY in short", "goes on", "steered"],
        ]


async def test_a_summary_that_does_not_fit_is_asked_for_without_the_oldest_items_and_their_answers(
    tmp_path: Path, model: MockModel
) -> None:
    model.play(created(), function_call("update_plan", PLAN, "c1"), completed())
    model.play(created(), function_call("update_plan", PLAN, "c2"), completed())
    say(model, "one")
    for _ in range(5):
        model.play(created(), failed("context_length_exceeded"))
    say(model, "in short")
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        await engine.play(thread, "first")
        assert (await compact(engine, thread)).status == "completed"
        calls = [[item.get("call_id") for item in request.json["input"]] for request in engine.requests[3:]]
        assert [[call for call in asked if call] for asked in calls] == [
            *[["c1", "c1", "c2", "c2"]] * 4,
            ["c2", "c2"],
            [],
        ]


async def test_when_nothing_is_left_to_drop_the_window_reads_as_full(tmp_path: Path, model: MockModel) -> None:
    for _ in range(4):  # two messages of context, that of the user, nothing
        model.play(created(), failed("context_length_exceeded"))
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        await inject(engine, thread, user("x"))
        ended = await compact(engine, thread)
        assert (ended.status, ended.error and ended.error.codex_error_info) == ("failed", "contextWindowExceeded")
        usage = engine.heard("thread/tokenUsage/updated")[-1]["tokenUsage"]
        assert usage["total"]["totalTokens"] == usage["modelContextWindow"]


async def test_a_model_that_says_nothing_is_taken_at_its_last_words(tmp_path: Path, model: MockModel) -> None:
    say(model, "last words")
    say(model, " ")
    say(model, "two")
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        await engine.play(thread, "first")
        await compact(engine, thread)
        await engine.play(thread, "second")
        assert texts(engine.requests[-1].json) == ["first", "SUMMARY last words", "second"]


async def test_what_is_injected_after_a_compaction_comes_behind_the_context(tmp_path: Path, model: MockModel) -> None:
    say(model, "one")
    say(model, "in short")
    say(model, "two")
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        await engine.play(thread, "first")
        await compact(engine, thread)
        for text in ("injected", "too"):
            await inject(engine, thread, user(text))
        await engine.play(thread, "second")
        roles = [item["role"] for item in engine.requests[-1].json["input"]]
        assert roles == ["user", "user", "developer", *["user"] * 4]
        assert texts(engine.requests[-1].json) == ["first", "SUMMARY in short", "injected", "too", "second"]


async def test_a_command_of_the_user_beside_a_compaction_is_told_after_it(tmp_path: Path, model: MockModel) -> None:
    say(model, "one")
    model.play(created(), model.hold("summary"), *message("in short"), completed())
    say(model, "two")
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        await engine.play(thread, "first")
        engine.host.turns.compact(p.ThreadCompactStartParams(thread_id=thread))()
        await engine.until(model.wait_requests, 2)
        engine.host.turns.shell(p.ThreadShellCommandParams(thread_id=thread, command="echo beside"))()
        await until(lambda: "commandExecution" in str(engine.heard("item/completed")))
        model.release("summary")
        await until(lambda: len(engine.heard("turn/completed")) == 2)
        await engine.play(thread, "second")
        first, summary, command, second = texts(engine.requests[-1].json)
        assert (first, summary, second) == ("first", "SUMMARY in short", "second")
        assert "echo beside" in command


# --- a smaller model ----------------------------------------------------------------------------------------------


def catalog(path: Path) -> str:
    """A catalog of three models with windows of 100000, 20000 and 10000 tokens; the configuration that takes it."""
    levels = [{"effort": effort, "description": ""} for effort in ("minimal", "low", "high", "xhigh")]
    windows = {"large": 100_000, "small": 20_000, "tiny": 10_000}
    models = [
        {
            "slug": slug,
            "context_window": window,
            "supported_reasoning_levels": levels,
            "supports_reasoning_summaries": True,
            "visibility": "list",
        }
        for slug, window in windows.items()
    ]
    path.write_text(json.dumps({"models": models}))
    return f"model_catalog_json = {json.dumps(str(path))}"


async def test_a_history_too_large_for_a_smaller_model_is_compacted_by_the_one_before(
    tmp_path: Path, model: MockModel
) -> None:
    say(model, "one", 18_001)
    say(model, "in short", 18_000)
    say(model, "two", 10)
    async with mocked(tmp_path, model, catalog(tmp_path / "catalog.json")) as engine:
        thread = await engine.start(model="large")
        await engine.play(thread, "first")
        await engine.play(thread, "second", model="small", effort="medium")
        asked = [(r.json["model"], r.json["reasoning"]["effort"], texts(r.json)) for r in engine.requests[1:]]
        assert asked == [
            ("large", "low", ["first", "one", "PROMPT"]),
            ("small", "medium", ["first", "SUMMARY in short", "second"]),
        ]
        windows = [note["tokenUsage"]["modelContextWindow"] for note in engine.heard("thread/tokenUsage/updated")]
        assert windows == [95_000] * 5 + [19_000]


@pytest.mark.parametrize(
    ("tokens", "to", "asked"),
    [
        (18_000, "small", ["large", "small", "small"]),
        (17_999, "small", ["large", "small"]),
        (18_001, "large", ["large", "large"]),
    ],
)
async def test_at_the_limit_or_below_the_new_model_sees_to_itself(
    tmp_path: Path, model: MockModel, tokens: int, to: str, asked: list[str]
) -> None:
    say(model, "one", tokens)
    say(model, "two")
    say(model, "three")
    async with mocked(tmp_path, model, catalog(tmp_path / "catalog.json")) as engine:
        thread = await engine.start(model="large")
        await engine.play(thread, "first")
        await engine.play(thread, "second", model=to)
        assert [request.json["model"] for request in engine.requests] == asked


async def test_what_is_still_too_large_is_compacted_again(tmp_path: Path, model: MockModel) -> None:
    say(model, "one", 20_000)
    for _ in range(3):
        say(model, "more")
    async with mocked(tmp_path, model, catalog(tmp_path / "catalog.json")) as engine:
        thread = await engine.start(model="large")
        await engine.play(thread, "x" * 40_000)
        await engine.play(thread, "second", model="tiny")
        assert [request.json["model"] for request in engine.requests] == ["large", "large", "tiny", "tiny"]


# --- at the provider ----------------------------------------------------------------------------------------------


async def test_a_provider_compacts_mid_turn_and_the_context_goes_before_the_last_message(
    tmp_path: Path, model: MockModel
) -> None:
    model.play(created(), function_call("update_plan", PLAN), completed(used(1000)))
    mark = {"type": "compaction", "encrypted_content": "E"}
    stale = [user("<environment_context>\n</environment_context>"), {**user("old"), "role": "developer"}]
    model.fail(200, {"output": [user("first"), *stale, mark]})
    say(model, "one")
    async with mocked(tmp_path, model, LIMIT, name="OpenAI") as engine:
        thread = await engine.start()
        await engine.play(thread, "first")
        asked, last = engine.requests[1:]
        assert asked.path == "/v1/responses/compact"
        assert asked.headers["x-codex-window-id"] == f"{thread}:0"
        assert "x-codex-installation-id" in asked.headers
        assert not {"x-client-request-id", "x-codex-turn-metadata"} & set(asked.headers)
        sent = [(item["type"], item.get("role")) for item in last.json["input"]]
        assert sent == [("message", "developer"), ("message", "user"), ("message", "user"), ("compaction", None)]
        assert texts(last.json) == ["first"]


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (400, {"error": {"message": "no"}}, '{"error": {"message": "no"}}'),
        (200, {"nothing": 1}, "stream disconnected before completion: missing field `output` at line 1 column 14"),
        pytest.param(
            200,
            '{"output":' + "[" * 10_000,
            "stream disconnected before completion: maximum recursion depth exceeded while deserializing an object",
            id="deep",
        ),
    ],
)
async def test_a_provider_that_fails_leaves_the_history(
    tmp_path: Path, model: MockModel, status: int, body: Json, message: str
) -> None:
    say(model, "one")
    model.fail(status, body)
    say(model, "two")
    async with mocked(tmp_path, model, name="OpenAI") as engine:
        thread = await engine.start()
        await engine.play(thread, "first")
        ended = await compact(engine, thread)
        assert ended.error is not None
        assert ended.error.message == f"Error running remote compact task: {message}"
        await engine.play(thread, "second")
        assert texts(engine.requests[-1].json) == ["first", "one", "second"]
