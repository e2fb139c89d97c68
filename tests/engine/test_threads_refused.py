"""What resume and fork refuse before anything is loaded, and in which order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.errors import BadRequest
from tests.engine.harness import Engine, engine, make_home

pytestmark = pytest.mark.anyio

NOBODY = "00000000-0000-7000-8000-000000000000"
GONE = "No such file or directory (os error 2)"


@pytest.mark.parametrize("command", [Engine.resume, Engine.fork])
@pytest.mark.parametrize(
    ("thread_id", "params", "message"),
    [
        ("x", {"sandbox": "read-only", "permission_profile": {"type": "disabled"}}, "cannot be combined"),
        (NOBODY, {}, f"no rollout found for thread id {NOBODY}"),
        (NOBODY, {"path": "no/such.jsonl"}, f"failed to load rollout `no/such.jsonl`: {GONE}"),
        (NOBODY, {"path": "/"}, r"failed to load rollout `/`: Is a directory \(os error 21\)"),
    ],
)
async def test_refusals(tmp_path: Path, command: Any, thread_id: str, params: dict[str, Any], message: str) -> None:
    message = message.replace(GONE, r"No such file or directory \(os error 2\)")
    async with engine(make_home(tmp_path)) as running:
        with pytest.raises(BadRequest, match=message):
            await command(running, thread_id, **params)


async def test_a_loaded_thread_is_told_of_before_its_empty_history(tmp_path: Path) -> None:
    async with engine(make_home(tmp_path)) as running:
        thread_id = await running.start()
        with pytest.raises(BadRequest, match="with history while it is already running"):
            await running.resume(thread_id, history=[])
        with pytest.raises(BadRequest, match="history must not be empty"):
            await running.resume(NOBODY, history=[])
