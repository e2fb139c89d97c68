"""Outputs as requests carry them: JSON of the shell tools becomes lines for models that read those."""

from __future__ import annotations

import msgspec
import pytest

from engine.model.catalog import built_in, fallback
from engine.model.info import ModelInfo
from engine.outputs import for_request
from rollouts import codec
from rollouts import events as ev

LINES = built_in().find("gpt-5.4")


def read(output: str, model: ModelInfo) -> object:
    """What the model reads of the output of a `shell` call."""
    call = ev.FunctionCall(name="shell", arguments="{}", call_id="c")
    items = [call, ev.FunctionCallOutput(call_id="c", output=output)]
    raw = for_request([msgspec.Raw(codec.encode_item(item)) for item in items], model)
    item = codec.decode_item(raw[1])
    assert isinstance(item, ev.FunctionCallOutput)
    return item.output


def told(text: str) -> str:
    return msgspec.json.encode({"output": text, "metadata": {"exit_code": 1, "duration_seconds": 0.5}}).decode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x\n", "Output:\nx\n"),
        ("Total output lines: 12\n\na\nb", "Total output lines: 12\nOutput:\na\nb"),
        ("Total output lines: many\n\na", "Output:\nTotal output lines: many\n\na"),
    ],
)
def test_the_count_of_lines_stands_in_the_frame(text: str, shown: str) -> None:
    assert read(told(text), LINES) == f"Exit code: 1\nWall time: 0.5 seconds\n{shown}"


def test_other_models_read_the_json_itself() -> None:
    assert read(told("x"), fallback("other")) == told("x")


def test_what_is_not_the_json_of_a_shell_tool_stays_as_it_is() -> None:
    assert read("execution error", LINES) == "execution error"
