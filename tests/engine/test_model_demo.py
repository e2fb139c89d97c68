"""The embedded demo model: deterministic, networkless, and using the same request and reply types as any
other."""

import json

import pytest
from msgspec import Raw

from engine.model import catalog
from engine.model.demo import DemoModel
from engine.model.request import ModelRequest, Prompt, RequestSettings, build
from engine.turn.replies import Completed, Created, Headers, ItemAdded, ItemDone, StreamEvent, TextDelta
from rollouts import events as ev

pytestmark = pytest.mark.anyio
PLAN_TOOL = Raw(b'{"type":"function","name":"update_plan"}')
CONTEXT = {"role": "user", "text": "<environment_context>\n</environment_context>"}


def request(*items: dict[str, str], tools: tuple[Raw, ...] = (PLAN_TOOL,)) -> ModelRequest:
    kinds = {"user": "input_text", "assistant": "output_text"}
    history = [
        {"type": "message", "role": item["role"], "content": [{"type": kinds[item["role"]], "text": item["text"]}]}
        if "role" in item
        else item
        for item in items
    ]
    settings = RequestSettings("T", "U", catalog.built_in().find("gpt-5.4"), "I", "o", "u", "none")
    return build(Prompt("Be.", [Raw(json.dumps(item).encode()) for item in history], tools), settings)


def user(text: str) -> dict[str, str]:
    return {"role": "user", "text": text}


async def play(given: ModelRequest) -> list[StreamEvent]:
    return [event async for event in DemoModel(pause=0).stream(given)]


async def text(given: ModelRequest) -> str:
    done = (await play(given))[-2]
    assert isinstance(done, ItemDone) and isinstance(done.item, ev.Message)
    (part,) = done.item.content
    return part.text if isinstance(part, ev.OutputText) else ""


async def test_an_answer_streams_word_by_word() -> None:
    events = await play(request(CONTEXT, user("fix the tests")))
    assert [type(event) for event in events[:3]] == [Headers, Created, ItemAdded]
    done, end = events[-2:]
    assert isinstance(done, ItemDone) and isinstance(done.item, ev.Message) and isinstance(end, Completed)
    deltas = [event for event in events if isinstance(event, TextDelta)]
    assert len(deltas) > 5
    assert "".join(event.delta for event in deltas) == await text(request(CONTEXT, user("fix the tests")))
    assert end.usage is not None and end.usage.total_tokens == end.usage.input_tokens + end.usage.output_tokens


async def test_the_same_request_gives_the_same_answer() -> None:
    given = request(user("hello there"))
    assert await play(given) == await play(given)
    assert await play(given) != await play(request(user("hello here")))


async def test_answers_count_what_they_were_sent() -> None:
    said = await text(request(CONTEXT, user("one"), {"role": "assistant", "text": "a"}, user("two")))
    assert said.startswith("You wrote “two”. This is message 2 of our session, and its history holds 4 items.")
    assert (await text(request(user("Hello!")))).startswith("Hello! This is message 1")
    assert (await text(request(CONTEXT))).startswith("Hello! I am the demo model.")


async def test_usage_grows_with_the_history_and_knows_what_was_cached() -> None:
    first = (await play(request(user("one"))))[-1]
    later = (await play(request(user("one"), {"role": "assistant", "text": "x" * 400}, user("two"))))[-1]
    assert isinstance(first, Completed) and first.usage and isinstance(later, Completed) and later.usage
    assert first.usage.cached_input_tokens == 0
    assert first.usage.input_tokens < later.usage.input_tokens
    assert 0 < later.usage.cached_input_tokens <= first.usage.input_tokens


async def test_a_plan_is_drawn_up_and_worked_off() -> None:
    history: list[dict[str, str]] = [user("make a plan please")]
    seen: list[list[str]] = []
    for _ in range(10):
        done = (await play(request(*history)))[-2]
        assert isinstance(done, ItemDone)
        if not isinstance(done.item, ev.FunctionCall):
            break
        assert done.item.name == "update_plan"
        plan = json.loads(done.item.arguments)["plan"]
        seen.append([step["status"] for step in plan])
        call = {"type": "function_call", "name": "update_plan", "arguments": done.item.arguments}
        output = {"type": "function_call_output", "call_id": done.item.call_id, "output": "Plan updated"}
        history += [{**call, "call_id": done.item.call_id}, output]
    assert seen == [
        ["in_progress", "pending", "pending"],
        ["completed", "in_progress", "pending"],
        ["completed", "completed", "in_progress"],
        ["completed", "completed", "completed"],
    ]
    assert (await text(request(*history))).startswith("The plan is done")


async def test_no_plan_without_the_tool() -> None:
    assert (await text(request(user("make a plan"), tools=()))).startswith("You wrote “make a plan”.")


async def test_a_compaction_gets_a_summary() -> None:
    asked = user("You are performing a CONTEXT CHECKPOINT COMPACTION. Sum up.")
    assert await text(request(user("one"), user("two"), asked)) == "So far the user has written: “one”, “two”."
