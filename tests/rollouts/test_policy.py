"""Which events become lines, by mode: the tables of the format's description, and our own lines."""

import msgspec
import pytest

from rollouts import events as ev
from rollouts import policy

LIMITED = """
user_message agent_message agent_reasoning agent_reasoning_raw_content token_count thread_name_updated
context_compacted entered_review_mode exited_review_mode thread_rolled_back undo_completed turn_aborted
task_started task_complete image_generation_end
"""
EXTENDED = """
error guardian_assessment web_search_end exec_command_end patch_apply_end mcp_tool_call_end view_image_tool_call
collab_agent_spawn_end collab_agent_interaction_end collab_waiting_end collab_close_end collab_resume_end
dynamic_tool_call_request dynamic_tool_call_response
"""
NEVER = """
warning stream_error turn_diff plan_update session_configured mcp_startup_update mcp_startup_complete item_started
hook_started hook_completed raw_response_item background_event deprecation_notice model_reroute
patch_apply_updated skills_update_available shutdown_complete exec_approval_request
apply_patch_approval_request
"""
OURS = "review hook_run approval turn_inputs child_thread thread_metadata history_base"


def tag(cls: type[msgspec.Struct]) -> str:
    return str(cls.__struct_config__.tag)


def kept(base: type[msgspec.Struct], *kinds: policy.Kept) -> set[str]:
    return {tag(cls) for cls in base.__subclasses__() if policy.POLICY[cls] in kinds}


def test_the_table_of_events_is_that_of_the_reference() -> None:
    assert kept(ev.EventMsg, "limited") == set(LIMITED.split())
    assert kept(ev.EventMsg, "extended") == set(EXTENDED.split())
    assert set(NEVER.split()) <= kept(ev.EventMsg, "never")
    assert kept(ev.EventMsg, "limited_only") == set()


def test_begins_and_deltas_are_never_written() -> None:
    passing = {name for name in map(tag, ev.EventMsg.__subclasses__()) if name.endswith(("_begin", "_delta"))}
    assert len(passing) > 10
    assert passing <= kept(ev.EventMsg, "never")


def test_every_class_of_body_has_its_row() -> None:
    bases = (ev.LineBody, ev.ResponseItem, ev.EventMsg, ev.EngineEvent)
    classes = {cls for base in bases for cls in base.__subclasses__()} | {ev.OtherItem, ev.Unknown}
    assert set(policy.POLICY) == classes


def test_engine_lines_and_agent_tasks_are_written_in_both_modes() -> None:
    assert kept(ev.EngineEvent, "limited") == set(OURS.split())
    assert policy.POLICY[ev.SessionState] == "limited"


def test_what_extended_lines_tell_is_an_engine_line_in_limited_mode_only() -> None:
    assert kept(ev.EngineEvent, "limited_only") == {"tool_run", "turn_error"}
    error = ev.TurnErrorLine("t", "message")
    assert (policy.persisted(error, extended=False), policy.persisted(error, extended=True)) == (True, False)


def test_extended_events_are_written_in_extended_mode_only() -> None:
    error = ev.ErrorEvent("message")
    assert (policy.persisted(error, extended=False), policy.persisted(error, extended=True)) == (False, True)


def test_items_are_written_but_not_unknown_ones() -> None:
    assert kept(ev.ResponseItem, "limited") == {tag(cls) for cls in ev.ResponseItem.__subclasses__()}
    assert not policy.persisted(ev.OtherItem("new", msgspec.Raw(b"{}")), extended=True)
    assert not policy.persisted(ev.Unknown("new", None, msgspec.Raw(b"{}")), extended=True)


@pytest.mark.parametrize("extended", [False, True])
def test_of_completed_items_only_plans_are_written(extended: bool) -> None:
    assert policy.persisted(ev.ItemCompleted("x", "t", ev.PlanItem("p", "text")), extended)
    assert not policy.persisted(ev.ItemCompleted("x", "t", ev.ContextCompactionItem("c")), extended)
    assert not policy.persisted(ev.ItemStarted("x", "t", ev.PlanItem("p", "text")), extended)


def end_of_command(output: str) -> ev.ExecCommandEnd:
    return ev.ExecCommandEnd(
        call_id="c",
        turn_id="t",
        command=("a",),
        cwd="/w",
        parsed_cmd=(),
        stdout="out",
        stderr="err",
        aggregated_output=output,
        exit_code=0,
        duration=ev.Duration(0, 1),
        formatted_output="formatted",
        status="completed",
    )


def test_a_commands_output_is_written_once() -> None:
    written = policy.for_disk(end_of_command("all"), extended=True)
    assert isinstance(written, ev.ExecCommandEnd)
    texts = (written.stdout, written.stderr, written.aggregated_output, written.formatted_output)
    assert texts == ("", "", "all", "")
    assert policy.for_disk(end_of_command("all"), extended=False) is None


@pytest.mark.parametrize(
    ("output", "written"),
    [  # recorded from 0.125.0
        ("x" * 10_000, "x" * 10_000),
        ("x" * 10_001, "x" * 5_000 + "…1 chars truncated…" + "x" * 5_000),
        ("x" * 10_050 + "é" * 10, "x" * 5_000 + "…70 chars truncated…" + "x" * 4_980 + "é" * 10),
        (
            "x" * 4_999 + "é" + "y" * 100 + "é" * 2_500 + "zz",
            "x" * 4_999 + "…102 chars truncated…" + "é" * 2_499 + "zz",
        ),
        (
            "x" * 5_000 + "…9 chars truncated…" + "x" * 5_000,
            "x" * 5_000 + "…19 chars truncated…" + "x" * 5_000,
        ),
    ],
)
def test_long_output_loses_its_middle(output: str, written: str) -> None:
    body = policy.for_disk(end_of_command(output), extended=True)
    assert isinstance(body, ev.ExecCommandEnd)
    assert body.aggregated_output == written


def test_everything_else_is_written_as_it_is() -> None:
    body = ev.AgentMessage("m")
    assert policy.for_disk(body, extended=False) is body
