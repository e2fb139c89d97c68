"""What is wrong or odd in a rollout: damage that loses lines, oddities that a reader should know.

Reads each line once, in memory that grows with the number of turns and calls only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct, field

from rollouts import codec
from rollouts import events as ev
from rollouts.layout import parse_name
from rollouts.lines import Record

Level: TypeAlias = Literal["damage", "oddity", "note"]


class Finding(Struct, frozen=True, omit_defaults=True):
    """One finding; `line` counts from 1 and `offset` in bytes, both 0 for what concerns the whole file."""

    level: Level
    kind: str
    text: str
    line: int = 0
    offset: int = 0


class Report(Struct):
    """All findings, which thread it is ("" if no line says so), and how much was looked at."""

    findings: list[Finding] = field(default_factory=list)
    thread: str = ""
    lines: int = 0
    bytes: int = 0
    turns: int = 0
    bases: list[ev.HistoryBase] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether there is neither damage nor an oddity."""
        return all(finding.level == "note" for finding in self.findings)


def check(records: Iterable[Record]) -> Report:
    """Check the lines of a rollout from its start."""
    checker = _Checker()
    for record in records:
        checker.look(record)
    checker.finish()
    return checker.report


def misnamed(path: Path, report: Report) -> Finding | None:
    """Whether the name of the file says another thread than the file; it is found under both, listed under its own."""
    name = parse_name(path)
    if name is None or not report.thread or name.thread_id == report.thread.lower():
        return None
    return Finding("oddity", "file name", f"says thread {name.thread_id}, the file says {report.thread}")


class _Call(Struct):
    """A tool call and where it was made."""

    line: int
    offset: int
    answered: bool = False


class _Checker:
    """One pass over the lines."""

    def __init__(self) -> None:
        self.report = Report()
        self._record = Record(0, b"", 0)
        self._thread = ""
        self._open: dict[str, _Call] = {}
        self._turns: set[str] = set()
        self._calls: dict[str, _Call] = {}
        self._strange: dict[str, int] = {}
        self._usage: ev.TokenUsage | None = None
        self._time = ""

    def look(self, record: Record) -> None:
        self._record = record
        self.report.lines += 1
        self.report.bytes = record.end
        line = codec.decode(record.data)
        if isinstance(line, codec.BadLine):
            self._unreadable(line)
            return
        if record.torn:
            self._find("oddity", "torn", "the last line has no line break; a reference server would glue to it")
        self._timed(line.timestamp)
        look = _LOOKS.get(type(line.body))
        if look is not None:
            look(self, line.body)

    def finish(self) -> None:
        self._record = Record(0, b"", 0)
        if not self.report.lines:
            self._find("damage", "empty", "the file is empty", line=0)
        elif not self._thread:
            self._find("damage", "no meta", "no line says which thread this is (session_meta)", line=0)
        last = max((call.line for call in self._open.values()), default=0)
        for turn, call in self._open.items():
            end = "at the end" if call.line == last else "and another began"
            self._find("oddity", "unfinished turn", f"{turn} never ended {end}", line=call.line, offset=call.offset)
        for name, call in self._calls.items():
            if not call.answered:
                self._find("oddity", "no output", f"call {name} has none", line=call.line, offset=call.offset)
        for name, count in self._strange.items():
            self._find("note", "unknown", f"{count} lines of type {name}, kept and not read", line=0)

    def _find(self, level: Level, kind: str, text: str, *, line: int | None = None, offset: int | None = None) -> None:
        self.report.findings.append(
            Finding(
                level,
                kind,
                text,
                self.report.lines if line is None else line,
                self._record.offset if offset is None else offset,
            )
        )

    def _unreadable(self, line: codec.BadLine) -> None:
        if not self._record.data.strip():
            self._find("note", "blank line", "skipped")
        elif self._record.torn:
            size = len(self._record.data)
            self._find("damage", "torn tail", f"{size} bytes of a line that was not finished: {line.reason}")
        else:
            self._find("damage", "bad line", line.reason)

    def _timed(self, timestamp: str) -> None:
        if timestamp < self._time:
            self._find("note", "time", f"{timestamp} comes after {self._time}")
        self._time = timestamp

    def _meta(self, body: ev.SessionMeta) -> None:
        if not self._thread:
            if self.report.lines > 1:
                self._find("oddity", "late meta", "session_meta is not the first line")
            self._thread = self.report.thread = body.id

    def _based(self, body: ev.HistoryBase) -> None:
        self.report.bases.append(body)

    def _started(self, body: ev.TaskStarted) -> None:
        self.report.turns += 1
        if body.turn_id in self._turns:
            self._find("oddity", "duplicate turn", f"turn {body.turn_id} began before")
        self._turns.add(body.turn_id)
        self._open[body.turn_id] = _Call(self.report.lines, self._record.offset)

    def _ended(self, body: ev.TaskComplete | ev.TurnAborted) -> None:
        turn = body.turn_id
        if turn is None:
            turn = next(reversed(self._open), None)
        if turn is not None and self._open.pop(turn, None) is None:
            self._find("oddity", "lost end", f"turn {turn} ends but is not open")

    def _called(self, body: Any) -> None:
        if body.call_id is None:
            return
        if body.call_id in self._calls:
            self._find("oddity", "duplicate call", f"call id {body.call_id} was used before")
        self._calls[body.call_id] = _Call(self.report.lines, self._record.offset)

    def _answered(self, body: Any) -> None:
        call = self._calls.get(body.call_id)
        if call is None:
            self._find("oddity", "no call", f"output of call {body.call_id}, which was never made")
        elif call.answered:
            self._find("oddity", "duplicate output", f"call {body.call_id} was answered before")
        else:
            call.answered = True

    def _compacted(self, _: ev.Compacted) -> None:
        """Calls before a compaction need no output behind it, and it may carry their copies."""
        for call in self._calls.values():
            call.answered = True

    def _counted(self, body: ev.TokenCount) -> None:
        if body.info is None:
            if self._usage is not None:
                self._find("note", "usage", "a count without numbers follows one with numbers")
            return
        total, last = body.info.total_token_usage, body.info.last_token_usage
        for name, usage in (("total", total), ("last", last)):
            for text in _oddities(usage):
                self._find("oddity", "usage", f"{name}: {text}")
        before = self._usage
        if before is not None and total.total_tokens < before.total_tokens:
            self._find("oddity", "usage", f"the total falls from {before.total_tokens} to {total.total_tokens}")
        self._usage = total

    def _unknown(self, body: ev.Unknown) -> None:
        name = f"{body.type} {body.subtype}" if body.subtype else body.type
        if (body.subtype or body.type) in _KNOWN:
            self._find("oddity", "bad payload", f"{name} lacks a field or has a wrong one; the line is skipped")
        else:
            self._other(name)

    def _other_item(self, body: ev.OtherItem) -> None:
        self._other(f"response_item {body.type}")

    def _other(self, name: str) -> None:
        self._strange[name] = self._strange.get(name, 0) + 1


def _oddities(usage: ev.TokenUsage) -> Iterator[str]:
    """What cannot be in one usage; a total alone is an estimate and may stand for itself."""
    parts = (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens, usage.reasoning_output_tokens)
    if min(*parts, usage.total_tokens) < 0:
        yield "a negative number of tokens"
        return
    if usage.cached_input_tokens > usage.input_tokens:
        yield f"{usage.cached_input_tokens} cached of {usage.input_tokens} input tokens"
    if usage.reasoning_output_tokens > usage.output_tokens:
        yield f"{usage.reasoning_output_tokens} reasoning of {usage.output_tokens} output tokens"
    if any(parts) and usage.input_tokens + usage.output_tokens != usage.total_tokens:
        yield f"{usage.input_tokens} in and {usage.output_tokens} out are not {usage.total_tokens}"


_KNOWN: Final = frozenset(
    {"session_meta", "turn_context", "compacted", "session_state"}
    | {
        str(cls.__struct_config__.tag)
        for base in (ev.EventMsg, ev.ResponseItem, ev.EngineEvent)
        for cls in base.__subclasses__()
    }
)
"""Types whose lines can be read if they are whole."""

_LOOKS: Final[Mapping[type, Callable[[_Checker, Any], None]]] = {
    ev.SessionMeta: _Checker._meta,
    ev.TaskStarted: _Checker._started,
    ev.TaskComplete: _Checker._ended,
    ev.TurnAborted: _Checker._ended,
    ev.FunctionCall: _Checker._called,
    ev.CustomToolCall: _Checker._called,
    ev.LocalShellCall: _Checker._called,
    ev.FunctionCallOutput: _Checker._answered,
    ev.CustomToolCallOutput: _Checker._answered,
    ev.Compacted: _Checker._compacted,
    ev.TokenCount: _Checker._counted,
    ev.Unknown: _Checker._unknown,
    ev.OtherItem: _Checker._other_item,
    ev.HistoryBase: _Checker._based,
}
