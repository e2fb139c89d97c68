"""Which messages of the history are the user's, and the arithmetic of shortening text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.messages import hook_prompt, is_context, is_user_input
from projections.truncate import text_tokens, truncate_bytes, truncate_tokens
from tests.projections.logs import message


@pytest.mark.parametrize(
    "text",
    [
        "# AGENTS.md instructions for /w\n\n<INSTRUCTIONS>\nx\n</INSTRUCTIONS>",
        "  <ENVIRONMENT_CONTEXT>\n</environment_context>\n",
        "<skill>\n</skill>",
        "<user_shell_command>ls</user_shell_command>",
        "<turn_aborted>\n</turn_aborted>",
        "<subagent_notification>{}</subagent_notification>",
        '<hook_prompt hook_run_id="r">go on</hook_prompt>',
    ],
)
def test_what_the_engine_tells_the_model_is_no_user_input(text: str) -> None:
    assert is_context(message("user", text))
    assert not is_user_input(message("user", text))
    assert not is_user_input(message("user", "and this", text))


@pytest.mark.parametrize(
    "text",
    ["hello", "", "<skill> without an end", "<user_action>review</user_action>", "see <turn_aborted></turn_aborted>"],
)
def test_everything_else_in_the_users_role_is(text: str) -> None:
    assert is_user_input(message("user", text))


@pytest.mark.parametrize(
    ("text", "context"),
    [
        (" <Permissions Instructions>x", True),
        ("<model_switch>", True),
        ("be nice", False),
        ("<skills_instructions>", False),
    ],
)
def test_developer_messages_are_context_by_their_first_tag(text: str, context: bool) -> None:
    assert is_context(message("developer", text)) is context
    assert not is_user_input(message("developer", text))


@pytest.mark.parametrize(
    "text",
    [
        '<hook_prompt hook_run_id=" ">x</hook_prompt>',
        '<hook_prompt hook_run_id="a"></hook_prompt>',
        '<hook_prompt hook_run_id="a"/>',
        '<hook_prompt hook_run_id="a">bad & entity</hook_prompt>',
        '<!DOCTYPE x [<!ENTITY e "x">]><hook_prompt hook_run_id="a">&e;</hook_prompt>',
        '<hook_prompt hook_run_id="a">x</hook_prompt> and more',
    ],
)
def test_texts_that_only_look_like_a_hooks_prompt(text: str) -> None:
    assert hook_prompt(message("user", text)) == ()


def test_the_middle_is_cut_out_at_whole_characters() -> None:
    assert truncate_bytes("0123456789", 4) == "01…6 chars truncated…89"
    assert truncate_tokens("0123456789", 1) == "01…2 tokens truncated…89"
    assert truncate_bytes("éééé", 3) == "…3 chars truncated…é"
    assert truncate_bytes("abc", 0) == "…3 chars truncated…"


@given(st.text(), st.integers(0, 50))
def test_what_fits_is_left_alone_and_what_does_not_keeps_its_ends(text: str, budget: int) -> None:
    short = truncate_bytes(text, budget)
    if len(text.encode()) <= budget:
        assert short == text
    else:
        head, tail = short.split("…", 1)[0], short.rsplit("…", 1)[1]
        assert text.startswith(head) and text.endswith(tail)
        assert len((head + tail).encode()) <= budget


@given(st.text())
def test_four_bytes_are_a_token(text: str) -> None:
    assert text_tokens(text) == -(-len(text.encode()) // 4)
