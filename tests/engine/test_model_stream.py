"""The reply stream: server-sent events of any chunking, and what their payloads mean."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.sse import EventTooLarge, SseParser
from engine.model.stream import decode, reply_headers
from engine.turn import replies as rp
from engine.turn.replies import ModelFailure
from rollouts import events as ev
from tests import mock_model as mock


def parse(*chunks: bytes) -> list[bytes]:
    parser = SseParser()
    return [payload for chunk in chunks for payload in parser.feed(chunk)] + parser.finish()


@pytest.mark.parametrize(
    ("stream", "payloads"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"event: x\nid: 3\nretry: 5\ndata: a\n\n", [b"a"]),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", [b"a", b"b", b"c"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b": keep-alive\n\ndata: a\n: inside\n\n", [b"a"]),
        (b"data:a\n\ndata:  b\n\ndata\n\n", [b"a", b" b", b""]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"event: only\n\ndata: a\n\n", [b"a"]),
        (b"dataset: no\ndata : no\n\ndata: a\n\n", [b"a"]),
        (b"data: cut off", [b"cut off"]),
        (b"data: a\n\nevent: cut off", [b"a"]),
        (b"", []),
    ],
)
def test_payloads(stream: bytes, payloads: list[bytes]) -> None:
    assert parse(stream) == payloads
    assert parse(*(stream[i : i + 1] for i in range(len(stream)))) == payloads


lines = st.sampled_from(
    [b'data: {"a":1}', b"data:", b"data: x\xc3\xa9", b"event: e", b": c", b"", b"", b"da", b"\xef\xbb\xbfdata: b"]
)
ends = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(st.lists(st.tuples(lines, ends), max_size=20), st.lists(st.integers(0, 200), max_size=8))
def test_chunking_changes_nothing(parts: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    stream = b"".join(line + end for line, end in parts)
    bounds = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    chunks = [stream[start:end] for start, end in pairwise(bounds)]
    assert parse(*chunks) == parse(stream)


@given(st.binary(max_size=300), st.integers(1, 7))
def test_any_bytes_are_survived(stream: bytes, size: int) -> None:
    assert parse(*(stream[i : i + size] for i in range(0, len(stream), size))) == parse(stream)


def test_one_event_is_bounded_and_many_are_not() -> None:
    parser = SseParser(limit=100)
    for _ in range(100):
        assert parser.feed(b": comment\ndata: " + b"x" * 50 + b"\n\n") == [b"x" * 50]
    with pytest.raises(EventTooLarge):
        for _ in range(10):
            parser.feed(b"data: 0123456789\n")
    endless = SseParser(limit=100)
    with pytest.raises(EventTooLarge):
        for _ in range(10):
            endless.feed(b"data: 0123456789")


def event(kind: str, **fields: Any) -> rp.StreamEvent | None:
    return decode(json.dumps({"type": kind, **fields}))


MESSAGE = {"type": "message", "role": "assistant", "id": "msg_1", "content": [{"type": "output_text", "text": "hi"}]}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (mock.created("r"), rp.Created("r")),
        (
            mock.done(MESSAGE),
            rp.ItemDone(ev.Message(id="msg_1", role="assistant", content=(ev.OutputText(text="hi"),)), "msg_1"),
        ),
        (
            mock.added({"type": "message", "role": "assistant", "id": "msg_1", "content": []}),
            rp.ItemAdded(ev.Message(id="msg_1", role="assistant", content=()), "msg_1"),
        ),
        (mock.delta("he"), rp.TextDelta("he")),
        ({"type": "response.output_text.delta", "delta": "he"}, rp.TextDelta("he")),
        (
            {"type": "response.reasoning_summary_part.added", "item_id": "rs", "summary_index": 1},
            rp.SummaryPartAdded(1),
        ),
        (
            {"type": "response.reasoning_summary_text.delta", "item_id": "rs", "summary_index": 0, "delta": "d"},
            rp.SummaryTextDelta("d", 0),
        ),
        (
            {"type": "response.reasoning_text.delta", "item_id": "rs", "content_index": 2, "delta": "d"},
            rp.ReasoningTextDelta("d", 2),
        ),
        (
            {"type": "response.custom_tool_call_input.delta", "call_id": "c", "delta": "*** Begin"},
            rp.CustomInputDelta("*** Begin", None, "c"),
        ),
        (
            mock.completed((100, 10, 20, 5), "r", end_turn=False),
            rp.Completed("r", ev.TokenUsage(100, 10, 20, 5, 120)),
        ),
        (mock.completed(None, "r"), rp.Completed("r", None)),
        ({"type": "response.completed", "response": {"id": "r", "usage": None}}, rp.Completed("r", None)),
    ],
    ids=lambda value: value.get("type") if isinstance(value, dict) else "",
)
def test_known_events(payload: dict[str, Any], expected: rp.StreamEvent) -> None:
    assert decode(json.dumps(payload)) == expected


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "response.metadata", "headers": {"openai-model": "other"}},
        {"type": "response.created", "response": {"id": "r", "headers": {"OpenAI-Model": ["other"]}}},
        {"type": "response.something_new", "response": {"headers": {"x-openai-model": "other"}}},
    ],
)
def test_an_event_may_name_the_model_that_answers(payload: dict[str, Any]) -> None:
    assert decode(json.dumps(payload)) == rp.ServedBy("other")


def test_missing_usage_details_count_as_zero() -> None:
    usage: dict[str, Any] = {
        "input_tokens": 5,
        "output_tokens": 2,
        "total_tokens": 7,
        "input_tokens_details": None,
    }
    assert event("response.completed", response={"id": "r", "usage": usage}) == rp.Completed(
        "r", ev.TokenUsage(5, 0, 2, 0, 7)
    )


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[DONE]",
        b"{",
        b"null",
        b"\xff",
        b'{"no": "type"}',
        b'{"type": 3}',
        b"[" * 100_000,
        b'{"type": "response.in_progress"}',
        b'{"type": "response.function_call_arguments.delta", "delta": "{"}',
        b'{"type": "response.metadata", "headers": {}}',
        b'{"type": "error", "message": "boo"}',
        b'{"type": "response.created"}',
        b'{"type": "response.created", "response": null}',
        b'{"type": "response.completed"}',
        b'{"type": "response.output_text.delta"}',
        b'{"type": "response.output_text.delta", "delta": 3}',
        b'{"type": "response.reasoning_summary_text.delta", "delta": "x"}',
        b'{"type": "response.custom_tool_call_input.delta", "delta": "x"}',
        b'{"type": "response.output_item.done"}',
        b'{"type": "response.output_item.done", "item": 7}',
        b'{"type": "response.output_item.done", "item": {"type": "zork", "x": 1}}',
        b'{"type": "response.output_item.done", "item": {"type": "message", "role": "assistant"}}',
    ],
)
def test_what_says_nothing_to_us_is_ignored(payload: bytes) -> None:
    assert decode(payload) is None


def test_a_message_of_an_unknown_phase_keeps_its_text() -> None:
    done = event("response.output_item.done", item={**MESSAGE, "phase": "weird", "brand_new": 1})
    assert isinstance(done, rp.ItemDone) and isinstance(done.item, ev.Message)
    assert done.item.phase is None and done.item.content == (ev.OutputText(text="hi"),)
    known = event("response.output_item.done", item={**MESSAGE, "phase": "commentary"})
    assert isinstance(known, rp.ItemDone) and isinstance(known.item, ev.Message)
    assert known.item.phase == "commentary"


STREAM = "stream disconnected before completion: "
FULL = (
    "Codex ran out of room in the model's context window. Start a new thread or clear earlier history before retrying."
)
PLUS = "To use Codex with your ChatGPT plan, upgrade to Plus: https://chatgpt.com/explore/plus."
BUSY = "Selected model is at capacity. Please try a different model."


@pytest.mark.parametrize(
    ("error", "message", "info", "retried"),
    [
        ({"code": "context_length_exceeded", "message": "m"}, FULL, "contextWindowExceeded", False),
        (
            {"code": "insufficient_quota", "message": "m"},
            "Quota exceeded. Check your plan and billing details.",
            "usageLimitExceeded",
            False,
        ),
        ({"code": "usage_not_included", "message": "m"}, PLUS, "usageLimitExceeded", False),
        ({"code": "invalid_prompt", "message": "m"}, "m", "other", False),
        ({"code": "invalid_prompt"}, "Invalid request.", "other", False),
        ({"code": "cyber_policy", "message": "m"}, "m", "cyberPolicy", False),
        (
            {"code": "cyber_policy", "message": " "},
            "This request has been flagged for possible cybersecurity risk.",
            "cyberPolicy",
            False,
        ),
        ({"code": "invalid_prompt", "message": ""}, "", "other", False),
        (
            {"code": "cyber_policy"},
            "This request has been flagged for possible cybersecurity risk.",
            "cyberPolicy",
            False,
        ),
        ({"code": "server_is_overloaded", "message": "m"}, BUSY, "serverOverloaded", False),
        ({"code": "slow_down", "message": "m"}, BUSY, "serverOverloaded", False),
        ({"code": "rate_limit_exceeded", "message": "m"}, STREAM + "m", "other", True),
        ({"code": "brand_new_code", "message": "m"}, STREAM + "m", "other", True),
        ({"code": "brand_new_code"}, STREAM, "other", True),
        ({"message": "hello"}, STREAM + "hello", "other", True),
        (None, STREAM + "response.failed event received", "other", True),
    ],
)
def test_failed_responses(error: dict[str, str] | None, message: str, info: str, retried: bool) -> None:
    with pytest.raises(ModelFailure) as caught:
        event("response.failed", response={"id": "r", "error": error})
    failure = caught.value
    assert (failure.message, failure.info.wire(), failure.retry is not None) == (message, info, retried)
    assert (failure.kind == "context_window") == (info == "contextWindowExceeded")


@pytest.mark.parametrize(
    ("code", "text", "delay"),
    [
        ("rate_limit_exceeded", "Please try again in 300ms. Visit", 0.3),
        ("rate_limit_exceeded", "Please try again in 11.054s.", 11.054),
        ("rate_limit_exceeded", "Try again in 2 seconds", 2.0),
        ("rate_limit_exceeded", "try again in a while", None),
        ("other_code", "Please try again in 300ms.", None),
    ],
)
def test_a_rate_limit_names_its_delay(code: str, text: str, delay: float | None) -> None:
    with pytest.raises(ModelFailure) as caught:
        event("response.failed", response={"error": {"code": code, "message": text}})
    assert caught.value.retry is not None and caught.value.retry.delay == delay


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ({"incomplete_details": {"reason": "max_output_tokens"}}, "max_output_tokens"),
        ({"incomplete_details": None}, "unknown"),
        (None, "unknown"),
    ],
)
def test_incomplete_responses(response: dict[str, Any] | None, reason: str) -> None:
    with pytest.raises(ModelFailure) as caught:
        event("response.incomplete", response=response)
    assert caught.value.message == f"{STREAM}Incomplete response returned, reason: {reason}"
    assert caught.value.retry is not None


@pytest.mark.parametrize(
    ("response", "why"),
    [
        ({"usage": None}, "missing field `id`"),
        ({"id": "r", "usage": {"input_tokens": 5, "output_tokens": 2}}, "missing field `total_tokens`"),
        (
            {
                "id": "r",
                "usage": {"input_tokens": 5, "input_tokens_details": {}, "output_tokens": 2, "total_tokens": 7},
            },
            "missing field `cached_tokens`",
        ),
        ({"id": "r", "usage": 5}, "invalid type: integer `5`, expected struct ResponseCompletedUsage"),
        ([], "invalid length 0, expected struct ResponseCompleted with 2 elements"),
        ({"id": None}, "invalid type: null, expected a string"),
    ],
)
def test_an_unreadable_end_is_a_broken_stream(response: Any, why: str) -> None:
    with pytest.raises(ModelFailure) as caught:
        event("response.completed", response=response)
    assert caught.value.message == f"{STREAM}failed to parse ResponseCompleted: {why}"


def test_rate_limits_told_by_an_event() -> None:
    told = event(
        "codex.rate_limits",
        plan_type="prolite",
        rate_limits={"primary": {"used_percent": 42, "window_minutes": 300, "reset_at": 1900000000}},
        credits={"has_credits": True, "unlimited": False, "balance": "5"},
        metered_limit_name="Codex-Other",
    )
    assert told == rp.RateLimits(
        ev.RateLimitSnapshot(
            limit_id="codex_other",
            primary=ev.RateLimitWindow(used_percent=42, window_minutes=300, resets_at=1900000000),
            credits=ev.CreditsSnapshot(has_credits=True, unlimited=False, balance="5"),
            plan_type="prolite",
        )
    )
    assert event("codex.rate_limits") == rp.RateLimits(ev.RateLimitSnapshot(limit_id="codex"))


def test_reply_headers() -> None:
    told = reply_headers(
        {"x-codex-turn-state": "ts", "openai-model": "gpt-5.2", "x-reasoning-included": "true", "x-models-etag": "e"}
    )
    assert (told.turn_state, told.model, told.reasoning_included, told.models_etag) == ("ts", "gpt-5.2", True, "e")
    assert reply_headers({}) == rp.Headers((ev.RateLimitSnapshot(limit_id="codex"),))
