"""Which MCP calls need a yes, and how it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from engine.calls.mcp import call_tool
from engine.mcp import approval
from engine.mcp.config import ApprovalMode
from engine.mcp.naming import Named
from engine.mcp.tools import Hints, Tool
from engine.settings import Settings
from engine.turn.machine import Run
from engine.turn.ops import Wait
from projections import protocol as p
from rollouts import events as ev
from tests.engine.test_approvals import Trial

FREE = p.DangerFullAccessSandboxPolicy()
FENCED = p.ReadOnlySandboxPolicy()
GRANULAR = {"sandbox_approval": True, "rules": True, "skill_approval": False, "request_permissions": False}


class Circumstances(msgspec.Struct):
    """The part of the settings that counts."""

    approval_policy: Any
    sandbox: p.SandboxPolicy = FENCED


def settings(policy: Any, sandbox: p.SandboxPolicy = FENCED) -> Settings:
    return cast("Settings", Circumstances(policy, sandbox))


def granular(elicitations: bool) -> Any:
    return msgspec.convert({"granular": {**GRANULAR, "mcp_elicitations": elicitations}}, p.AskForApproval)


def tool(hints: Hints | None = None, mode: ApprovalMode = "auto", **more: Any) -> Tool:
    described = {"title": None, "description": None, "input_schema": {}, "resource_uri": None, **more}
    return Tool(named=Named("srv", "do-it", "mcp__srv__", "do_it"), hints=hints or Hints(), mode=mode, **described)


@pytest.mark.parametrize(
    ("hints", "effects"),
    [
        (Hints(), True),
        (Hints(read_only_hint=True), False),
        (Hints(read_only_hint=True, destructive_hint=True), True),
        (Hints(destructive_hint=True), True),
        (Hints(destructive_hint=False), True),
        (Hints(destructive_hint=False, open_world_hint=True), True),
        (Hints(destructive_hint=False, open_world_hint=False), False),
        (Hints(open_world_hint=False), True),
    ],
)
def test_a_tool_is_harmless_only_if_its_server_says_so(hints: Hints, effects: bool) -> None:
    assert approval.has_effects(hints) is effects


@pytest.mark.parametrize(
    ("policy", "sandbox", "mode", "hints", "asks"),
    [
        ("never", FREE, "auto", Hints(), False),
        ("never", FREE, "prompt", Hints(), False),
        ("never", FENCED, "auto", Hints(), True),
        ("never", FENCED, "auto", Hints(read_only_hint=True), False),
        ("on-request", FREE, "auto", Hints(), True),
        ("on-request", FREE, "auto", Hints(read_only_hint=True), False),
        ("on-request", FENCED, "approve", Hints(destructive_hint=True), False),
        ("on-request", FENCED, "prompt", Hints(read_only_hint=True), True),
        ("untrusted", FREE, "auto", Hints(read_only_hint=True), False),
        (granular(False), FENCED, "auto", Hints(), True),
    ],
)
def test_who_is_asked_follows_from_policy_sandbox_and_tool(
    policy: Any, sandbox: p.SandboxPolicy, mode: ApprovalMode, hints: Hints, asks: bool
) -> None:
    """All recorded."""
    assert approval.must_ask(tool(hints, mode), settings(policy, sandbox)) is asks


def test_the_question_says_what_the_call_is() -> None:
    question = approval.call_question("t", "u", tool(title="Do It", description="Does it"), {"b": 1, "a": "x"})
    assert msgspec.to_builtins(question) == {
        "mode": "form",
        "threadId": "t",
        "turnId": "u",
        "serverName": "srv",
        "_meta": {
            "codex_approval_kind": "mcp_tool_call",
            "persist": ["session", "always"],
            "tool_title": "Do It",
            "tool_description": "Does it",
            "tool_params": {"b": 1, "a": "x"},
            "tool_params_display": [
                {"name": "a", "value": "x", "display_name": "a"},
                {"name": "b", "value": 1, "display_name": "b"},
            ],
        },
        "message": 'Allow the srv MCP server to run tool "do-it"?',
        "requestedSchema": {"type": "object", "properties": {}},
    }


def test_a_tool_that_always_asks_offers_nothing_to_remember() -> None:
    question = approval.call_question("t", "u", tool(mode="prompt"), None)
    assert question.meta == {"codex_approval_kind": "mcp_tool_call"}
    answer = p.McpServerElicitationRequestResponse(action="accept", meta={"persist": "always"})
    assert approval.persistence(answer, tool(mode="prompt")) is None
    assert approval.persistence(answer, tool()) == "always"


@pytest.mark.parametrize("meta", [None, {}, {"persist": "for ever"}, [1], "session"])
def test_only_what_was_offered_is_remembered(meta: Any) -> None:
    answer = p.McpServerElicitationRequestResponse(action="accept", meta=meta)
    assert approval.persistence(answer, tool()) is None


@pytest.mark.parametrize(
    ("policy", "may"),
    [("never", False), ("on-request", True), ("untrusted", True), (granular(True), True), (granular(False), False)],
)
def test_servers_may_ask_the_user_unless_the_policy_forbids_it(policy: Any, may: bool) -> None:
    assert approval.may_elicit(settings(policy)) is may


def test_a_servers_question_is_passed_on() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    asked = {"message": "How many?", "requestedSchema": schema, "_meta": {"k": 1, "progressToken": 5}}
    question = approval.server_question("t", None, "srv", asked)
    assert isinstance(question, p.FormMcpServerElicitationRequestParams)
    assert (question.message, question.meta, question.turn_id) == ("How many?", {"k": 1}, None)
    url = {"mode": "url", "message": "Go", "url": "https://example.com/x", "elicitationId": "e1"}
    assert isinstance(approval.server_question("t", "u", "srv", url), p.UrlMcpServerElicitationRequestParams)
    with pytest.raises(msgspec.ValidationError):
        approval.server_question("t", "u", "srv", {"message": "no schema"})


def test_bounds_of_numbers_are_fractions_and_formats_are_known_ones() -> None:
    """Recorded."""

    def asked(**field: Any) -> Any:
        schema = {"type": "object", "properties": {"f": field}}
        question = approval.server_question("t", "u", "srv", {"message": "?", "requestedSchema": schema})
        assert isinstance(question, p.FormMcpServerElicitationRequestParams)
        return question.requested_schema.properties["f"]

    assert repr(asked(type="number", minimum=1)["minimum"]) == "1.0"
    assert repr(asked(type="integer", minimum=1)["minimum"]) == "1"
    assert asked(type="string", format="email")["format"] == "email"
    with pytest.raises(msgspec.ValidationError):
        asked(type="string", format="odd")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"action": "accept", "content": {"a": 1}}, {"action": "accept", "content": {"a": 1}}),
        ({"action": "accept"}, {"action": "accept", "content": {}}),
        ({"action": "decline", "content": {"a": 1}}, {"action": "decline"}),
        ({"action": "cancel"}, {"action": "cancel"}),
    ],
)
def test_a_server_gets_content_with_a_yes_only(answer: dict[str, Any], told: dict[str, Any]) -> None:
    given = msgspec.convert(answer, p.McpServerElicitationRequestResponse)
    assert approval.server_answer(given) == told


def test_a_call_is_shown_only_after_a_reply_that_ends_right_behind_it(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "never")
    script = call_tool(trial.box, trial.turn, ev.FunctionCall(name="do_it", arguments="{}", call_id="c"), tool())
    first = next(script)
    assert isinstance(first, Run)
    assert isinstance(first.op, Wait)
    assert trial.told == []
