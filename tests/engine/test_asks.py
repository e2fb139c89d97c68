"""Answers of clients are typed, and a bad one never reads as consent."""

from __future__ import annotations

import msgspec
import pytest

from engine.asks import ANSWER_TYPES, Asks
from projections import protocol as p

GOOD = {
    "item/commandExecution/requestApproval": (
        b'{"decision":{"acceptWithExecpolicyAmendment":{"execpolicy_amendment":["git"]}}}'
    ),
    "item/fileChange/requestApproval": b'{"decision":"acceptForSession"}',
    "item/tool/requestUserInput": b'{"answers":{"q":{"answers":["a"]}}}',
    "item/permissions/requestApproval": b'{"permissions":{"network":{"enabled":true}},"scope":"session"}',
    "item/tool/call": b'{"contentItems":[{"type":"inputText","text":"x"}],"success":true}',
    "mcpServer/elicitation/request": b'{"action":"accept","content":{"a":1},"_meta":null}',
    "account/chatgptAuthTokens/refresh": b'{"accessToken":"a","chatgptAccountId":"b","chatgptPlanType":null}',
    "applyPatchApproval": b'{"decision":"approved"}',
    "execCommandApproval": b'{"decision":"approved_for_session"}',
}

CAUTIOUS = {
    "item/commandExecution/requestApproval": {"decision": "decline"},
    "item/fileChange/requestApproval": {"decision": "decline"},
    "item/tool/requestUserInput": {"answers": {}},
    "item/permissions/requestApproval": {
        "permissions": {"network": None, "fileSystem": None},
        "scope": "turn",
        "strictAutoReview": None,
    },
    "item/tool/call": {
        "contentItems": [{"type": "inputText", "text": "dynamic tool response was invalid"}],
        "success": False,
    },
    "mcpServer/elicitation/request": {"action": "decline", "content": None, "_meta": None},
    "account/chatgptAuthTokens/refresh": {"accessToken": "", "chatgptAccountId": "", "chatgptPlanType": None},
    "applyPatchApproval": {"decision": "denied"},
    "execCommandApproval": {"decision": "denied"},
}

FAILED = {
    "item/tool/call": {
        "contentItems": [{"type": "inputText", "text": "dynamic tool request failed"}],
        "success": False,
    },
}
"""What stands in for an error where that is told apart."""

BAD = [b"null", b"{}", b"[]", b"5", b'"accept"', b'{"decision":"yes"}', b'{"decision":{"accept":{}}}', b"[" * 100_000]


def answer(method: str, result: bytes | None) -> msgspec.Struct:
    asks, given = Asks(ANSWER_TYPES), list[msgspec.Struct]()
    question = asks.open("t", method, {}, given.append)
    deliver = asks.answer(question, result)
    assert not given, "the end is announced before the asker hears the answer"
    deliver()
    assert asks.get(question.id) is None
    return given[0]


def test_every_server_request_of_the_protocol_has_an_answer_type() -> None:
    assert {m: a.type for m, a in ANSWER_TYPES.items()} == {m: a for m, (_, a) in p.SERVER_REQUESTS.items()}


@pytest.mark.parametrize("method", GOOD)
def test_a_good_answer_arrives_typed(method: str) -> None:
    given = answer(method, GOOD[method])
    assert type(given) is ANSWER_TYPES[method].type
    assert given == msgspec.json.decode(GOOD[method], type=type(given))


@pytest.mark.parametrize("method", CAUTIOUS)
@pytest.mark.parametrize("result", [None, *BAD], ids=lambda r: "error" if r is None else r[:30].decode())
def test_an_error_or_a_bad_answer_counts_as_the_cautious_one(method: str, result: bytes | None) -> None:
    told = FAILED.get(method) if result is None else None
    assert msgspec.to_builtins(answer(method, result)) == (told or CAUTIOUS[method])


def test_questions_of_a_thread_oldest_first_and_only_open_ones() -> None:
    asks = Asks(ANSWER_TYPES)
    first, second, other = (asks.open(t, "item/tool/call", {}, lambda answer: None) for t in ("t", "t", "u"))
    assert asks.of_thread("t") == [first, second]
    assert asks.withdraw(first.id) is first
    assert asks.withdraw(first.id) is None
    assert asks.of_thread("t") == [second]
    assert asks.get(other.id) is other
    assert asks.get("2") is None


def test_a_method_that_is_no_server_request_is_refused() -> None:
    with pytest.raises(KeyError):
        Asks(ANSWER_TYPES).open("t", "turn/start", {}, lambda answer: None)
