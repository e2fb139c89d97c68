"""Recorded messages of the reference survive the published types unchanged, with their members in order.

`tests/fixtures/protocol/messages.jsonl` is a selection of recorded answers, notifications and server requests in
which every shape of every object that was ever seen occurs at least once; ids, times and paths are made up.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from projections import protocol as p
from tests.schema import check_notification, check_response, check_server_request

SAMPLES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "fixtures/protocol/messages.jsonl").read_text().splitlines()
]
IDS = [f"{sample['kind']}-{sample['method']}-{number}" for number, sample in enumerate(SAMPLES)]


def type_of(sample: dict[str, Any]) -> Any:
    method = sample["method"]
    if sample["kind"] == "response":
        return p.CLIENT_METHODS[method][1]
    return p.SERVER_REQUESTS[method][0] if sample["kind"] == "request" else p.SERVER_NOTIFICATIONS[method]


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_decoding_and_encoding_gives_the_same_text(sample: dict[str, Any]) -> None:
    value = msgspec.json.decode(json.dumps(sample["value"]), type=type_of(sample))
    assert json.dumps(json.loads(msgspec.json.encode(value))) == json.dumps(sample["value"])


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_the_published_schema_accepts_it(sample: dict[str, Any]) -> None:
    check = {
        "response": check_response,
        "request": check_server_request,
        "notification": check_notification,
    }[sample["kind"]]
    check(sample["method"], sample["value"])


def test_optional_members_of_answers_are_written_as_null() -> None:
    turn = p.Turn(id="t", items=[], status="inProgress")
    assert msgspec.json.encode(turn) == (
        b'{"id":"t","items":[],"status":"inProgress","error":null,'
        b'"startedAt":null,"completedAt":null,"durationMs":null}'
    )


def test_the_short_list_of_members_is_left_out_when_unset() -> None:
    item = p.McpToolCallThreadItem(id="i", server="s", tool="t", status="inProgress", arguments={})
    assert b"mcpAppResourceUri" not in msgspec.json.encode(item)
    ask = p.CommandExecutionRequestApprovalParams(thread_id="t", turn_id="u", item_id="i")
    assert msgspec.json.encode(ask) == b'{"threadId":"t","turnId":"u","itemId":"i"}'


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (p.SessionSource, '"vscode"'),
        (p.SessionSource, '{"custom":"x"}'),
        (p.SessionSource, '{"subAgent":"review"}'),
        (p.SessionSource, '{"subAgent":{"other":"guardian"}}'),
        (p.AskForApproval, '"on-request"'),
        (p.CodexErrorInfo, '"usageLimitExceeded"'),
        (p.CodexErrorInfo, '{"httpConnectionFailed":{"httpStatusCode":500}}'),
        (p.CodexErrorInfo, '{"responseStreamDisconnected":{"httpStatusCode":null}}'),
        (p.CodexErrorInfo, '{"activeTurnNotSteerable":{"turnKind":"compact"}}'),
        (p.CommandExecutionApprovalDecision, '"acceptForSession"'),
        (
            p.CommandExecutionApprovalDecision,
            '{"acceptWithExecpolicyAmendment":{"execpolicy_amendment":["ls"]}}',
        ),
        (p.ReviewDecision, '"timed_out"'),
        (p.FileSystemPath, '{"type":"special","value":{"kind":"project_roots","subpath":null}}'),
    ],
)
def test_words_and_objects_of_one_type_round_trip(type_: Any, text: str) -> None:
    assert msgspec.json.encode(msgspec.json.decode(text, type=type_)).decode() == text


@pytest.mark.parametrize("text", ["{}", '{"custom":"x","subAgent":"review"}', '{"custom":null}', '"nobody"'])
def test_an_object_form_needs_exactly_one_member(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=p.SessionSource)


def test_a_message_the_schema_forbids_is_reported_with_its_place() -> None:
    bad = {"threadId": "t", "turn": {"id": "u", "items": [], "status": "done"}}
    with pytest.raises(AssertionError, match=r"turn/started: \$\.turn\.status"):
        check_notification("turn/started", bad)
    with pytest.raises(AssertionError, match="not in the published protocol"):
        check_notification("turn/paused", {})


def test_numbers_beyond_their_width_are_reported() -> None:
    check_response("thread/increment_elicitation", {"count": 2**64 - 1, "paused": True})
    with pytest.raises(AssertionError, match=r"\$\.count"):
        check_response("thread/increment_elicitation", {"count": 2**64, "paused": True})
