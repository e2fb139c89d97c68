"""Histories to measure on: rollout files as an agent at work leaves them; the same but for ids every time.

`tools`: turns with tool calls and their output, a small compaction now and then. `compacted`: few turns, and
compactions that hold nearly all of the bytes, as sessions with screenshots have them. `short`: one question and its
answer.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec

from rollouts import codec
from rollouts import events as ev
from rollouts.layout import Home

Profile: TypeAlias = Literal["tools", "compacted", "short"]
LONG: Final[tuple[Profile, ...]] = ("tools", "compacted")

START: Final = datetime(2026, 4, 20, 10, 0, tzinfo=UTC)
WINDOW: Final = 272_000
_PACE: Final = 512 << 10
"""Bytes between two compactions of the `tools` profile."""

_RECORDS: Final = 16
"""Compactions of a `compacted` history, whatever its size."""

_TEXT: Final = """
the file test error import return value path line run build check index cache thread turn event fold state read write
append open close resume fork list page token usage model request answer patch function class def self none true false
while for in not is and or with async await raise except finally yield from as
"""
_WORDS: Final = _TEXT.split()


class History(msgspec.Struct, frozen=True):
    """A generated rollout. `turns` and `lines` are how many it holds."""

    thread_id: str
    path: Path
    size: int
    lines: int
    turns: int


def write(home: Path, profile: Profile, size: int = 0, *, created: datetime = START) -> History:
    """Write a history of at least `size` bytes and one turn into a home."""
    layout = Home(home)
    thread_id = layout.new_id(created)
    path = layout.new_path(thread_id, created)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = _Writer(thread_id, size, created)
    with path.open("wb") as file:
        file.writelines(writer.lines(_MIDDLES[profile]))
    return History(thread_id, path, writer.written, writer.count, writer.turns)


def write_many(home: Path, count: int) -> list[History]:
    """Write `count` short threads, some to a day, oldest first."""
    return [write(home, "short", created=START + timedelta(hours=5 * number)) for number in range(count)]


class _Writer:
    """Makes the lines of one history."""

    def __init__(self, thread_id: str, size: int, created: datetime) -> None:
        self.thread_id = thread_id
        self.size = size
        self.chance = random.Random(7)
        self.written = 0
        self.count = 0
        self.turns = 0
        self.used = 0
        self.compacted_at = 0
        self._now = created
        self._numbers = itertools.count()

    def lines(self, middle: Middle) -> Iterator[bytes]:
        """Turn after turn until the size is reached."""
        yield self.line(self._meta())
        while self.written < self.size or not self.turns:
            for body in _turn(self, middle):
                yield self.line(body)

    def line(self, body: ev.Body) -> bytes:
        self._now += timedelta(milliseconds=self.chance.randrange(5, 900))
        text = codec.encode(body, self._now.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
        self.written += len(text)
        self.count += 1
        return text

    def words(self, low: int, high: int) -> str:
        return " ".join(self.chance.choices(_WORDS, k=self.chance.randrange(low, high)))

    def blob(self, size: int) -> str:
        """Text that does not compress, like an image or encrypted reasoning."""
        return self.chance.randbytes(size // 2).hex()

    def name(self, kind: str) -> str:
        return f"{kind}_{next(self._numbers):06}"

    def usage(self) -> ev.TokenCount:
        last = self.chance.randrange(5_000, 50_000)
        self.used += last
        counts = [ev.TokenUsage(total - total // 9, total // 2, total // 9, 0, total) for total in (self.used, last)]
        return ev.TokenCount(info=ev.TokenUsageInfo(counts[0], counts[1], WINDOW))

    def _meta(self) -> ev.SessionMeta:
        return ev.SessionMeta(
            id=self.thread_id,
            timestamp=self._now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            cwd="/workspace/demo",
            originator="bench",
            cli_version="0.125.0",
            source="cli",
            model_provider="demo",
            base_instructions=ev.BaseInstructions(text=self.words(1_500, 1_501)),
        )


Middle: TypeAlias = Callable[[_Writer, str], Iterator[ev.Body]]
"""What happens in a turn between question and answer, given the turn id."""


def _turn(writer: _Writer, middle: Middle) -> Iterator[ev.Body]:
    writer.turns += 1
    turn_id = writer.name("turn")
    asked, answer = writer.words(5, 60), writer.words(20, 120)
    yield ev.TaskStarted(turn_id=turn_id, started_at=1_776_679_200, model_context_window=WINDOW)
    yield ev.TurnContext(
        turn_id=turn_id,
        cwd="/workspace/demo",
        approval_policy="never",
        sandbox_policy=msgspec.Raw(b'{"type":"danger-full-access"}'),
        model="gpt-5.5",
        summary="auto",
    )
    yield _said("user", asked)
    yield ev.UserMessage(message=asked)
    yield from middle(writer, turn_id)
    yield ev.AgentMessage(message=answer)
    yield _said("assistant", answer)
    yield writer.usage()
    yield ev.TaskComplete(turn_id=turn_id, last_agent_message=answer, completed_at=1_776_679_260, duration_ms=60_000)


def _tool_calls(writer: _Writer, turn_id: str) -> Iterator[ev.Body]:
    for _ in range(writer.chance.randrange(3, 12)):
        call_id, output = writer.name("call"), writer.words(20, 900)
        command = ("bash", "-lc", writer.words(3, 9))
        yield ev.Reasoning(summary=(), encrypted_content=writer.blob(600))
        arguments = msgspec.json.encode({"command": command}).decode()
        yield ev.FunctionCall(name="shell", arguments=arguments, call_id=call_id)
        yield ev.ExecCommandEnd(
            call_id=call_id,
            turn_id=turn_id,
            command=command,
            cwd="/workspace/demo",
            parsed_cmd=(),
            stdout="",
            stderr="",
            aggregated_output=output,
            exit_code=0,
            duration=ev.Duration(0, 40_000_000),
            formatted_output="",
            status="completed",
        )
        yield ev.FunctionCallOutput(call_id, f"Exit code: 0\nOutput:\n{output}")
        yield writer.usage()
    if writer.written - writer.compacted_at > _PACE:
        yield from _compaction(writer, 8 << 10)


def _screenshots(writer: _Writer, turn_id: str) -> Iterator[ev.Body]:
    yield from _compaction(writer, writer.size // _RECORDS)


def _compaction(writer: _Writer, size: int) -> Iterator[ev.Body]:
    summary = writer.words(100, 200)
    image = ev.InputImage(image_url=f"data:image/png;base64,{writer.blob(min(size, 64 << 10))}")
    shown = ev.Message(role="user", content=(ev.InputText(text="Look at this."), image))
    kept = [_said("user", summary), *itertools.repeat(shown, max(1, size // (64 << 10)))]
    yield ev.Compacted(message=summary, replacement_history=tuple(_raw(item) for item in kept))
    yield ev.ContextCompacted()
    writer.compacted_at = writer.written


def _raw(item: ev.ResponseItem) -> msgspec.Raw:
    return msgspec.Raw(codec.encode_item(item))


def _said(role: str, text: str) -> ev.Message:
    part: Any = ev.OutputText(text=text) if role == "assistant" else ev.InputText(text=text)
    return ev.Message(role=role, content=(part,))


_MIDDLES: Final[Mapping[Profile, Middle]] = {
    "tools": _tool_calls,
    "compacted": _screenshots,
    "short": lambda writer, turn_id: iter(()),
}
