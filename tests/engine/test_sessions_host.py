"""Commands that outlive their call, through a whole engine: what the model and clients hear of them later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.harness import until
from tests.engine.mocked import Mocked, mocked
from tests.mock_model import MockModel

pytestmark = pytest.mark.anyio


@pytest.fixture
def model() -> Iterator[MockModel]:
    with MockModel() as running:
        yield running


def interactions(engine: Mocked) -> list[tuple[str, str]]:
    return [(told["itemId"], told["stdin"]) for told in engine.heard("item/commandExecution/terminalInteraction")]


async def test_a_look_at_a_command_is_told_even_when_it_has_ended_and_once_only_as_it_is_then_gone(
    tmp_path: Path, model: MockModel
) -> None:
    wait = "until [ -e go ]; do sleep 0.02; done; echo over"
    model.call("exec_command", {"cmd": wait, "login": False, "yield_time_ms": 250}, "slow")
    model.say("it runs")
    async with mocked(tmp_path / "home", model) as engine:
        thread = await engine.start(cwd=str(tmp_path))
        await engine.play(thread)
        (item,) = [told["item"] for told in engine.heard("item/started") if told["item"]["id"] == "slow"]
        (tmp_path / "go").touch()
        await until(lambda: any(told["item"]["id"] == "slow" for told in engine.heard("item/completed")))
        for _ in range(2):
            model.call("write_stdin", {"session_id": int(item["processId"])})
        model.say("it is over")
        await engine.play(thread)
        outputs = [line["output"] for kind, line in engine.lines(thread) if kind == "function_call_output"]
        assert "Process exited with code 0" in outputs[1] and outputs[1].endswith("over\n")
        assert outputs[2] == f"write_stdin failed: Unknown process id {item['processId']}"
        assert interactions(engine) == [("slow", "")]
