"""Events are values with their wire names: frozen, tagged by class name, every one reachable as `ev.Name`."""

import msgspec
import pytest

from rollouts import events as ev
from tests.rollouts.generated import event_classes


@pytest.mark.parametrize("cls", event_classes(), ids=lambda cls: cls.__name__)
def test_every_event_is_frozen_and_exported(cls: type[msgspec.Struct]) -> None:
    assert cls.__struct_config__.frozen
    assert getattr(ev, cls.__name__) is cls
    assert cls.__name__ in ev.__all__


def test_tags_follow_from_names() -> None:
    named_otherwise = {
        cls.__name__: cls.__struct_config__.tag
        for cls in event_classes()
        if cls.__struct_config__.tag not in (None, ev.wire_tag(cls.__name__))
    }
    assert named_otherwise == {"ErrorEvent": "error", "TurnErrorLine": "turn_error"}


def test_no_two_classes_of_a_kind_share_a_tag() -> None:
    for base in (ev.EventMsg, ev.ResponseItem, ev.EngineEvent):
        tags = [cls.__struct_config__.tag for cls in base.__subclasses__()]
        assert len(tags) == len(set(tags))


def test_a_search_of_an_unknown_kind_reads_as_other() -> None:
    raw = b'{"type":"dive","query":"q","url":"u"}'
    assert msgspec.json.decode(raw, type=ev.WebSearchAction) == ev.WebSearchAction("other")


def test_reasoning_content_is_left_out_unless_null_or_raw_reasoning() -> None:
    def written(content: tuple[ev.ReasoningText | ev.PlainText, ...] | None) -> bytes:
        return msgspec.json.encode(ev.Reasoning(summary=(), content=content))

    assert b'"content":null' in written(None)
    assert b"content" not in written(()).replace(b"encrypted_content", b"")
    assert b"content" not in written((ev.PlainText("x"),)).replace(b"encrypted_content", b"")
    assert b'"content":[{"type":"reasoning_text","text":"x"}]' in written((ev.ReasoningText("x"),))


@pytest.mark.parametrize("result", [b"{}", b'{"Ok":{"content":[]},"Err":"x"}', b'{"Ok":{}}'])
def test_an_mcp_result_is_an_answer_or_an_error(result: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(result, type=ev.McpResult)


def test_null_open_json_means_absent() -> None:
    assert ev.McpOutput((), structured_content=msgspec.Raw(b"null")) == ev.McpOutput(())
    assert ev.given(msgspec.Raw(b"null")) is None
    assert ev.given(msgspec.UNSET) is None
    assert ev.given(msgspec.Raw(b"1")) == msgspec.Raw(b"1")


@pytest.mark.parametrize(("seconds", "span"), [(0, (0, 0)), (1.5, (1, 500_000_000)), (0.9999999999, (1, 0))])
def test_a_duration_of_seconds(seconds: float, span: tuple[int, int]) -> None:
    assert ev.Duration.of_seconds(seconds) == ev.Duration(*span)


def test_a_duration_in_milliseconds_is_rounded_down() -> None:
    assert ev.Duration(1, 999_999).milliseconds == 1000
    assert ev.Duration(2, 1_500_000).milliseconds == 2001
