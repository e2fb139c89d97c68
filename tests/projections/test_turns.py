"""Turns rebuilt from lines: thread-lifecycle.md 15, rule by rule, and over random rollouts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from projections import protocol as p
from projections.turn_rows import decode_row, encode_row
from projections.turns import TurnBuilder, TurnTable, build_turns, interrupt_stale
from rollouts import codec
from rollouts import events as ev
from tests.projections.expected import NAMES, OLD_NAMES, fixture_log, recorded
from tests.projections.logs import GARBAGE, THREAD, Maker, command_end, decoded, logs, message
from tests.projections.naive import NaiveTurns


def wire(turns: list[p.Turn]) -> list[dict[str, Any]]:
    """Turns as clients get them."""
    result: list[dict[str, Any]] = json.loads(msgspec.json.encode(turns))
    return result


def turns_of(*deeds: Callable[[Maker], object]) -> list[p.Turn]:
    maker = Maker()
    for deed in deeds:
        deed(maker)
    return build_turns(decoded(maker.lines))


def write(*bodies: ev.Body) -> Callable[[Maker], object]:
    return lambda maker: maker.write(*bodies)


def started(turn_id: str) -> ev.TaskStarted:
    return ev.TaskStarted(turn_id=turn_id, started_at=1)


def asked(text: str) -> ev.UserMessage:
    return ev.UserMessage(message=text)


def ids(turn: p.Turn) -> list[str]:
    return [item.id for item in turn.items]


@pytest.mark.parametrize("name", OLD_NAMES)
def test_fixture_gives_the_turns_the_reference_reads(name: str) -> None:
    lines = [codec.decode(record.data) for record in fixture_log(name).read()]
    assert wire(interrupt_stale(build_turns(lines))) == recorded(name)["turns"]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OLD_NAMES])
def test_newer_fixture_gives_the_same_turns_with_their_items(name: str) -> None:
    lines = [codec.decode(record.data) for record in fixture_log(name).read()]
    turns = wire(build_turns(lines))
    assert [{**turn, "items": []} for turn in turns] == recorded(name)["turns"]
    assert [item["type"] for item in turns[0]["items"]] == ["userMessage", "agentMessage"]


def test_a_line_without_task_started_opens_an_implicit_turn_named_after_its_place() -> None:
    turns = turns_of(
        write(ev.ThreadNameUpdated(THREAD, "a")),
        lambda m: m.raw(GARBAGE[4]),  # not counted
        lambda m: m.engine_lines(),  # not counted either
        write(asked("one"), ev.AgentMessage(message="answer"), asked("two")),
    )
    assert [turn.id for turn in turns] == ["rollout-1", "rollout-3"]
    assert [turn.status for turn in turns] == ["completed", "completed"]
    assert (turns[0].started_at, turns[0].completed_at, turns[0].duration_ms) == (None, None, None)
    assert [ids(turn) for turn in turns] == [["item-1", "item-2"], ["item-3"]]


def test_several_user_messages_stay_in_an_explicit_turn() -> None:
    [turn] = turns_of(write(started("t"), asked("one"), asked("two")))
    assert (turn.status, turn.started_at, ids(turn)) == ("inProgress", 1, ["item-1", "item-2"])


def test_empty_implicit_turns_vanish_and_empty_explicit_ones_stay() -> None:
    turns = turns_of(write(ev.TurnAborted(reason="interrupted"), started("t"), started("u")))
    assert [turn.id for turn in turns] == ["t", "u"]


def test_a_compaction_keeps_its_empty_implicit_turn_and_takes_the_next_message() -> None:
    turns = turns_of(write(ev.Compacted(message="s"), asked("one"), asked("two")))
    assert [(turn.id, ids(turn)) for turn in turns] == [("rollout-0", ["item-1"]), ("rollout-2", ["item-2"])]
    assert [turn.id for turn in turns_of(write(ev.Compacted(message="s")))] == ["rollout-0"]


def test_task_complete_prefers_its_own_turn_and_else_ends_the_open_one() -> None:
    done = ev.TaskComplete(turn_id="t", completed_at=9, duration_ms=8)
    late = turns_of(write(started("t"), started("u"), done))
    assert [(turn.status, turn.completed_at) for turn in late] == [("completed", 9), ("inProgress", None)]
    unknown = turns_of(write(started("u"), done, asked("next")))
    assert [(turn.id, turn.status) for turn in unknown] == [("u", "completed"), ("rollout-2", "completed")]


@pytest.mark.parametrize("named", [True, False])
def test_an_aborted_turn_stays_open_for_later_lines(named: bool) -> None:
    aborted = ev.TurnAborted(turn_id="t" if named else None, reason="interrupted", completed_at=5, duration_ms=4)
    [turn] = turns_of(write(started("t"), aborted, asked("more"), ev.TaskComplete(turn_id="t", completed_at=9)))
    assert (turn.status, turn.completed_at, turn.duration_ms, ids(turn)) == ("interrupted", 9, None, ["item-1"])


def test_an_error_fails_the_open_turn_and_completion_does_not_mend_it() -> None:
    error = ev.ErrorEvent(message="broke", codex_error_info={"http_connection_failed": {"http_status_code": 502}})
    [turn] = turns_of(write(error, started("t"), error, ev.TaskComplete(turn_id="t")))
    assert turn.status == "failed"
    assert wire([turn])[0]["error"] == {
        "message": "broke",
        "codexErrorInfo": {"httpConnectionFailed": {"httpStatusCode": 502}},
        "additionalDetails": None,
    }


@pytest.mark.parametrize("kind", ["thread_rollback_failed", {"active_turn_not_steerable": {"turn_kind": "review"}}])
def test_errors_about_something_else_leave_the_turn_alone(kind: ev.ErrorInfo) -> None:
    [turn] = turns_of(write(started("t"), ev.ErrorEvent(message="no", codex_error_info=kind)))
    assert (turn.status, turn.error) == ("inProgress", None)


def test_neighbouring_reasoning_is_one_item_until_something_else_comes() -> None:
    [turn] = turns_of(
        write(
            started("t"),
            ev.AgentReasoning(text="a"),
            ev.AgentReasoning(text=""),
            ev.AgentReasoningRawContent(text="b"),
            ev.AgentMessage(message=""),
            ev.AgentReasoning(text="c"),
            ev.AgentMessage(message="said"),
            ev.AgentReasoning(text="d"),
        )
    )
    assert turn.items == [
        p.ReasoningThreadItem(id="item-1", summary=["a", "c"], content=["b"]),
        p.AgentMessageThreadItem(id="item-2", text="said"),
        p.ReasoningThreadItem(id="item-3", summary=["d"], content=[]),
    ]


def test_the_same_call_again_replaces_its_item_in_place_also_in_an_older_turn() -> None:
    turns = turns_of(
        write(started("t"), command_end("c1", "t"), asked("x"), ev.TaskComplete(turn_id="t"), started("u")),
        write(command_end("c1", "t", "late"), command_end("c2", "t"), command_end("c3", "nobody")),
    )
    assert [ids(turn) for turn in turns] == [["c1", "item-1", "c2"], []]
    assert turns[0].items[0] == command_item("c1", "late")


def command_item(call_id: str, output: str) -> p.CommandExecutionThreadItem:
    return p.CommandExecutionThreadItem(
        id=call_id,
        command="bash -lc ls",
        cwd="/workspace/demo",
        status="completed",
        command_actions=[p.ListFilesCommandAction(command="ls")],
        aggregated_output=output,
        exit_code=0,
        duration_ms=5,
    )


def test_a_call_id_that_looks_like_a_number_is_still_an_id() -> None:
    [turn] = turns_of(
        write(started("t"), command_end("item-2", "t"), asked("one"), asked("two"), command_end("item-2", "t", "late"))
    )
    assert ids(turn) == ["item-2", "item-1", "item-2"]
    assert turn.items[0] == command_item("item-2", "late")


def test_hook_prompts_show_only_when_the_whole_message_is_one() -> None:
    prompt = '<hook_prompt hook_run_id="r&amp;1">do &lt;more&gt;</hook_prompt>'
    [turn] = turns_of(
        write(started("t"), message("user", prompt), message("user", prompt, "and text"), message("user", "hello"))
    )
    [item] = turn.items
    assert isinstance(item, p.HookPromptThreadItem)
    assert item.fragments == [p.HookPromptFragment(text="do <more>", hook_run_id="r&1")]


def test_a_rollback_drops_turns_of_any_kind_and_numbers_go_on_from_what_is_left() -> None:
    turns = turns_of(
        write(started("t"), asked("one"), command_end("c", "t"), started("u"), asked("two"), started("v")),
        lambda m: m.roll_back(2),
        write(asked("three")),
    )
    assert [(turn.id, ids(turn)) for turn in turns] == [("t", ["item-1", "c"]), ("rollout-7", ["item-3"])]


def test_a_rollback_of_more_turns_than_there_are_leaves_none() -> None:
    assert turns_of(write(started("t"), asked("one")), lambda m: m.roll_back(9)) == []


def test_a_turn_that_was_rolled_back_is_not_found_by_later_lines() -> None:
    turns = turns_of(write(started("t"), started("u")), lambda m: m.roll_back(1), write(command_end("c", "u")))
    assert [(turn.id, ids(turn)) for turn in turns] == [("t", [])]


@pytest.mark.parametrize(
    ("status", "shown"),
    [("in_progress", "inProgress"), ("denied", "declined"), ("aborted", "declined"), ("timed_out", "failed")],
)
def test_a_review_of_a_command_shows_as_that_command(status: Any, shown: str) -> None:
    [turn] = turns_of(lambda m: m.start(False, "m"), lambda m: m.assessment(status, 0, True))
    assert [getattr(item, "status", None) for item in turn.items] == [shown]


def test_an_approved_review_changes_nothing_and_the_end_of_the_command_replaces_it() -> None:
    [turn] = turns_of(
        lambda m: m.start(False, "m"),
        lambda m: m.assessment("in_progress", 0, True),
        lambda m: m.assessment("approved", 0, True),
        write(command_end("call_1", "turn-1")),
    )
    assert turn.items == [command_item("call_1", "out")]


def test_review_mode_shows_its_hint_and_its_explanation() -> None:
    output = ev.ReviewOutput((), "patch is correct", "  looks fine \n", 0.9)
    [turn] = turns_of(
        write(
            started("t"),
            ev.EnteredReviewMode(ev.UncommittedChanges(), "current changes"),
            ev.ExitedReviewMode(output),
            ev.EnteredReviewMode(ev.UncommittedChanges()),
            ev.ExitedReviewMode(),
        )
    )
    assert [getattr(item, "review", None) for item in turn.items] == [
        "current changes",
        "looks fine",
        "Review requested.",
        "Reviewer failed to output a response.",
    ]


def test_a_running_turn_of_a_live_thread_counts_from_one_and_takes_begin_events() -> None:
    builder = TurnBuilder(turn_items=False)
    begin = ev.ExecCommandBegin(call_id="c", turn_id="t", command=("ls",), cwd="/w", parsed_cmd=())
    user_item = ev.ItemCompleted(THREAD, "t", ev.UserMessageItem("uuid", ()))
    for event in (started("t"), user_item, asked("one"), begin):
        builder.handle(event)
    turn = builder.last()
    assert turn is not None and ids(turn) == ["item-1", "c"]
    assert getattr(turn.items[1], "status", None) == "inProgress"


@settings(max_examples=100, deadline=None)
@given(logs())
def test_random_rollouts_give_what_the_plain_reading_of_the_rules_gives(lines: list[bytes]) -> None:
    turns = build_turns(decoded(lines))
    plain = NaiveTurns().fold(decoded(lines)).finished()
    assert [(turn.id, turn.status) for turn in turns] == [(turn.id, turn.status) for turn in plain]
    assert [(turn.started_at, turn.completed_at, turn.duration_ms) for turn in turns] == [turn.times for turn in plain]
    for turn, expected in zip(turns, plain, strict=True):
        assert nameless(turn.items) == nameless(expected.items)


def nameless(items: list[Any]) -> list[Any]:
    """Items without the ids of hook prompts, which are made up."""
    return [
        msgspec.structs.replace(item, id="") if isinstance(item, p.HookPromptThreadItem) else item for item in items
    ]


@settings(max_examples=100, deadline=None)
@given(logs())
def test_rows_survive_being_stored(lines: list[bytes]) -> None:
    table = TurnTable()
    for at, line in enumerate(decoded(lines)):
        table.apply(line, at, at + 1)
    for row in table.all_rows():
        assert decode_row(encode_row(row)) == row


@settings(max_examples=100, deadline=None)
@given(logs())
def test_the_changes_of_a_table_keep_a_copy_equal(lines: list[bytes]) -> None:
    table = TurnTable()
    copy: list[bytes] = []
    for at, line in enumerate(decoded(lines)):
        table.apply(line, at, at + 1)
        del copy[len(table.rows) :]
        for number, row in table.changes():
            copy[number : number + 1] = [encode_row(row)]
        table.saved(table.rows)
        assert [decode_row(data) for data in copy] == list(table.rows)
