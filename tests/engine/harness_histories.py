"""Long histories on disk for tests of cost, and a storage that counts what is read through its logs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from engine.clock import Clock
from engine.index import Index
from engine.storage import Files, Place
from rollouts import codec
from rollouts import events as ev
from rollouts.layout import Home
from rollouts.log import Log
from tests.projections.logs import context, message, usage

CREATED = datetime(2026, 4, 20, 10, 0, tzinfo=UTC)
STAMP = "2026-04-20T10:00:00.000Z"
THREAD = "019da010-0000-7000-8000-0000000000aa"
COMPACTED_EVERY = 10
"""Turns between two compactions."""


def write_history(home: Path, turns: int, *, thread_id: str = THREAD, weight: int = 2_000) -> Path:
    """A thread of so many turns, each with a tool call of `weight` bytes, compacted now and then.

    The live context of each of them is the same: what came after the last compaction, five turns ago.
    """
    path = Home(home, zone=UTC).new_path(thread_id, CREATED)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        meta = ev.SessionMeta(
            id=thread_id, timestamp=STAMP, cwd=str(home), originator="test", cli_version="0.125.0",
            source="vscode", model_provider="demo", base_instructions=ev.BaseInstructions("Be good."),
        )  # fmt: skip
        file.write(codec.encode(meta, STAMP))
        for number in range(turns):
            for body in _turn(number, weight, compacted=(turns - number) % COMPACTED_EVERY == 5):
                file.write(codec.encode(body, STAMP))
    return path


def _turn(number: int, weight: int, *, compacted: bool) -> list[ev.Body]:
    turn_id = f"019da010-0000-7000-8000-{number:012x}"
    said, answer, call_id = f"request {number}", f"answer {number}", f"call_{number}"
    bodies: list[ev.Body] = [ev.TaskStarted(turn_id=turn_id, started_at=1_776_000_000 + number)]
    if compacted:
        items = (message("user", said), message("user", "Another language model started to solve this problem"))
        kept = tuple(msgspec.Raw(codec.encode_item(item)) for item in items)
        bodies += [ev.Compacted(message="summary", replacement_history=kept), ev.ContextCompacted()]
    return [
        *bodies,
        context(turn_id),
        message("user", said),
        ev.UserMessage(message=said, images=()),
        ev.FunctionCall(name="exec_command", arguments="{}", call_id=call_id),
        ev.FunctionCallOutput(call_id=call_id, output="x" * weight),
        ev.TokenCount(info=usage(number, 10)),
        ev.AgentMessage(message=answer),
        message("assistant", answer),
        ev.TaskComplete(turn_id=turn_id, last_agent_message=answer, completed_at=1_776_000_001 + number, duration_ms=5),
    ]


class Counted(Files):
    """Files whose logs are remembered; `bytes` and `lines` are what was read through them since `start`."""

    def __init__(self, home: Home, index: Index, clock: Clock) -> None:
        super().__init__(home, index)
        self._logs: list[Log] = []
        self._before = (0, 0)

    def log(self, place: Place) -> Log:
        log = super().log(place)
        self._logs.append(log)
        return log

    def create(self, thread_id: str, created: datetime) -> tuple[Place, Log]:
        place, log = super().create(thread_id, created)
        self._logs.append(log)
        return place, log

    def start(self) -> None:
        """Count from now on."""
        self._before = self._total()

    @property
    def bytes(self) -> int:
        return self._total()[0] - self._before[0]

    @property
    def lines(self) -> int:
        return self._total()[1] - self._before[1]

    def _total(self) -> tuple[int, int]:
        return sum(log.bytes_read for log in self._logs), sum(log.lines_read for log in self._logs)
