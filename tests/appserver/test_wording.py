"""Refused params are refused in the words of the reference: `refusals.jsonl` holds its answers, one per line."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.appserver.handlers import methods
from engine.errors import BadRequest
from engine.wording import unknown_variant
from projections import protocol as p


class Refusal(msgspec.Struct):
    method: str
    refusal: str
    params: msgspec.Raw = msgspec.Raw()


LINES = (Path(__file__).parent / "refusals.jsonl").read_bytes().splitlines()
METHODS = methods({})


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[:90].decode())
def test_refusals_of_the_reference(line: bytes) -> None:
    recorded = msgspec.json.decode(line, type=Refusal)
    with pytest.raises(BadRequest) as refused:
        METHODS[recorded.method].decode(recorded.params)
    assert refused.value.message == f"Invalid request: {recorded.refusal}"


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.params is not None])
@pytest.mark.parametrize("params", ["null", "5", '"x"', "true"])
def test_every_method_refuses_params_that_are_no_object_in_words_of_its_own(method: str, params: str) -> None:
    with pytest.raises(BadRequest) as refused:
        METHODS[method].decode(msgspec.Raw(params.encode()))
    assert "$" not in refused.value.message, "a path of the decoder shows through"


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.params is None])
@pytest.mark.parametrize("params", ["", "null", "{}"])
def test_methods_without_params_take_nothing_in_any_form(method: str, params: str) -> None:
    assert METHODS[method].decode(msgspec.Raw(params.encode())) is None


def test_params_may_come_as_a_list_in_the_order_of_the_protocol() -> None:
    by_position = METHODS["thread/turns/list"].decode(msgspec.Raw(b'["a",null,5,"asc"]'))
    assert by_position == p.ThreadTurnsListParams(thread_id="a", limit=5, sort_direction="asc")
    assert METHODS["thread/read"].decode(msgspec.Raw(b'["a"]')) == p.ThreadReadParams(thread_id="a")


def test_older_names_of_modes_are_read() -> None:
    params = b'{"threadId":"a","input":[],"collaborationMode":{"mode":"pair_programming","settings":{"model":"m"}}}'
    assert METHODS["turn/start"].decode(msgspec.Raw(params)) is not None


def test_members_are_judged_in_the_order_sent_and_missing_ones_last() -> None:
    with pytest.raises(BadRequest, match="integer `5`, expected a sequence"):
        METHODS["turn/start"].decode(msgspec.Raw(b'{"input":5,"threadId":6}'))
    with pytest.raises(BadRequest, match="integer `6`, expected a string"):
        METHODS["turn/start"].decode(msgspec.Raw(b'{"threadId":6,"input":5}'))
    with pytest.raises(BadRequest, match="missing field `threadId`"):
        METHODS["turn/start"].decode(msgspec.Raw(b'{"input":[]}'))


@pytest.mark.parametrize("text", ["{", '{"limit":', '{"cursor":"\\ud800"}', "\xff"])
def test_params_that_are_no_json_are_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="Invalid request: "):
        METHODS["thread/list"].decode(msgspec.Raw(text.encode("latin-1")))


@pytest.mark.parametrize("text", [b'{"threadId":"\xff"}', b'["\xff"]'])
@pytest.mark.parametrize("method", ["thread/read", "turn/start", "config/mcpServer/reload"])
def test_params_with_bytes_that_are_no_text_are_refused(method: str, text: bytes) -> None:
    with pytest.raises(BadRequest, match="Invalid request: 'utf-8' codec"):
        METHODS[method].decode(msgspec.Raw(text))


@pytest.mark.parametrize(
    ("known", "text"),
    [
        (["a"], "unknown variant `x`, expected `a`"),
        (["a", "b"], "unknown variant `x`, expected `a` or `b`"),
        (["a", "b", "c"], "unknown variant `x`, expected one of `a`, `b`, `c`"),
    ],
)
def test_lists_of_names(known: list[str], text: str) -> None:
    assert unknown_variant("x", known) == text
