"""Commands of the user through a whole engine: as turns of their own and beside a running turn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import anyio
import pytest

from engine.processes.buffers import CHUNK_BYTES, MAX_SHOWN_BYTES
from engine.submissions import shell
from projections import protocol as p
from tests.engine.harness import until
from tests.engine.mocked import Mocked, mocked
from tests.mock_model import MockModel, completed, created, message

pytestmark = pytest.mark.anyio

ABORTED = "command aborted by user"


@pytest.fixture
def model() -> Iterator[MockModel]:
    with MockModel() as running:
        yield running


async def run(engine: Mocked, thread_id: str, command: str) -> None:
    """Begin a command and wait until it has said something."""
    thread = engine.host.threads.get(thread_id)

    async def begin() -> None:
        await shell(thread, str(uuid4()), command, thread.clock)

    thread.post(begin)
    told = "item/commandExecution/outputDelta"
    await until(lambda: engine.sink.of(told))


def ended(engine: Mocked) -> list[tuple[str, object, object]]:
    items = [told["item"] for told in engine.heard("item/completed")]
    return [
        (item["status"], item["exitCode"], item["aggregatedOutput"])
        for item in items
        if item["type"] == "commandExecution"
    ]


async def interrupt(engine: Mocked, thread_id: str) -> None:
    answered = anyio.Event()
    engine.host.threads.get(thread_id).interrupt(answered.set)
    await answered.wait()


async def told(engine: Mocked, count: int = 1) -> None:
    await until(lambda: len(ended(engine)) >= count)


async def test_an_interrupt_ends_a_command_and_the_model_hears_of_it(tmp_path: Path, model: MockModel) -> None:
    async with mocked(tmp_path / "home", model) as engine:
        thread = await engine.start(cwd=str(tmp_path))
        await run(engine, thread, "echo begun; sleep 100")
        await interrupt(engine, thread)
        assert ended(engine) == [("failed", -1, ABORTED)]
        kinds = [(kind, ABORTED in str(line)) for kind, line in engine.lines(thread)]
        assert kinds.index(("message", True)) < kinds.index(("turn_aborted", False))


async def test_an_interrupt_ends_a_command_beside_the_turn(tmp_path: Path, model: MockModel) -> None:
    model.play(created(), model.hold("reply"), *message("late"), completed())
    async with mocked(tmp_path / "home", model) as engine:
        thread = await engine.start(cwd=str(tmp_path))
        engine.open(thread)
        await engine.until(model.wait_requests, 1)
        await run(engine, thread, "echo begun; sleep 100")
        await interrupt(engine, thread)
        await told(engine)
        assert ended(engine) == [("failed", -1, ABORTED)]


async def test_a_turn_goes_on_until_the_model_has_read_of_a_command_beside_it(tmp_path: Path, model: MockModel) -> None:
    model.play(created(), model.hold("reply"), *message("before"), completed())
    model.say("after")
    async with mocked(tmp_path / "home", model) as engine:
        thread = await engine.start(cwd=str(tmp_path))
        turn = engine.open(thread)
        await engine.until(model.wait_requests, 1)
        await run(engine, thread, "echo beside; exit 2")
        await told(engine)
        model.release("reply")
        await engine.ended(turn)
        assert len(engine.requests) == 2
        assert "Exit code: 2" in engine.requests[1].json["input"][-1]["content"][0]["text"]


async def test_a_flood_of_output_does_not_overrun_clients(tmp_path: Path, model: MockModel) -> None:
    async with mocked(tmp_path / "home", model) as engine:
        thread = await engine.start(cwd=str(tmp_path))
        params = p.ThreadShellCommandParams(thread_id=thread, command=f"head -c {3 * MAX_SHOWN_BYTES} /dev/zero")
        engine.host.turns.shell(params)()
        await until(lambda: engine.sink.of("turn/completed"))
        shown = sum(len(note.delta) for note in engine.sink.of("item/commandExecution/outputDelta"))
        assert MAX_SHOWN_BYTES <= shown < MAX_SHOWN_BYTES + CHUNK_BYTES
        assert [status for status, _, _ in ended(engine)] == ["completed"]
