"""What servers answer, as it is passed on: the forms were recorded from the reference."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.mcp import wire
from engine.mcp.errors import McpFailed, seconds

NOTES = {"lastModified": "2025-01-01T00:00:00Z", "priority": 1, "audience": ["user"], "other": 1}
SHOWN = '"annotations":{"audience":["user"],"priority":1.0,"lastModified":"2025-01-01T00:00:00Z"}'


def passed_on(method: str, given: dict[str, Any]) -> str:
    return msgspec.json.encode(wire.answer(method, given)).decode()


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ({"text": "x", "type": "text", "zz": 1, "_meta": None}, '{"type":"text","text":"x"}'),
        (
            {"annotations": NOTES, "_meta": {"b": 1, "a": 2}, "text": "x", "type": "text"},
            '{"type":"text","text":"x","_meta":{"b":1,"a":2},' + SHOWN + "}",
        ),
        (
            {"mimeType": "image/png", "data": "AA", "type": "image"},
            '{"type":"image","data":"AA","mimeType":"image/png"}',
        ),
        (
            {"mimeType": "audio/wav", "data": "AA", "type": "audio", "_meta": {"a": 1}},
            '{"type":"audio","data":"AA","mimeType":"audio/wav"}',
        ),
        (
            {"resource": {"blob": "B", "text": "T", "uri": "x:"}, "_meta": {}, "type": "resource"},
            '{"type":"resource","_meta":{},"resource":{"uri":"x:","text":"T"}}',
        ),
        (
            {"icons": [{"sizes": ["any"], "src": "s"}], "size": 4, "name": "N", "uri": "x:", "type": "resource_link"},
            '{"type":"resource_link","uri":"x:","name":"N","size":4,"icons":[{"src":"s","sizes":["any"]}]}',
        ),
    ],
)
def test_content_is_put_in_order(content: dict[str, Any], shown: str) -> None:
    assert passed_on("tools/call", {"content": [content], "zz": 1}) == f'{{"content":[{shown}]}}'


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"content": []},
        {"content": [], "isError": True, "structuredContent": None},
        {"content": "text"},
        {"content": [{"type": "video"}]},
        {"content": [{"text": "no type"}]},
        {"content": [{"type": "text", "text": 5}]},
        {"content": [{"type": "image", "data": "AA"}]},
        {"content": [{"type": "resource", "resource": {"uri": "x:"}}]},
        {"content": [{"type": "text", "text": "x", "annotations": {"priority": "high"}}]},
        {"content": [{"type": "text", "text": "x"}], "isError": "yes"},
        {"content": [{"type": "text", "text": "x"}], "_meta": 5},
    ],
)
def test_one_thing_wrong_makes_a_result_unusable(result: dict[str, Any]) -> None:
    with pytest.raises(McpFailed, match=r"^Unexpected response type$"):
        wire.answer("tools/call", result)


def test_structured_content_is_enough() -> None:
    assert wire.answer("tools/call", {"structuredContent": False}) == {"structuredContent": False, "content": []}


def test_a_priority_in_content_is_a_short_float() -> None:
    notes = {"priority": 0.1}
    found = wire.answer("tools/call", {"content": [{"type": "text", "text": "x", "annotations": notes}]})
    assert found["content"][0]["annotations"] == {"priority": 0.10000000149011612}
    huge = {"content": [{"type": "text", "text": "x", "annotations": {"priority": 1e300}}]}
    assert '"annotations":{"priority":null}' in passed_on("tools/call", huge)
    listed = wire.answer("resources/list", {"resources": [{"uri": "x:", "name": "n", "annotations": notes}]})
    assert listed["resources"][0]["annotations"] == notes


@pytest.mark.parametrize(
    ("method", "given"),
    [
        ("tools/list", {"tools": [{"name": "t"}]}),
        ("tools/list", {"tools": [{"name": "t", "inputSchema": {}, "annotations": {"readOnlyHint": "yes"}}]}),
        ("resources/list", {"resources": [{"uri": "x:"}]}),
        ("resources/list", {"resources": [{"uri": "x:", "name": "n", "size": 2**64}]}),
        ("resources/templates/list", {}),
        ("resources/read", {"contents": [{"uri": "x:"}]}),
    ],
)
def test_one_bad_entry_makes_a_listing_unusable(method: str, given: dict[str, Any]) -> None:
    with pytest.raises(McpFailed):
        wire.answer(method, given)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (None, "CustomResult(CustomResult(Null))"),
        ({}, "EmptyResult(EmptyObject)"),
        (
            {"protocolVersion": 'a"', "list": [1, 2.5, True]},
            'CustomResult(CustomResult(Object {"protocolVersion": String("a\\""), '
            '"list": Array [Number(1), Number(2.5), Bool(true)]}))',
        ),
    ],
)
def test_what_is_no_introduction_is_shown(given: Any, shown: str) -> None:
    assert wire.strange_start(given) == f"expect initialized result, but received: Some({shown})"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0ns"), (2, "2s"), (1.5, "1.5s"), (90, "90s"), (0.5, "500ms"), (0.0125, "12.5ms"), (0.0000015, "1.5\u00b5s")],
)
def test_times_are_printed_in_their_unit(value: float, shown: str) -> None:
    assert seconds(value) == shown
