"""The timeline: one entry for each line that tells something, in words for people and fields for programs.

What the reference writes twice, as an event and as a response item, is told once; what a line means only together with
earlier ones (which call it is about, whether a turn failed, what changed) is found out here. Nothing is decided, only
told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from projections.turns import affects_turn
from rollouts import codec
from rollouts import events as ev
from rollouts.lines import Record
from tools.replaying.brief import brief, one_line
from tools.replaying.telling import Kind, Told, seconds, settings, tell


class Entry(Struct, frozen=True, omit_defaults=True):
    """One line, told.

    `line` counts from 1, `offset` is where it begins in bytes, `time` as written ("" for a damaged line), `turn` the
    id of the turn it belongs to, `call` the id of the call it is about. A `detail` is left out unless asked for.
    """

    line: int
    offset: int
    time: str
    kind: Kind
    text: str
    turn: str | None = None
    call: str | None = None
    detail: bool = False


def entries(records: Iterable[Record]) -> Iterator[Entry]:
    """The timeline of lines from the start of a rollout."""
    teller = Teller()
    for number, record in enumerate(records, 1):
        yield from teller.tell(number, record)
    yield from teller.rest()


class Teller:
    """Tells lines one after the other; remembers the open turn, open calls and what was told last."""

    def __init__(self) -> None:
        self._thread = ""
        self._turn: str | None = None
        self._parsed = 0
        self._echoes: dict[Kind, tuple[bool, str]] = {}
        self._said: set[Kind] = set()
        self._calls: dict[str, str] = {}
        self._settings = ""
        self._total = 0
        self._held: Entry | None = None

    def tell(self, number: int, record: Record) -> list[Entry]:
        """What the next line tells; the words of a user outside of a turn come one line later, as it may open one."""
        turn = self._turn
        entry = self._entry(number, record)
        told = self.rest()
        if told and entry is None and self._turn != turn:
            told = [replace(told[0], turn=self._turn)]
        if entry is not None and entry.kind == "user" and (entry.turn is None or entry.turn.startswith(IMPLICIT)):
            self._held = entry
        elif entry is not None:
            told.append(entry)
        return told

    def rest(self) -> list[Entry]:
        """What was held back, if nothing comes any more."""
        held, self._held = self._held, None
        return [] if held is None else [held]

    def _entry(self, number: int, record: Record) -> Entry | None:
        line = codec.decode(record.data)
        if isinstance(line, codec.BadLine):
            if not record.data.strip():
                return None
            text = "torn last line" if record.torn else line.reason
            return Entry(number, record.offset, "", "damaged", text, self._turn)
        told = self._told(line.body)
        self._parsed += codec.counts(line.body)
        if told is None:
            return None
        turn = told.turn or self._turn
        return Entry(number, record.offset, line.timestamp, told.kind, told.text, turn, told.call, told.detail)

    def _told(self, body: ev.Body) -> Told | None:
        self._follow(body)
        match body:
            case ev.SessionMeta():
                return self._meta(body)
            case ev.TokenCount():
                return self._usage(body)
            case ev.TurnContext():
                return self._context(body)
            case ev.TaskComplete() | ev.TurnAborted():
                end = self._end(body)
                self._turn = None
                return end
        told = tell(body)
        if told is None or self._is_echo(told, isinstance(body, ev.ResponseItem)):
            return None
        if told.kind != "error" or not isinstance(body, ev.ErrorEvent) or affects_turn(body.codex_error_info):
            self._said.add(told.kind)
        return self._about_call(told)

    def _follow(self, body: ev.Body) -> None:
        """Keep track of the open turn, also of those that no event opens (spec thread-lifecycle 15)."""
        if isinstance(body, ev.TaskStarted):
            self._turn = body.turn_id
            self._echoes.clear()
            self._said.clear()
        elif isinstance(body, ev.UserMessage) and (self._turn is None or self._turn.startswith(IMPLICIT)):
            self._turn = f"{IMPLICIT}{self._parsed}"
            self._said.clear()

    def _is_echo(self, told: Told, item: bool) -> bool:
        """Whether the other form of the same words was told before."""
        if told.kind not in _ECHOED:
            return False
        before = self._echoes.get(told.kind)
        if before is not None and before[0] != item and told.text and told.text in before[1]:
            return True
        known = before[1] + "\n" if before is not None and before[0] == item else ""
        self._echoes[told.kind] = (item, known + told.text)
        return False

    def _about_call(self, told: Told) -> Told:
        """Say which call it is, where that is not plain: of several open ones, and where only an id is given."""
        if told.call is None:
            return told
        if told.kind == "call":
            self._calls[told.call] = one_line(brief("call", told.text[:_CALL_LENGTH]), _CALL_WIDTH)
            return told
        several = len(self._calls) > 1
        call = self._calls.pop(told.call, None) if told.kind == "output" else self._calls.get(told.call)
        if call is None or (told.kind == "output" and not several):
            return told
        text = f"[{call}] {told.text}" if told.kind == "output" else f"{told.text}: {call}"
        return replace(told, text=text)

    def _meta(self, body: ev.SessionMeta) -> Told:
        if self._thread and body.id != self._thread:
            return Told("thread", f"what was said before the fork, copied from {body.id}")
        again, self._thread = bool(self._thread), body.id
        if again:
            return Told("thread", f"memory mode {body.memory_mode or 'default'}")
        origin = f", fork of {body.forked_from_id}" if body.forked_from_id else ""
        role = "".join(f", {name}" for name in (body.agent_nickname, body.agent_role) if name)
        return Told("thread", f"{body.id} by {body.originator} {body.cli_version} in {body.cwd}{role}{origin}")

    def _context(self, body: ev.TurnContext) -> Told:
        """The settings are told when they are others than before."""
        before, self._settings = self._settings, settings(body)
        same = self._settings == before
        return Told("context" if same else "settings", self._settings, detail=same)

    def _end(self, body: ev.TaskComplete | ev.TurnAborted) -> Told:
        took = seconds(body.duration_ms)
        if isinstance(body, ev.TurnAborted):
            return Told("end", f"{body.reason}{took}", turn=body.turn_id)
        outcome = "completed"
        if "error" in self._said:
            outcome = "failed"
        elif body.last_agent_message is None and "user" in self._said and "agent" not in self._said:
            outcome = "ended without an answer"
        return Told("end", f"{outcome}{took}", turn=body.turn_id)

    def _usage(self, body: ev.TokenCount) -> Told | None:
        if body.info is None:
            return Told("usage", "rate limits only", detail=True)
        total, last = body.info.total_token_usage.total_tokens, body.info.last_token_usage
        if total == self._total:
            return Told("usage", f"{total:,} tokens, as before", detail=True)
        self._total = total
        cached = f" ({last.cached_input_tokens:,} cached)" if last.cached_input_tokens else ""
        return Told("usage", f"{last.input_tokens:,} tokens in{cached}, {last.output_tokens:,} out; {total:,} so far")


IMPLICIT: Final = "rollout-"
"""How ids of turns begin that no event opens."""

_ECHOED: Final = ("user", "agent", "reasoning")
_CALL_LENGTH: Final = 4000
_CALL_WIDTH: Final = 80
