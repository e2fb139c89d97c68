"""Frames of command outputs, byte for byte as recorded from the reference, and shortening under any budget."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.info import Truncation
from engine.processes import frames
from engine.processes.frames import Ended
from engine.processes.spawn import SpawnError

TOKENS = Truncation("tokens", 10_000)
BYTES = Truncation("bytes", 10_000)
TEXTS = st.text(st.sampled_from("aä€😀\n\r"), max_size=200)
POLICIES = st.builds(Truncation, st.sampled_from(["bytes", "tokens"]), st.integers(0, 120))


def seq(last: int) -> str:
    return "".join(f"{n}\n" for n in range(1, last + 1))


def answer(text: str, max_tokens: int = 10_000, exit_code: int | None = 0) -> str:
    return frames.exec_command(
        text, chunk_id="2965a1", seconds=0.00031, exit_code=exit_code, session_id=4980, max_tokens=max_tokens
    )


def test_a_command_that_ended() -> None:
    assert answer("out\nerr\n", exit_code=3) == (
        "Chunk ID: 2965a1\nWall time: 0.0003 seconds\nProcess exited with code 3\n"
        "Original token count: 2\nOutput:\nout\nerr\n"
    )


def test_a_command_that_runs() -> None:
    assert answer("", exit_code=None) == (
        "Chunk ID: 2965a1\nWall time: 0.0003 seconds\nProcess running with session ID 4980\n"
        "Original token count: 0\nOutput:\n"
    )


@pytest.mark.parametrize(
    ("text", "max_tokens", "shown"),
    [
        (seq(5), 0, "Total output lines: 5\n\n…3 tokens truncated…"),
        (seq(5), 1, "Total output lines: 5\n\n1\n…2 tokens truncated…5\n"),
        ("ä" * 54, 5, "Total output lines: 1\n\näääää…22 tokens truncated…äääää"),
        ("y" * 10_000, 2_500, "y" * 10_000),
    ],
)
def test_the_budget_of_a_command(text: str, max_tokens: int, shown: str) -> None:
    assert answer(text, max_tokens).split("Output:\n", 1)[1] == shown


@pytest.mark.parametrize(
    ("wanted", "policy", "budget"),
    [(None, TOKENS, 10_000), (None, BYTES, 2_500), (20, TOKENS, 20), (99_999, BYTES, 2_500), (0, TOKENS, 0)],
)
def test_the_policy_of_the_model_bounds_the_budget(wanted: int | None, policy: Truncation, budget: int) -> None:
    assert frames.exec_budget(wanted, policy) == budget


def test_shell_command_says_how_many_lines_there_were_when_some_are_gone() -> None:
    text = frames.shell_command(Ended(seq(20_000), 0, 0.02), BYTES)
    assert text.startswith("Exit code: 0\nWall time: 0 seconds\nTotal output lines: 20000\nOutput:\n1\n2\n")
    assert "…98894 chars truncated…" in text
    one_line = frames.shell_command(Ended("x" * 50_000, 0, 0.06), BYTES)
    assert one_line == f"Exit code: 0\nWall time: 0.1 seconds\nOutput:\n{'x' * 5000}…40000 chars truncated…{'x' * 5000}"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.008, "0"), (0.304, "0.3"), (1.271, "1.3"), (3.011, "3"), (123.45, "123.5")]
)
def test_shell_command_rounds_seconds(seconds: float, shown: str) -> None:
    assert frames.shell_command(Ended("", 0, seconds), TOKENS) == f"Exit code: 0\nWall time: {shown} seconds\nOutput:\n"


def test_shell_command_says_that_time_was_up() -> None:
    assert frames.shell_command(Ended("early\n", 124, 0.4041, timed_out=True), TOKENS) == (
        "Exit code: 124\nWall time: 0.4 seconds\nOutput:\ncommand timed out after 404 milliseconds\nearly\n"
    )


def test_shell_answers_json() -> None:
    assert frames.shell(Ended("\x1b[1m\a\b\t\x7f\u2028", 0, 0.0), TOKENS) == (
        '{"output":"\\u001b[1m\\u0007\\b\\t\x7f\u2028","metadata":{"exit_code":0,"duration_seconds":0.0}}'
    )
    cut = json.loads(frames.shell(Ended(seq(20_000), 7, 0.37), BYTES))
    assert cut["output"].startswith("Total output lines: 20000\n\n1\n2\n")
    assert cut["metadata"] == {"exit_code": 7, "duration_seconds": 0.4}


def test_the_message_about_a_command_of_the_user() -> None:
    assert frames.user_shell_command("sleep 0.3; echo shell; exit 2", Ended("shell\n", 2, 0.31), TOKENS) == (
        "<user_shell_command>\n<command>\nsleep 0.3; echo shell; exit 2\n</command>\n<result>\nExit code: 2\n"
        "Duration: 0.3100 seconds\nOutput:\nshell\n\n</result>\n</user_shell_command>"
    )


def test_what_could_not_be_started() -> None:
    missing = SpawnError("No such file or directory (os error 2)", 2)
    assert frames.exec_not_started(("/bin/bash", "-c", "true"), missing) == (
        'exec_command failed for `/bin/bash -c true`: CreateProcess { message: "Rejected(\\"Failed to create unified'
        ' exec process: No such file or directory (os error 2)\\")" }'
    )
    assert frames.shell_not_started(missing) == (
        'execution error: Io(Os { code: 2, kind: NotFound, message: "No such file or directory" })'
    )


def test_what_was_refused_or_killed() -> None:
    assert frames.exec_failed(("a", "b\0"), "rejected by user") == (
        'exec_command failed for `<command included NUL byte>`: CreateProcess { message: "Rejected(\\"rejected by'
        ' user\\")" }'
    )
    assert frames.shell_killed(9) == "execution error: Sandbox(Signal(9))"


def test_an_output_in_a_request_has_room_for_its_frame() -> None:
    policy = Truncation("tokens", 60)
    recorded = answer(seq(400), frames.exec_budget(None, policy))
    assert "…313 tokens truncated…" in recorded
    assert recorded.split("Output:\n", 1)[1].startswith("Total output lines: 400\n\n1\n2\n")
    repeated = frames.shorten_for_history(recorded, policy)
    assert repeated.split("Output:\n", 1)[1].startswith(
        "Total output lines: 400\n\n1\n2\n3\n4\n5\n6\n7\n8…27 tokens truncated…313 tokens truncated…371\n"
    )


@given(TEXTS, POLICIES)
def test_shortening_keeps_both_ends_and_never_tears_a_character(text: str, policy: Truncation) -> None:
    short = frames.shorten(text, policy)
    budget = policy.limit * (1 if policy.mode == "bytes" else 4)
    if len(text.encode()) <= budget:
        assert short == text
        return
    head, rest = short.split("…", 1)
    marker, tail = rest.split("…", 1)
    assert text.startswith(head)
    assert text.endswith(tail)
    assert len(head.encode()) <= budget // 2
    assert len(tail.encode()) <= budget - budget // 2
    assert len(head.encode()) > budget // 2 - 4
    assert len(tail.encode()) > budget - budget // 2 - 4
    missing = len(text) - len(head) - len(tail)
    unit = "chars" if policy.mode == "bytes" else "tokens"
    count = missing if unit == "chars" else -(-(len(text.encode()) - budget) // 4)
    assert marker == f"{count} {unit} truncated"


@given(TEXTS, POLICIES)
def test_a_cut_output_names_the_lines_it_had(text: str, policy: Truncation) -> None:
    counted = frames.shorten_counted(text, policy)
    short = frames.shorten(text, policy)
    assert counted == (text if short == text else f"Total output lines: {frames.lines(text)}\n\n{short}")


@given(st.text(st.sampled_from("ab\n"), max_size=30))
def test_lines_are_counted_with_or_without_an_end(text: str) -> None:
    assert frames.lines(text) == len(text.removesuffix("\n").split("\n")) - (text == "")


@pytest.mark.parametrize(
    ("stdout", "stderr", "joined"),
    [
        (b"ooo", b"eee", b"oooeee"),
        (b"o" * 20, b"e" * 20, b"ooo" + b"e" * 6),
        (b"o" * 20, b"e", b"o" * 8 + b"e"),
        (b"o", b"e" * 20, b"o" + b"e" * 8),
    ],
)
def test_two_streams_share_the_cap(stdout: bytes, stderr: bytes, joined: bytes) -> None:
    assert frames.join_streams(stdout, stderr, 9) == joined
