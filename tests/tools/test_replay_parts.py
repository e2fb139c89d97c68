"""What `tools/replay` finds wrong, and how it compares."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from rollouts import codec
from rollouts.lines import forward
from rollouts.log import MemoryLog
from tests.conftest import fixture_rollouts
from tests.engine.homes import answered, line, meta, said, thread_id
from tools.replaying.brief import brief
from tools.replaying.difference import changes
from tools.replaying.entries import entries
from tools.replaying.integrity import Report, check
from tools.replaying.telling import Kind

ID = thread_id(1)


def checked(*lines: bytes) -> Report:
    text = b"".join(lines)
    return check(forward(lambda size, offset: text[offset : offset + size], 0))


def found(*lines: bytes) -> list[tuple[str, str, int]]:
    return [(finding.level, finding.kind, finding.line) for finding in checked(*lines).findings]


def event(kind: str, **fields: Any) -> bytes:
    return line("event_msg", {"type": kind} | fields)


def call(name: str, kind: str = "function_call", **fields: Any) -> bytes:
    usual = {"name": "exec", "arguments": "{}"} if kind == "function_call" else {"output": "done"}
    return line("response_item", {"type": kind, "call_id": name} | usual | fields)


def answer(name: str) -> bytes:
    return call(name, "function_call_output")


def usage(total: int, inputs: int | None = None, cached: int = 0, reasoning: int = 0, output: int = 0) -> bytes:
    numbers = {
        "input_tokens": total - output if inputs is None else inputs,
        "cached_input_tokens": cached,
        "output_tokens": output,
        "reasoning_output_tokens": reasoning,
        "total_tokens": total,
    }
    info = {"total_token_usage": numbers, "last_token_usage": numbers, "model_context_window": None}
    return event("token_count", info=info, rate_limits=None)


def started(turn: str) -> bytes:
    return event("task_started", turn_id=turn, model_context_window=None)


def ended(turn: str) -> bytes:
    return event("task_complete", turn_id=turn, last_agent_message=None)


SOUND = (meta(ID), started("t"), said("hi"), call("c"), answer("c"), usage(10), ended("t"))


@pytest.mark.parametrize(
    ("lines", "findings"),
    [
        (SOUND, []),
        ((), [("damage", "empty", 0)]),
        ((said("hi"),), [("damage", "no meta", 0)]),
        ((b"\xef\xbb\xbf" + meta(ID),), [("damage", "bad line", 1), ("damage", "no meta", 0)]),
        ((said("hi"), meta(ID)), [("oddity", "late meta", 2)]),
        ((*SOUND, b"not json\n"), [("damage", "bad line", 8)]),
        ((*SOUND, b'{"a":"\xff"}\n'), [("damage", "bad line", 8)]),
        ((*SOUND, b"\n"), [("note", "blank line", 8)]),
        ((*SOUND, b'{"timest'), [("damage", "torn tail", 8)]),
        ((*SOUND, answered("whole").rstrip()), [("oddity", "torn", 8)]),
        ((*SOUND, started("u")), [("oddity", "unfinished turn", 8)]),
        ((*SOUND, started("u"), started("v"), ended("v")), [("oddity", "unfinished turn", 8)]),
        ((*SOUND, started("t"), ended("t")), [("oddity", "duplicate turn", 8)]),
        ((*SOUND, ended("t")), [("oddity", "lost end", 8)]),
        ((*SOUND, call("c"), answer("c")), [("oddity", "duplicate call", 8)]),
        ((*SOUND, answer("c")), [("oddity", "duplicate output", 8)]),
        ((*SOUND, answer("x")), [("oddity", "no call", 8)]),
        ((*SOUND, call("x")), [("oddity", "no output", 8)]),
        ((*SOUND, call("x"), line("compacted", {"message": "m"})), []),
        ((*SOUND, usage(5)), [("oddity", "usage", 8)]),
        ((*SOUND, usage(20, inputs=5)), [("oddity", "usage", 8)] * 2),
        ((*SOUND, usage(20, cached=30)), [("oddity", "usage", 8)] * 2),
        ((*SOUND, usage(20, output=3, reasoning=4)), [("oddity", "usage", 8)] * 2),
        ((*SOUND, usage(-1, inputs=-1)), [("oddity", "usage", 8)] * 3),  # total, last, and less than before,
        ((*SOUND, usage(20, inputs=0)), []),  # an estimate
        ((*SOUND, event("token_count", info=None, rate_limits=None)), [("note", "usage", 8)]),
        ((*SOUND, event("task_started")), [("oddity", "bad payload", 8)]),
        ((*SOUND, event("made_up"), event("made_up")), [("note", "unknown", 0)]),
        ((*SOUND, line("world_state", {})), [("note", "unknown", 0)]),
    ],
)  # fmt: skip
def test_findings(lines: tuple[bytes, ...], findings: list[tuple[str, str, int]]) -> None:
    report = checked(*lines)
    assert found(*lines) == findings
    assert report.sound == all(level == "note" for level, _, _ in findings)


def test_a_finding_says_where_it_is_in_bytes() -> None:
    report = checked(*SOUND, b"not json\n")
    assert report.findings[0].offset == sum(map(len, SOUND))


def test_a_turn_that_was_aborted_without_its_id_is_the_open_one() -> None:
    lines = (meta(ID), started("t"), event("turn_aborted", reason="interrupted"))
    assert checked(*lines).sound


@pytest.mark.parametrize("path", fixture_rollouts(), ids=lambda path: path.stem)
def test_recorded_files_are_not_damaged(path: Any) -> None:
    assert not [finding for finding in checked(path.read_bytes()).findings if finding.level == "damage"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


@given(JSON, JSON)
def test_values_differ_if_and_only_if_there_are_changes(one: Any, other: Any) -> None:
    assert bool(list(changes(one, other))) == (one != other)


@given(JSON, JSON)
def test_changes_backwards_are_the_changes_turned_round(one: Any, other: Any) -> None:
    forwards = {(change.path, repr(change.before), repr(change.after)) for change in changes(one, other)}
    backwards = {(change.path, repr(change.after), repr(change.before)) for change in changes(other, one)}
    assert forwards == backwards


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 2}, [("a", 1, 2)]),
        ({"a": {"b": 1}}, {"a": {}}, [("a.b", 1, UNSET)]),
        ({}, {"a": None}, [("a", UNSET, None)]),
        ({"a": [1, 2, 3]}, {"a": [1, 2, 3, 4]}, [("a[3]", UNSET, 4)]),
        ({"a": [1, 2, 3]}, {"a": [1, 3]}, [("a[1]", 2, UNSET)]),
        (
            {"a": [{"id": 1, "b": 2}, {"id": 2}]},
            {"a": [{"id": 1, "b": 3}]},
            [("a[0].b", 2, 3), ("a[1]", {"id": 2}, UNSET)],
        ),
        ({"a": [1, {"b": 2}, 3]}, {"a": [1, {"b": 4}, 3]}, [("a[1].b", 2, 4)]),
        (1, "1", [("", 1, "1")]),
    ],
)
def test_changes_name_the_least_that_differs(before: Any, after: Any, expected: list[tuple[Any, ...]]) -> None:
    assert [(change.path, change.before, change.after) for change in changes(before, after)] == expected


def told(*lines: bytes) -> list[tuple[str, str]]:
    log = MemoryLog()
    log.append(lines, expected_end=0)
    return [(entry.kind, entry.text) for entry in entries(log.read()) if not entry.detail]


def message(role: str, text: str) -> bytes:
    part = {"type": "input_text" if role == "user" else "output_text", "text": text}
    return line("response_item", {"type": "message", "role": role, "content": [part]})


def test_words_that_are_written_twice_are_told_once() -> None:
    both = (message("user", "hi"), said("hi"), answered("ok"), message("assistant", "ok"))
    assert told(meta(ID), *both)[1:] == [("user", "hi"), ("agent", "ok")]


def test_the_same_words_said_again_are_told_again() -> None:
    assert told(meta(ID), started("t"), said("go"), ended("t"), started("u"), said("go"))[2:] == [
        ("user", "go"), ("end", "ended without an answer"), ("turn", "u"), ("user", "go"),
    ]  # fmt: skip


def test_a_turn_with_an_error_failed_and_one_without_an_answer_is_said_to_have_none() -> None:
    harmless = event("error", message="busy", codex_error_info="thread_rollback_failed")
    ends = [
        told(meta(ID), started("t"), said("go"), *lines, ended("t"))[-1]
        for lines in ((event("error", message="boom"),), (harmless, answered("ok")), ())
    ]
    assert ends == [("end", "failed"), ("end", "completed"), ("end", "ended without an answer")]


def test_an_approval_and_the_output_of_one_of_several_calls_say_which_call_it_is() -> None:
    engine = {"type": "approval", "turn_id": "t", "call_id": "a", "kind": "command", "decision": "accept"}
    calls = (call("a", arguments='{"cmd":"ls"}'), call("b", arguments='{"cmd":["rm","a b"]}'))
    lines = told(meta(ID), *calls, line("engine_event", engine | {"decided_by": "user"}), answer("b"), answer("a"))
    assert lines[3:] == [
        ("approval", "command: accept by user: exec ls"),
        ("output", "[exec rm 'a b'] done"),
        ("output", "done"),
    ]


def test_a_command_of_the_user_is_told() -> None:
    text = "<user_shell_command>\n<command>\nls\n</command>\n<result>\nExit code: 1\nDuration: 0.1 seconds\nOutput:\nno"
    assert told(meta(ID), message("user", text + "\n</result>\n</user_shell_command>"))[1:] == [
        ("ran", "by the user: ls\nExit code: 1\nDuration: 0.1 seconds\nOutput:\nno")
    ]


@pytest.mark.parametrize(
    ("kind", "text", "shown"),
    [
        ("call", 'exec_command {"cmd":"ls -l","yield_time_ms":5}', "exec_command ls -l (yield_time_ms 5)"),
        ("call", 'shell {"command":["ls","a b"]}', "shell ls 'a b'"),
        ("call", 'update_plan {"plan":[]}', 'update_plan {"plan":[]}'),
        ("call", "apply_patch *** Begin Patch", "apply_patch *** Begin Patch"),
        ("output", "Chunk ID: a\nWall time: 0.1 seconds\nProcess exited with code 2\nOutput:\nno\n", "exit 2: no"),
        ("output", "Wall time: 1 s\nProcess running with session ID 7\nOutput:\n", "session 7 runs on"),
        ("output", "[ls] Exit code: 0\nWall time: 1 seconds\nOutput:\na\nb", "[ls] exit 0: a\nb"),
        ("output", '{"output":"x\\n","metadata":{"exit_code":0,"duration_seconds":0.1}}', "exit 0: x"),
        ("output", '{"output":"x"}', '{"output":"x"}'),
        ("output", "plain", "plain"),
        ("ran", "by the user: ls\nExit code: 1\nDuration: 0.1 seconds\nOutput:\nno", "by the user: ls -> exit 1: no"),
        ("patch", "completed: a added\na\ntext", "completed: a added"),
    ],
)
def test_what_a_person_looks_for_first(kind: Kind, text: str, shown: str) -> None:
    assert brief(kind, text) == shown


@pytest.mark.parametrize(("kind", "text"), [("call", 'x {"cmd":'), ("output", '{"output":')])
def test_json_nested_too_deep_is_shown_as_it_is(kind: Kind, text: str) -> None:
    assert brief(kind, text + "[" * 50_000) == text + "[" * 50_000


def test_every_kind_of_event_that_is_written_is_told_or_left_out_on_purpose() -> None:
    from rollouts import events as ev
    from rollouts.policy import persisted
    from tools.replaying import telling as module

    silent = {ev.SessionMeta, ev.TokenCount, ev.ContextCompacted}
    known = set(module._TELL) | silent
    written = {
        type(found.body)
        for path in fixture_rollouts()
        for data in path.read_bytes().splitlines()
        if isinstance(found := codec.decode(data), codec.Line) and persisted(found.body, True)
    }
    assert written <= known
    assert set(ev.EngineEvent.__subclasses__()) <= known
