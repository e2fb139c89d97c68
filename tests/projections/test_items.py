"""Events into thread items: recorded answers of the reference, live forms, and ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from projections import protocol as p
from projections.item_parts import review_text
from projections.items import event_item, live_exited_review, own_id, thread_item
from projections.quoting import join, quote
from projections.turns import build_turns, interrupt_stale
from rollouts import codec
from rollouts import events as ev
from tests.projections.logs import THREAD, command_end, decoded

ITEMS = Path(__file__).parents[1] / "fixtures" / "items"


def wire(value: object) -> Any:
    """A value as clients get it."""
    return json.loads(msgspec.json.encode(value))


def test_every_written_event_shows_what_the_reference_shows() -> None:
    lines = (ITEMS / "all_events.jsonl").read_bytes().splitlines()
    turns = wire(interrupt_stale(build_turns(decoded(lines))))
    for turn in turns:
        for item in turn["items"]:
            if item["type"] == "hookPrompt":
                item["id"] = "made up"
    assert turns == json.loads((ITEMS / "all_events.json").read_text())


INVOCATION = ev.McpInvocation("s", "t", codec.open_json({"a": 1}))


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (
            ev.ExecCommandBegin(
                call_id="c", turn_id="t", command=("bash", "-lc", "ls"), cwd="/workspace/demo", parsed_cmd=()
            ),
            msgspec.structs.replace(command_end("c", "t"), parsed_cmd=()),
        ),
        (
            ev.PatchApplyBegin(call_id="c", turn_id="t", auto_approved=True, changes={"/a": ev.AddFile("x")}),
            ev.PatchApplyEnd(
                call_id="c",
                turn_id="t",
                stdout="",
                stderr="",
                success=True,
                changes={"/a": ev.AddFile("x")},
                status="completed",
            ),
        ),
        (
            ev.McpToolCallBegin("c", INVOCATION, "ui://x"),
            ev.McpToolCallEnd(
                call_id="c",
                invocation=INVOCATION,
                mcp_app_resource_uri="ui://x",
                duration=ev.Duration(0, 0),
                result=ev.McpResult(err="no"),
            ),
        ),
        (
            ev.DynamicToolCallRequest(call_id="c", turn_id="t", tool="tool", arguments=codec.open_json({})),
            ev.DynamicToolCallResponse(
                call_id="c",
                turn_id="t",
                tool="tool",
                arguments=codec.open_json({}),
                content_items=(),
                success=True,
                duration=ev.Duration(0, 0),
            ),
        ),
        (
            ev.CollabCloseBegin("c", THREAD, "other"),
            ev.CollabCloseEnd(call_id="c", sender_thread_id=THREAD, receiver_thread_id="other", status="running"),
        ),
    ],
)
def test_a_call_has_the_same_item_from_begin_to_end_but_for_its_outcome(begin: Any, end: Any) -> None:
    first, last = wire(event_item(begin, "c")), wire(event_item(end, "c"))
    outcome = {"status", "aggregatedOutput", "exitCode", "durationMs", "error", "result", "contentItems", "success"}
    outcome |= {"agentsStates"}
    assert first["status"] == "inProgress"
    assert {key: value for key, value in first.items() if key not in outcome} == {
        key: value for key, value in last.items() if key not in outcome
    }
    assert own_id(begin) == own_id(end) == "c"


@pytest.mark.parametrize(
    ("live", "written"),
    [
        (
            ev.UserMessageItem("i", (ev.TextInput("hi", (ev.TextElement(ev.ByteRange(0, 2)),)), ev.ImageInput("u"))),
            ev.UserMessage(message="hi", images=("u",), text_elements=(ev.TextElement(ev.ByteRange(0, 2)),)),
        ),
        (
            ev.AgentMessageItem("i", (ev.AgentText("a"), ev.AgentText("b")), "commentary"),
            ev.AgentMessage(message="ab", phase="commentary"),
        ),
        (ev.ContextCompactionItem("i"), ev.ContextCompacted()),
        (
            ev.WebSearchItem("i", "q", ev.WebSearchAction("find_in_page", url="u", pattern="p")),
            ev.WebSearchEnd("i", "q", ev.WebSearchAction("find_in_page", url="u", pattern="p")),
        ),
        (
            ev.ImageGenerationItem(id="i", status="completed", result="AA", saved_path="/x.png"),
            ev.ImageGenerationEnd(call_id="i", status="completed", result="AA", saved_path="/x.png"),
        ),
        (ev.PlanItem("i", "# Plan"), ev.ItemCompleted(THREAD, "t", ev.PlanItem("i", "# Plan"))),
    ],
)
def test_live_items_are_the_rebuilt_ones_but_for_their_ids(live: ev.TurnItem, written: object) -> None:
    assert thread_item(live) == event_item(written, "i")


def test_user_input_items_keep_skills_mentions_and_local_images() -> None:
    inputs = (ev.LocalImageInput("/p.png"), ev.SkillInput("s", "/s"), ev.MentionInput("m", "/m"))
    assert wire(thread_item(ev.UserMessageItem("i", inputs)))["content"] == [
        {"type": "localImage", "path": "/p.png"},
        {"type": "skill", "name": "s", "path": "/s"},
        {"type": "mention", "name": "m", "path": "/m"},
    ]


def test_a_newer_commands_item_says_what_it_knows() -> None:
    item = ev.CommandExecutionItem(
        id="c",
        command=("ls", "a b"),
        cwd="/w",
        parsed_cmd=(codec.open_json({"type": "read", "cmd": "ls", "name": "n", "path": "../n"}),),
        status="in_progress",
    )
    assert thread_item(item) == p.CommandExecutionThreadItem(
        id="c",
        command="ls 'a b'",
        cwd="/w",
        status="inProgress",
        command_actions=[p.ReadCommandAction(command="ls", name="n", path="/n")],
    )


@pytest.mark.parametrize(
    "event", [ev.AgentMessage(message=""), ev.AgentReasoning(text=""), ev.TaskStarted(turn_id="t")]
)
def test_events_that_show_nothing(event: object) -> None:
    assert event_item(event, "i") is None


def test_a_review_ends_live_with_its_findings() -> None:
    finding = ev.ReviewFinding("T", "one\ntwo", 0.5, 1, ev.CodeLocation("/x.py", ev.LineRange(1, 2)))
    output = ev.ReviewOutput((finding,), "c", " why ", 1.0)
    text = "why\n\nReview comment:\n\n- T — /x.py:1-2\n  one\n  two"
    assert live_exited_review(ev.ExitedReviewMode(output), "i").review == text
    two = msgspec.structs.replace(output, findings=(finding, finding), overall_explanation="")
    assert review_text(two).startswith("Full review comments:\n\n- T — /x.py:1-2\n  one\n  two\n\n- T")


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("", "''"),
        ("a-b/c.d:e", "a-b/c.d:e"),
        ("a b", "'a b'"),
        ("it's", '"it\'s"'),
        ("$x", "'$x'"),
        ("^a'b", "'^a'\"'b\""),
    ],
)
def test_words_are_quoted_in_the_plainest_style_that_holds_them(word: str, quoted: str) -> None:
    assert quote(word) == quoted


def test_a_command_with_a_nul_byte_is_not_shown() -> None:
    assert join(["a", "b\0c"]) == "<command included NUL byte>"
