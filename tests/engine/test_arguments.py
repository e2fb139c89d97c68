"""Bad arguments of tool calls: `refused_arguments.jsonl` holds what the reference told its model, one per line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.calls.arguments import parse
from engine.calls.asking import RequestUserInputArgs
from engine.calls.commands import ExecCommandArgs, WriteStdinArgs
from engine.calls.image import ViewImageArgs
from engine.calls.json_reader import NotJson, read
from engine.calls.patch import ApplyPatchToolArgs
from engine.calls.plan import UpdatePlanArgs
from engine.calls.shell import ShellCommandToolCallParams, ShellToolCallParams
from engine.turn.replies import CallFailed

KINDS: dict[str, type[Any]] = {
    "exec_command": ExecCommandArgs,
    "write_stdin": WriteStdinArgs,
    "update_plan": UpdatePlanArgs,
    "view_image": ViewImageArgs,
    "shell": ShellToolCallParams,
    "shell_command": ShellCommandToolCallParams,
    "apply_patch": ApplyPatchToolArgs,
}


class Refused(msgspec.Struct):
    tool: str
    arguments: str
    why: str


LINES = (Path(__file__).parent / "refused_arguments.jsonl").read_bytes().splitlines()


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[:80].decode(errors="replace"))
def test_what_the_model_is_told(line: bytes) -> None:
    recorded = msgspec.json.decode(line, type=Refused)
    with pytest.raises(CallFailed) as refused:
        parse(recorded.arguments, KINDS[recorded.tool])
    assert refused.value.text == f"failed to parse function arguments: {recorded.why}"


def test_questions_name_what_they_lack() -> None:
    text = '{"questions":[{"id":"a","header":"h","question":"q","options":[{"label":"x"}]}]}'
    with pytest.raises(CallFailed, match="missing field `description` at line 1 column 76"):
        parse(text, RequestUserInputArgs)


@pytest.mark.parametrize("text", ["nope", "", '{"a":}', pytest.param("[" * 10_000, id="deep")])
def test_arguments_of_any_kind_must_be_json(text: str) -> None:
    with pytest.raises(CallFailed, match=r"failed to parse function arguments: .* at line 1 column"):
        parse(text, msgspec.Raw)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(ANY, st.sampled_from([None, 1]), st.booleans())
def test_json_is_read_to_its_end(value: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    node = read(text)
    assert (node.begin, node.end) == (0, len(text))


@given(ANY, st.integers(min_value=1), st.text(max_size=2))
def test_broken_json_is_told_where_it_breaks(value: Any, cut: int, junk: str) -> None:
    whole = json.dumps(value)
    text = whole[: cut % (len(whole) + 1)] + junk
    try:
        json.loads(text, parse_constant=_no_constant)
        is_json = True
    except ValueError:
        is_json = False
    try:
        read(text.encode())
        refused = None
    except NotJson as error:
        refused = error
    assert is_json == (refused is None) or str(refused).startswith(STRICTER)
    assert refused is None or 0 <= refused.at <= len(text.encode())


STRICTER = ("lone leading surrogate", "unexpected end of hex escape", "number out of range")
"""What Python's own reader lets pass."""


def _no_constant(name: str) -> None:
    raise ValueError(name)
