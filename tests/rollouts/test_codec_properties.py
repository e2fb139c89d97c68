"""Whatever the engine can make is read back equal, and a head says what the whole line says."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollouts import codec
from tests.conftest import fixture_rollouts
from tests.rollouts.generated import JSON, TEXT, event_classes, events, line_text

TAGGED = ("event_msg", "response_item", "engine_event")


@pytest.mark.parametrize("cls", event_classes(), ids=lambda cls: cls.__name__)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_every_event_is_read_back_equal(cls: type[msgspec.Struct], data: st.DataObject) -> None:
    body = data.draw(events(cls))
    raw = codec.encode(body, "2026-04-20T10:00:00.000Z")
    assert raw.endswith(b"\n")
    assert raw.count(b"\n") == 1
    assert codec.decode(raw) == codec.Line("2026-04-20T10:00:00.000Z", body)
    assert codec.encode(body, "2026-04-20T10:00:00.000Z") == raw


def names(line: dict[str, Any]) -> tuple[str, str | None]:
    payload = line["payload"]
    tag = payload.get("type") if line["type"] in TAGGED and isinstance(payload, dict) else None
    return line["type"], tag if isinstance(tag, str) else None


def test_the_head_of_every_fixture_line_is_that_of_the_whole() -> None:
    for path in fixture_rollouts():
        for raw in path.read_bytes().splitlines():
            assert codec.head(raw) == names(json.loads(raw)), path


TYPES = st.sampled_from([*TAGGED, "session_meta", "turn_context", "world_state"]) | TEXT
# Values that look like the marks a careless scan would search for.
DECOYS = st.sampled_from(['"type":"event_msg"', '","type":"compacted","payload":{"type":"x"', "\\", '"', "é"]) | JSON
PAYLOADS = st.one_of(
    JSON,
    st.dictionaries(st.sampled_from(["type", "payload", "timestamp", "x"]), DECOYS | TYPES, max_size=3),
    st.builds(lambda tag, rest: {"type": tag, **rest}, TYPES, st.dictionaries(TEXT, DECOYS, max_size=2)),
)


@st.composite
def lines(draw: st.DrawFn) -> dict[str, Any]:
    line: dict[str, Any] = {
        "timestamp": draw(st.just("2026-04-20T10:00:00.000Z") | TEXT | DECOYS.map(str)),
        "type": draw(TYPES),
        "payload": draw(PAYLOADS),
    }
    line |= draw(st.dictionaries(st.sampled_from(["ordinal", "metadata", "a"]), DECOYS, max_size=2))
    return dict(draw(st.permutations(list(line.items()))) if draw(st.booleans()) else line)


@settings(max_examples=500, deadline=None)
@given(lines(), st.booleans())
def test_the_head_is_never_fooled(line: dict[str, Any], spaced: bool) -> None:
    assert codec.head(line_text(line, spaced)) == names(line)


@settings(max_examples=300, deadline=None)
@given(lines(), st.booleans())
def test_reading_never_fails_and_keeps_the_timestamp(line: dict[str, Any], spaced: bool) -> None:
    read = codec.decode(line_text(line, spaced))
    assert isinstance(read, codec.Line)
    assert read.timestamp == line["timestamp"]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_a_line_or_a_bad_line(raw: bytes) -> None:
    codec.head(raw)
    assert isinstance(codec.decode(raw), codec.Line | codec.BadLine)


def test_every_prefix_of_a_line_is_a_bad_line() -> None:
    for path in fixture_rollouts("rich_events"):
        for raw in path.read_bytes().splitlines():
            for end in range(len(raw)):
                assert isinstance(codec.decode(raw[:end]), codec.BadLine)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b"null", b'{"type":"event_msg","payload":{"type":"x"}}'])
def test_what_is_no_line_has_no_head(raw: bytes) -> None:
    assert codec.head(raw) is None
