"""Items that clients hand in are refused in the words of the reference: `refused_items.jsonl` holds its answers."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.errors import BadRequest
from engine.response_items import parse_items
from rollouts import events as ev


class Refusal(msgspec.Struct):
    item: msgspec.Raw
    refusal: str


LINES = (Path(__file__).parent / "refused_items.jsonl").read_bytes().splitlines()
GOOD = msgspec.Raw(b'{"type":"message","role":"user","content":[{"type":"input_text","text":"a"}]}')


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[:90].decode())
def test_refusals_of_the_reference(line: bytes) -> None:
    recorded = msgspec.json.decode(line, type=Refusal)
    with pytest.raises(BadRequest) as refused:
        parse_items([GOOD, recorded.item], "items[{0}]: {1}")
    assert refused.value.message == f"items[1]: {recorded.refusal}"


def test_items_of_unknown_types_are_left_out() -> None:
    items = parse_items([GOOD, msgspec.Raw(b'{"type":"news","text":5}')], "{1}")
    assert [type(item) for item in items] == [ev.Message]
