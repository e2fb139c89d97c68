"""Lines are read as 0.125.0 reads them and written byte for byte as it writes them."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rollouts import codec, policy
from rollouts import events as ev
from tests.conftest import fixture_rollouts

NOW = "2026-04-20T10:00:00.000Z"
COPIED = Path(__file__).with_name("copied_lines.jsonl")

# Hand-made fixture lines that 0.125.0 reads but writes otherwise: old names, missing nulls, an item id, keys in
# another order. All other lines must come back as they are.
NORMALISED = {
    ("foreign_lines", 11),
    ("foreign_lines", 12),
    ("old_lifecycle", 2),
    ("old_lifecycle", 7),
    ("old_lifecycle", 14),
    ("rich_events", 24),
    ("subagent_thread", 1),
}


def fixture_lines() -> list[tuple[str, int, bytes]]:
    return [
        (path.stem, number, line)
        for path in fixture_rollouts()
        for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1)
    ]


def read(text: str | bytes) -> codec.Line:
    line = codec.decode(text.encode() if isinstance(text, str) else text)
    assert isinstance(line, codec.Line), line
    return line


def line_of(outer: str, payload: Any) -> bytes:
    return json.dumps({"timestamp": NOW, "type": outer, "payload": payload}, separators=(",", ":")).encode()


def event(**payload: Any) -> ev.Body:
    return read(line_of("event_msg", payload)).body


def test_every_fixture_line_comes_back_byte_for_byte() -> None:
    wrong = {
        (name, number)
        for name, number, raw in fixture_lines()
        if not name.endswith("_0169") and codec.encode(read(raw).body, read(raw).timestamp) != raw
    }
    assert wrong == NORMALISED


def test_every_readable_fixture_line_is_typed() -> None:
    unknown = {
        (body.type, body.subtype) for _, _, raw in fixture_lines() if isinstance(body := read(raw).body, ev.Unknown)
    }
    assert unknown == {
        ("world_state", None),
        ("token_usage_record", None),
        ("event_msg", "made_up_event"),
        ("event_msg", "task_started"),  # without turn_id
        ("event_msg", "task_complete"),  # without turn_id
    }


def test_lines_of_0169_keep_what_0125_knows_of_them() -> None:
    path = fixture_rollouts("compacted_0169")[0]
    bodies = [read(raw).body for raw in path.read_bytes().splitlines()]
    items = [body.item for body in bodies if isinstance(body, ev.ItemCompleted)]
    assert {type(item) for item in items} == {ev.UserMessageItem, ev.AgentMessageItem, ev.ContextCompactionItem}
    first = next(body for body in bodies if isinstance(body, ev.Message))
    assert first.id is not None
    assert json.loads(codec.encode_item(first)).keys() == {"type", "role", "content"}


@pytest.mark.parametrize("pair", COPIED.read_bytes().splitlines())
def test_a_line_is_copied_as_0125_copies_it(pair: bytes) -> None:
    """Recorded: a file with these lines was forked by 0.125.0; null where it left the line out."""
    recorded = json.loads(pair)
    line = codec.decode(recorded["line"].encode())
    body = policy.for_disk(line.body, extended=True) if isinstance(line, codec.Line) else None
    copy = codec.encode(body, "T").decode() if body is not None else None
    assert copy == (None if recorded["copy"] is None else recorded["copy"] + "\n")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"   ",
        b"\r",
        b"[]",
        b"42",
        b"{}",
        b"null",
        b"{",
        b'{"timestamp":"T","type":"event_msg","payload":{"type":"context_compacted"}',
        b'{"timestamp":"T","type":"event_msg","payload":{"type":"context_compacted"}}x',
        b'{"type":"event_msg","payload":{"type":"context_compacted"}}',
        b'{"timestamp":5,"type":"event_msg","payload":{"type":"context_compacted"}}',
        b'{"timestamp":"T","type":5,"payload":{}}',
        b'{"timestamp":"T","type":"event_msg"}',
        b'\xef\xbb\xbf{"timestamp":"T","type":"event_msg","payload":{"type":"context_compacted"}}',
        b'{"timestamp":"T","type":"event_msg","payload":{"type":"agent_message","message":"\xff"}}',
        b'{"timestamp":"T","type":"unheard_of","payload":{"x":"\xff"}}',
        b'{"timestamp":"T","type":"unheard_of","payload":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_line_is_a_bad_line(raw: bytes) -> None:
    assert isinstance(codec.decode(raw), codec.BadLine)


def test_invalid_utf8_is_named_with_its_place() -> None:
    assert codec.decode(b'{"timestamp":"\xff"}') == codec.BadLine("not UTF-8: invalid start byte at byte 14")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"timestamp":"T","type":"event_msg","payload":{"type":"agent_reasoning","text":"x"}}\n',
        b'{"timestamp":"T","type":"event_msg","payload":{"type":"agent_reasoning","text":"x"}}\r\n',
        b'{"payload":{"text":"x","type":"agent_reasoning"},"type":"event_msg","timestamp":"T"}',
        b' { "timestamp" : "T" , "type" : "event_msg" , "payload" : { "type" : "agent_reasoning" , "text" : "x" } } ',
        b'{"timestamp":"T","ordinal":7,"type":"event_msg","payload":{"type":"agent_reasoning","text":"x"},"metadata":{}}',
        b'{"timestamp":"T","type":"event_msg","payload":{"type":"agent_reasoning","text":"x","new":{"type":"y"}}}',
        b'{"timestamp":"T","typ\\u0065":"event_msg","payload":{"type":"agent\\u005freasoning","text":"x"}}',
    ],
)
def test_order_spaces_and_further_keys_do_not_matter(raw: bytes) -> None:
    assert codec.decode(raw) == codec.Line("T", ev.AgentReasoning("x"))


def test_a_nonsense_timestamp_is_kept() -> None:
    raw = b'{"timestamp":"noon","type":"event_msg","payload":{"type":"context_compacted"}}\n'
    assert read(raw) == codec.Line("noon", ev.ContextCompacted())
    assert codec.encode(read(raw).body, "noon") == raw


@pytest.mark.parametrize(
    ("outer", "payload", "subtype"),
    [
        ("world_state", {"full": True}, None),
        ("event_msg", {"type": "made_up", "x": 1}, "made_up"),
        ("event_msg", {"x": 1}, None),
        ("event_msg", [], None),
        ("event_msg", None, None),
        ("event_msg", {"type": 5}, None),
        ("event_msg", {"type": "task_started"}, "task_started"),
        ("event_msg", {"type": "user_message"}, "user_message"),
        ("event_msg", {"type": "message", "role": "user", "content": []}, "message"),
        ("response_item", {"type": "message", "role": "user"}, "message"),
        ("response_item", {"role": "user", "content": []}, None),
        ("session_meta", {"id": "x"}, None),
        ("compacted", {}, None),
        ("engine_event", {"type": "review"}, "review"),
        ("session_state", {}, None),
    ],
)
def test_what_cannot_be_read_is_unknown_and_kept(outer: str, payload: Any, subtype: str | None) -> None:
    raw = line_of(outer, payload)
    body = read(raw).body
    assert body == ev.Unknown(outer, subtype, codec.open_json(payload))
    assert codec.encode(body, NOW) == raw + b"\n"
    assert not codec.counts(body)


def test_an_unknown_response_item_counts_as_parsed() -> None:
    body = read(line_of("response_item", {"type": "brand_new", "x": 1})).body
    assert body == ev.OtherItem("brand_new", codec.open_json({"type": "brand_new", "x": 1}))
    assert codec.counts(body)


def test_usage_that_lacks_a_field_drops_the_line_but_unknown_words_do_not() -> None:
    usage = {"input_tokens": 1, "output_tokens": 1, "reasoning_output_tokens": 1, "total_tokens": 1}
    lacking = {"total_token_usage": usage, "last_token_usage": usage}
    assert isinstance(event(type="token_count", info=lacking), ev.Unknown)
    limits = {"plan_type": "brand_new", "rate_limit_reached_type": "brand_new"}
    kept = event(type="token_count", rate_limits=limits)
    assert isinstance(kept, ev.TokenCount)
    assert kept.rate_limits == ev.RateLimitSnapshot(plan_type="brand_new", rate_limit_reached_type="brand_new")


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30, int("9" * 4000)])
def test_numbers_that_do_not_fit_in_64_bits_make_a_line_unreadable(number: int) -> None:
    assert isinstance(event(type="task_started", turn_id="t", started_at=number), ev.Unknown)
    assert isinstance(event(type="task_started", turn_id="t", started_at=2**63 - 1), ev.TaskStarted)


def test_old_names_are_read() -> None:
    assert event(type="turn_started", turn_id="t") == ev.TaskStarted("t")
    assert event(type="turn_complete", turn_id="t") == ev.TaskComplete("t")
    item = {"type": "compaction_summary", "encrypted_content": "e"}
    assert read(line_of("response_item", item)).body == ev.Compaction("e")


def test_a_user_message_may_hold_nothing_but_its_text() -> None:
    assert event(type="user_message", message="m") == ev.UserMessage("m")
    assert event(type="user_message", message="m", images=None) == ev.UserMessage("m")


def test_open_json_keeps_key_order_and_the_spelling_of_numbers_and_strings() -> None:
    arguments = b'{"z":1.10,"a":[1E5,-0,12345678901234567890123],"u":"\\u00e9\\/"}'
    raw = (
        b'{"timestamp":"T","type":"event_msg","payload":{"type":"dynamic_tool_call_request","callId":"c",'
        b'"turnId":"t","namespace":null,"tool":"x","arguments":' + arguments + b"}}\n"
    )
    assert codec.encode(read(raw).body, "T") == raw


def test_open_json_with_spaces_and_newlines_still_makes_one_compact_line() -> None:
    call = ev.ToolSearchCall(execution="client", arguments=msgspec.Raw(b'{\n  "a b": [1, "x, \\n: y"]\n}'))
    item = b'{"type":"tool_search_call","call_id":null,"execution":"client","arguments":{"a b":[1,"x, \\n: y"]}}'
    assert codec.encode_item(call) == item
    assert codec.encode(call, "T") == b'{"timestamp":"T","type":"response_item","payload":' + item + b"}\n"


def test_text_is_written_raw_and_only_what_json_demands_is_escaped() -> None:
    body = ev.AgentReasoning('é\U0001f600\u2028\x7f/<>&"\\\n\x01')
    written = '{"type":"agent_reasoning","text":"é\U0001f600\u2028\x7f/<>&\\"\\\\\\n\\u0001"}'
    assert codec.encode(body, "T").decode() == f'{{"timestamp":"T","type":"event_msg","payload":{written}}}\n'


@pytest.mark.parametrize(("percent", "written"), [(12.5, "12.5"), (12, "12.0"), (0, "0.0"), (100.0, "100.0")])
def test_shares_are_written_as_floats(percent: float, written: str) -> None:
    window = ev.RateLimitWindow(float(percent), 300, 5)
    assert msgspec.json.encode(window).decode() == (f'{{"used_percent":{written},"window_minutes":300,"resets_at":5}}')


@pytest.mark.parametrize(
    ("item", "kept"),
    [
        (ev.Message(id="i", role="user", content=()), False),
        (ev.Reasoning(id="i", summary=()), False),
        (ev.FunctionCall(id="i", name="n", arguments="{}", call_id="c"), False),
        (ev.CustomToolCall(id="i", call_id="c", name="n", input=""), False),
        (ev.LocalShellCall(id="i", status="completed", action=ev.LocalShellAction(())), False),
        (ev.WebSearchCall(id="i"), False),
        (ev.ToolSearchCall(id="i", execution="e", arguments=msgspec.Raw(b"{}")), False),
        (ev.ImageGenerationCall(id="i", status="completed", result=""), True),
    ],
)
def test_only_image_generation_calls_keep_the_servers_id(item: ev.ResponseItem, kept: bool) -> None:
    assert ('"id"' in codec.encode(item, "T").decode()) is kept
    assert (b'"id"' in codec.encode_item(item)) is kept


def test_items_that_replace_history_are_rewritten_without_ids() -> None:
    theirs = msgspec.Raw(b'{"type":"message","id":"m","role":"user","content":[]}')
    newer = msgspec.Raw(b'{"type":"brand_new","x":1}')
    line = json.loads(codec.encode(ev.Compacted("m", (theirs, newer)), "T"))
    assert line["payload"]["replacement_history"] == [
        {"type": "message", "role": "user", "content": []},
        {"type": "brand_new", "x": 1},
    ]


def test_a_compaction_with_an_unreadable_item_is_unknown() -> None:
    broken = {"message": "m", "replacement_history": [{"type": "message"}]}
    assert isinstance(read(line_of("compacted", broken)).body, ev.Unknown)


def test_items_can_be_read_alone() -> None:
    raw = b'{"type":"message","id":"m","role":"user","content":[{"type":"input_text","text":"x"}]}'
    item = codec.decode_item(raw)
    assert item == ev.Message(id="m", role="user", content=(ev.InputText("x"),))
    assert isinstance(codec.decode_item(b'{"type":"message"}'), ev.Unknown)
    assert isinstance(codec.decode_item(b"[]"), ev.Unknown)
    assert isinstance(codec.decode_item(b"nonsense"), ev.Unknown)
    assert codec.decode_item(b'{"type":"new"}') == ev.OtherItem("new", msgspec.Raw(b'{"type":"new"}'))


def test_what_counts_as_parsed_is_what_0125_can_read() -> None:
    """Observed by the number in an implicit turn id."""
    run = ev.HookRunSummary(id="h", event_name="stop", status="running", started_at=1)
    command = ev.CommandExecutionItem(id="c")
    counted: list[tuple[ev.Body, bool]] = [
        (ev.Warning("w"), True),
        (ev.HookStarted("t", run), True),
        (ev.UndoStarted(), True),
        (ev.TokenCount(), True),
        (ev.ItemCompleted("x", "t", ev.UserMessageItem("u", ())), True),
        (ev.ItemCompleted("x", "t", command), False),
        (ev.OtherItem("new", msgspec.Raw(b"{}")), True),
        (ev.Unknown("world_state", None, msgspec.Raw(b"{}")), False),
        (ev.SessionState(None), False),
        (ev.ThreadMetadata(ev.GitOverride()), False),
    ]
    assert [(body, codec.counts(body)) for body, _ in counted] == counted


def test_engine_lines_look_as_designed() -> None:
    review = ev.Review(
        review_id="r",
        turn_id="t",
        target_item_id="call_1",
        status="denied",
        risk_level="high",
        user_authorization="low",
        rationale="why",
        decision_source="agent",
        action=ev.CommandAction("unified_exec", "rm -rf b", "/w"),
    )
    assert codec.encode(review, "T") == (
        b'{"timestamp":"T","type":"engine_event","payload":{"type":"review","review_id":"r","turn_id":"t",'
        b'"target_item_id":"call_1","status":"denied","risk_level":"high","user_authorization":"low",'
        b'"rationale":"why","decision_source":"agent",'
        b'"action":{"type":"command","source":"unified_exec","command":"rm -rf b","cwd":"/w"}}}\n'
    )
    run = ev.HookRunRecord(
        id="pre-tool-use:0:/h/hooks.json:call_1",
        event_name="pre_tool_use",
        source="user",
        status="blocked",
        started_at=1776679210,
        duration_ms=12,
        entries=(ev.HookEntry("feedback", "x"),),
    )
    assert codec.encode(ev.HookRun("t", run), "T") == (
        b'{"timestamp":"T","type":"engine_event","payload":{"type":"hook_run","turn_id":"t",'
        b'"run":{"id":"pre-tool-use:0:/h/hooks.json:call_1","event_name":"pre_tool_use","source":"user",'
        b'"status":"blocked","started_at":1776679210,"duration_ms":12,'
        b'"entries":[{"kind":"feedback","text":"x"}]}}}\n'
    )


def test_agent_tasks_are_written_as_0122_wrote_them() -> None:
    task = ev.AgentTask("agent-1", "task-1", "2026-04-20T10:00:00Z")
    assert codec.encode(ev.SessionState(task), "T") == (
        b'{"timestamp":"T","type":"session_state","payload":{"agent_task":{"agent_runtime_id":"agent-1",'
        b'"task_id":"task-1","registered_at":"2026-04-20T10:00:00Z"}}}\n'
    )
    assert codec.encode(ev.SessionState(None), "T").endswith(b'"payload":{"agent_task":null}}\n')


@pytest.mark.parametrize(
    ("known", "changes"),
    [
        (True, {}),
        (True, {"approval_policy": {"granular": {"sandbox_approval": True, "rules": True, "mcp_elicitations": True}}}),
        (True, {"permission_profile": {"network": {"enabled": True}}}),
        (False, {"approval_policy": {"granular": {"rules": True}}}),
        (False, {"permission_profile": {"type": "managed"}}),
        (False, {"effort": "mega"}),
        (False, {"network": {"allowed_domains": []}}),
        (False, {"summary": "long"}),
        (False, {"personality": "grumpy"}),
        (False, {"collaboration_mode": {"mode": "zen", "settings": {"model": "m"}}}),
        (False, {"approval_policy": "sometimes"}),
        (False, {"approval_policy": {}}),
        (False, {"sandbox_policy": {"mode": "read-only"}}),
        (False, {"sandbox_policy": {"type": "moon-base"}}),
        (False, {"sandbox_policy": None}),
    ],
)
def test_settings_with_words_nobody_knows_are_unknown(known: bool, changes: dict[str, Any]) -> None:
    usual = {"cwd": "/w", "approval_policy": "never", "sandbox_policy": {"type": "read-only"}, "model": "m"}
    body = read(line_of("turn_context", usual | {"summary": "auto"} | changes)).body
    assert isinstance(body, ev.TurnContext if known else ev.Unknown)
