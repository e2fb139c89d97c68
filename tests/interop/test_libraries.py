"""Published client libraries run unchanged: a thread, a turn with its usage, a resume in a new process, a read."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.interop import tee
from tests.interop.history import asked, conversation
from tests.interop.place import Place
from tests.interop.programs import Engine, codex, installed, node
from tests.interop.wire import Wire
from tests.mock_model import MockModel

pytestmark = pytest.mark.interop

PROGRAMS = Path(__file__).parent / "clients"
NODE = ("ai_sdk_provider", "local_component")
PYTHON = ("app_server_client", "agent_sdk", "python_sdk", "tdai_sdk", "app_server_sdk")


def run(place: Place, *command: str | Path) -> dict[str, Any]:
    """The report of a client program."""
    done = subprocess.run(
        command, capture_output=True, cwd=place.workspace, env=place.environment(), timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return dict(json.loads(done.stdout.splitlines()[-1]))


def check_sessions(place: Place, model: MockModel, command: list[str | Path], engine: Engine) -> None:
    """Two processes of a client, the second of which goes on with the thread of the first."""
    records = [place.root / f"{number}.record" for number in (1, 2)]
    servers = [tee.script(record.with_suffix(".server"), record, codex(engine)) for record in records]

    model.say("the first answer", deltas=("the first ", "answer"))
    first = run(place, *command, servers[0], "the first question")
    assert first["answer"] == "the first answer"
    assert first["tokens"] == 120
    assert first["texts"] in (None, ["the first question", "the first answer"])
    model.say("the second answer", deltas=("the second ", "answer"))
    second = run(place, *command, servers[1], "the second question", first["thread"])
    assert second["thread"] == first["thread"]
    assert second["answer"] == "the second answer"
    assert second["tokens"] == (120 if first["texts"] is None else 240)
    assert second["texts"] in (
        None,
        ["the first question", "the first answer", "the second question", "the second answer"],
    )
    said = [text.removeprefix("User: ") for _, text in conversation(asked(model)[-1].json["input"])]
    assert said == ["the first question", "the first answer", "the second question"]
    for record in records:
        check_wire(tee.replay(record))


def check_wire(wire: Wire) -> None:
    """Something was said, and all of it by the schema."""
    assert wire.received
    wire.check()


@pytest.mark.parametrize("client", PYTHON)
def test_a_python_client_runs_unchanged(place: Place, model: MockModel, engine: Engine, client: str) -> None:
    check_sessions(place, model, [installed("clients/bin/python"), PROGRAMS / f"{client}.py"], engine)


@pytest.mark.parametrize("client", NODE)
def test_a_node_client_runs_unchanged(place: Place, model: MockModel, engine: Engine, client: str) -> None:
    # Node looks for packages beside the program.
    (place.root / "node_modules").symlink_to(installed("node_modules"))
    program = shutil.copy(PROGRAMS / f"{client}.mjs", place.root)
    check_sessions(place, model, [node(), program], engine)
