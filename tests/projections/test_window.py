"""The model's history: thread-lifecycle.md 10 and 16, compaction.md 6, and over random rollouts, from both ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from msgspec import Raw

from projections.window import StaleWindow, Window, request_items
from projections.window_items import compacted_history, estimate, window_item
from projections.window_tail import first_meta, fold_from, from_tail
from rollouts import codec
from rollouts import events as ev
from rollouts.log import FileLog
from tests.projections.expected import NAMES, fixture_log, recorded
from tests.projections.logs import Maker, decoded, logs, memory_log, message, meta
from tests.projections.naive import NaiveWindow


def texts(window: Window) -> list[str]:
    """The history in short: texts of messages, types of the rest."""
    shown = []
    for item in window.items:
        payload = json.loads(item.raw)
        shown.append("".join(part["text"] for part in payload.get("content", ())) or item.kind)
    return shown


def window_of(*deeds: Callable[[Maker], object]) -> Window:
    """The window found from the end, which must equal the fold of everything."""
    maker = Maker()
    maker.write(meta())
    for deed in deeds:
        deed(maker)
    log = memory_log(maker.lines)
    window = from_tail(log).window
    assert window == fold_from(log, None, log.end())
    return window


def turn(text: str, *inside: Callable[[Maker], object], told: bool = False, model: str = "m") -> Any:
    """A turn in which the user says `text`."""

    def make(maker: Maker) -> None:
        maker.start(told, model)
        maker.user(text)
        for deed in inside:
            deed(maker)
        maker.finish("completed")

    return make


def back(count: int) -> Any:
    return lambda maker: maker.roll_back(count)


def compacted(*kept: str) -> Any:
    """A compaction that leaves these user messages."""

    def make(maker: Maker) -> None:
        items = tuple(codec.open_json(message("user", text)) for text in kept)
        maker.write(ev.Compacted(message="s", replacement_history=items))

    return make


def model(window: Window) -> str | None:
    return None if window.context is None else window.context.model


@pytest.mark.parametrize("name", NAMES)
def test_fixture_sends_the_history_the_reference_sends(name: str) -> None:
    window = from_tail(fixture_log(name)).window
    assert [json.loads(bytes(item)) for item in request_items(window)] == recorded(name)["history"]
    assert window.compactions == recorded(name)["compactions"]


def test_ghosts_and_unknown_items_are_left_out() -> None:
    def strange(maker: Maker) -> None:
        maker.raw(b'{"timestamp":"x","type":"response_item","payload":{"type":"ghost_snapshot","ghost_commit":{}}}\n')
        maker.raw(b'{"timestamp":"x","type":"response_item","payload":{"type":"brand_new","x":1}}\n')

    assert texts(window_of(turn("a", strange))) == ["a"]


def test_system_messages_are_kept_from_the_model() -> None:
    window = Window()
    window.apply(message("system", "from a client"))
    window.apply(message("developer", "a note"))
    assert texts(window) == ["a note"]


def test_a_rollback_drops_from_the_last_real_user_message_on() -> None:
    window = window_of(turn("a"), turn("b", lambda m: m.user("steered")), back(1))
    assert texts(window) == ["a", "b"]


def test_a_rollback_takes_injected_user_messages_for_the_users_own() -> None:
    injected = [lambda m: m.write(message("user", "injected")), lambda m: m.write(message("user", "<skill>x</skill>"))]
    assert texts(window_of(turn("a"), *injected, back(1))) == ["a"]


def test_a_rollback_takes_the_context_messages_before_it_along() -> None:
    window = window_of(turn("a", model="old"), turn("b", told=True, model="new"), back(1))
    assert texts(window) == ["a"]
    assert model(window) == "old"


def test_the_context_before_the_first_user_message_stays_but_is_told_again() -> None:
    window = window_of(turn("a", told=True), turn("b"), back(7))
    assert [text.split(">")[0] for text in texts(window)] == ["<permissions instructions", "<environment_context"]
    assert window.context is None


def test_a_rollback_of_a_shell_turn_takes_the_users_last_turn() -> None:
    assert texts(window_of(turn("a"), turn("b"), lambda m: m.shell(), back(1))) == ["a"]


def test_a_rollback_without_user_messages_changes_nothing() -> None:
    assert len(window_of(lambda m: m.inject("assistant"), back(3)).items) == 1


def test_a_compaction_replaces_the_history_and_context_must_be_told_again() -> None:
    window = window_of(turn("a"), compacted("a", "summary"))
    assert (texts(window), window.context) == (["a", "summary"], None)
    assert window.previous_context is not None and window.previous_context.turn_id == "turn-1"
    assert model(window_of(turn("a"), compacted("summary"), turn("b", model="new"))) == "new"


def test_an_old_compaction_keeps_the_users_messages_and_its_text() -> None:
    def old(maker: Maker) -> None:
        maker.compact(None)

    window = window_of(turn("a", lambda m: m.agent()), turn("<skill>x</skill>"), old, turn("b"))
    assert texts(window) == ["a", "summary 2", "b"]


def test_rolling_back_behind_a_compaction_gives_back_what_it_replaced() -> None:
    window = window_of(turn("a"), turn("b"), compacted("summary"), turn("c"), back(2))
    assert texts(window) == ["a"]
    assert window.previous_context is not None and window.previous_context.turn_id == "turn-1"
    assert texts(window_of(turn("a"), turn("b", compacted("summary")), back(1))) == ["a"]


def test_a_compaction_before_the_dropped_message_survives() -> None:
    assert texts(window_of(turn("a"), compacted("summary"), turn("b"), back(1))) == ["summary"]
    before_turn = [lambda m: m.start(False, "m"), compacted("summary"), lambda m: m.tell("m"), lambda m: m.user("b")]
    window = window_of(turn("a"), *before_turn, back(1))
    assert (texts(window), window.context) == (["summary"], None)


def test_a_window_that_let_go_of_what_a_rollback_needs_says_so() -> None:
    maker = Maker()
    for deed in (turn("a"), compacted("summary"), turn("b"), back(2)):
        deed(maker)
    log = memory_log(maker.lines)
    window = Window()
    for record in log.read():
        line = codec.decode(record.data)
        assert isinstance(line, codec.Line)
        window.apply(line.body, record.offset)
    assert window.stale
    with pytest.raises(StaleWindow):
        _ = window.items
    assert from_tail(log).window.items == []


def test_calls_without_output_are_answered_aborted_and_lost_outputs_dropped() -> None:
    maker = Maker()
    maker.write(
        ev.FunctionCallOutput(call_id="lost", output="x"),
        ev.FunctionCall(name="f", arguments="{}", call_id="1"),
        ev.CustomToolCall(call_id="2", name="c", input="x"),
        ev.CustomToolCallOutput(call_id="1", output="other kind"),
        ev.LocalShellCall(call_id="3", status="completed", action=ev.LocalShellAction(("ls",))),
        ev.ToolSearchCall(call_id="4", execution="client", arguments=codec.open_json({})),
        ev.ToolSearchOutput(status="completed", execution="server", tools=()),
        ev.FunctionCall(name="f", arguments="{}", call_id="5"),
        ev.FunctionCallOutput(call_id="5", output="done"),
    )
    log = memory_log(maker.lines)
    sent = [json.loads(bytes(item)) for item in request_items(from_tail(log).window)]
    assert [(item["type"], item.get("call_id"), item.get("output")) for item in sent] == [
        ("function_call", "1", None),
        ("function_call_output", "1", "aborted"),
        ("custom_tool_call", "2", None),
        ("custom_tool_call_output", "2", "aborted"),
        ("local_shell_call", "3", None),
        ("function_call_output", "3", "aborted"),
        ("tool_search_call", "4", None),
        ("tool_search_output", "4", None),
        ("tool_search_output", None, None),
        ("function_call", "5", None),
        ("function_call_output", "5", "done"),
    ]


@pytest.mark.parametrize(
    ("item", "size"),
    [
        (
            message("user", "é"),
            len('{"type":"message","role":"user","content":[{"type":"input_text","text":"é"}]}') + 1,
        ),
        (ev.Reasoning(summary=(), encrypted_content="x" * 1000), 100),
        (ev.Reasoning(summary=(), encrypted_content="x" * 10), 0),
        (ev.Reasoning(summary=()), len('{"type":"reasoning","summary":[],"content":null,"encrypted_content":null}')),
        (ev.Compaction(encrypted_content="x" * 2000), 850),
    ],
)
def test_bytes_an_item_counts_in_an_estimate(item: ev.ResponseItem, size: int) -> None:
    kept = window_item(item)
    assert kept is not None and kept.size == size


def test_an_image_counts_a_fixed_size_instead_of_its_data() -> None:
    def with_image(data: str) -> int:
        image = ev.InputImage(image_url=f"data:image/png;base64,{data}")
        sizes = []
        for item in (
            ev.Message(role="user", content=(image,)),
            ev.FunctionCallOutput(call_id="c", output=(image,)),
        ):
            kept = window_item(item)
            assert kept is not None
            sizes.append(kept.size)
        return sum(sizes)

    assert with_image("A" * 100_000) == with_image("A")
    assert with_image("") > 2 * 7373


def test_an_estimate_rounds_every_part_up() -> None:
    kept = window_item(ev.Compaction(encrypted_content="x" * 868))  # one byte
    assert kept is not None
    assert estimate([kept, kept], "12345") == 2 + 1 + 1


def test_a_compaction_keeps_the_newest_user_texts_that_fit() -> None:
    long = "x" * 79_996
    kept = compacted_history(["dropped", long, "ab"], "")
    assert [part.text for item in kept for part in item.content if isinstance(part, ev.InputText)] == [
        long,
        "ab",
        "(no summary available)",
    ]
    [cut, _, _] = compacted_history(["y" * 80_000, "ab"], "s")
    assert isinstance(cut.content[0], ev.InputText)
    assert cut.content[0].text == "y" * 39_998 + "…1 tokens truncated…" + "y" * 39_998


def test_only_the_first_meta_names_the_thread() -> None:
    maker = Maker()
    maker.raw(b"garbage\n")
    maker.write(meta("one"), meta("two"))
    found = first_meta(memory_log(maker.lines))
    assert found is not None and found.id == "one"


@settings(max_examples=120, deadline=None)
@given(logs())
def test_found_from_the_end_or_folded_from_the_start_the_window_is_the_same(lines: list[bytes]) -> None:
    log = memory_log(lines)
    plain = NaiveWindow().fold(decoded(lines))
    for window in (from_tail(log).window, fold_from(log, None, log.end())):
        assert window.items == plain.items
        assert window.context == plain.context
        assert window.previous_context == plain.previous_context
        assert not window.counted or window.compactions == plain.compactions


@settings(max_examples=60, deadline=None)
@given(logs())
def test_the_walk_finds_the_last_usage_that_counts(lines: list[bytes]) -> None:
    infos = [
        line.body.info
        for line in decoded(lines)
        if isinstance(line, codec.Line) and isinstance(line.body, ev.TokenCount) and line.body.info
    ]
    found = from_tail(memory_log(lines)).usage
    assert (found and found.info) == (infos[-1] if infos else None)


def test_the_walk_costs_the_live_window_not_the_history(tmp_path: Path) -> None:
    costs = []
    for turns in (10, 1000):
        maker = Maker()
        maker.write(meta())
        for n in range(turns):
            turn(f"question {n}", lambda m: m.tokens(True, 5), lambda m: m.call(answered=True, extended=False))(maker)
        compacted("summary")(maker)
        turn("after", lambda m: m.tokens(True, 5))(maker)
        path = tmp_path / f"{turns}.jsonl"
        path.write_bytes(b"".join(maker.lines))
        log = FileLog(path)
        assert texts(from_tail(log).window) == ["summary", "after"]
        costs.append(log.lines_read)
    assert costs[0] == costs[1]


@pytest.mark.parametrize("ended_as", ["b", "other", None])
def test_a_log_hides_what_the_model_was_told_before_an_end_under_another_id(ended_as: str | None) -> None:
    context = ev.TurnContext(cwd="/w", approval_policy="never", sandbox_policy=Raw(b"{}"), model="m", summary="auto")
    window = Window()
    for body in (ev.TaskStarted(turn_id="a"), context, ev.TaskComplete(turn_id="a"), ev.TaskStarted(turn_id="b")):
        window.apply(body)
    window.apply(ev.TurnAborted(turn_id=ended_as, reason="interrupted"))
    assert window.context == context
    assert window.context_from_log == (None if ended_as == "other" else context)
    window.apply(context)
    assert window.context_from_log == context
