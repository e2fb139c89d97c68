"""The model's history, folded from lines: what the next request sends and what a rollback or compaction leaves of it.

Response items count in order; a compaction replaces everything before it; a rollback of n drops everything from the
n-th last user message on, together with the context messages right before it (thread-lifecycle.md 10 and 16). History
is as if the dropped lines had never been written: a rolled-back compaction gives back what it had replaced.

The fold keeps the live window only, that is what came since the newest compaction that carries its replacement. A
rollback that reaches behind it makes the window `stale`: walk back again with `window_tail.from_tail`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import TypeAlias

import msgspec

from projections.window_items import (
    WindowItem,
    compacted_history,
    estimate,
    user_texts,
    window_item,
    window_items,
)
from rollouts import codec
from rollouts import events as ev


class StaleWindow(Exception):
    """The window does not hold the lines a rollback left; `window_tail.from_tail` finds them."""


class _Turn(Enum):
    """Where a turn started: the context lines of a turn go with its user message. And where another one ended."""

    START = "started"
    STRANGE_END = "ended under another id"


class _Context(msgspec.Struct, frozen=True):
    """A `turn_context` line and where it stands."""

    line: ev.TurnContext
    position: int


class _Compaction(msgspec.Struct, frozen=True):
    """A compaction: what it left, or None for those of old files, which kept the user messages instead."""

    items: list[WindowItem] | None
    message: str
    position: int


_ENDS = (ev.TaskComplete, ev.TurnAborted)
_Entry: TypeAlias = WindowItem | _Context | _Compaction | _Turn


class Window:
    """The fold. `apply` every line body in order; then read `items`, `context`, `previous_context`.

    `base` is the position of the compaction the window stands on, None when it goes back to the first line.
    `compactions` counts those seen, rolled back or not; it is the thread's number only if `counted` (the fold began at
    the first line, or was told). `behind_known` says whether the newest context line before the base is known, be it
    that there is none. With `whole` nothing is let go and nothing gets stale, until `finish`.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self.base: int | None = None
        self.stale = False
        self.compactions = 0
        self.counted = True
        self._whole = whole
        self._started = ""
        """Id of the newest turn, if it started in what was folded."""
        self._replacement: list[WindowItem] = []
        self._entries: list[_Entry] = []
        self.behind_known = True
        self._behind: _Context | None = None
        self._items: list[WindowItem] | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Window) and self.view() == other.view()

    __hash__ = None  # type: ignore[assignment]

    def view(self) -> tuple[object, ...]:
        """Everything that can be seen of the window, for comparison."""
        if self.stale:
            return (True,)
        return (self.base, self.items, self.context, self.previous_context)

    @property
    def items(self) -> list[WindowItem]:
        """The history, oldest first. Do not change it.

        :raises StaleWindow: the history has to be found again from the end of the log.
        """
        if self.stale:
            raise StaleWindow("a rollback went behind the window: walk back with from_tail")
        if self._items is None:
            self._items = self._folded()
        return self._items

    @property
    def context(self) -> ev.TurnContext | None:
        """What the model was last told about its surroundings; None: it needs to be told everything again."""
        for entry in reversed(self._entries):
            if isinstance(entry, _Context):
                return entry.line
            if isinstance(entry, _Compaction):
                return None
        return None

    @property
    def context_from_log(self) -> ev.TurnContext | None:
        """The same, as somebody knows it who has the log alone.

        A turn that ends under another id than it started with, as reviews do, hides the contexts before its end from
        the reference when it reads a log (observed): everything is told again.
        """
        for entry in reversed(self._entries):
            if entry is _Turn.STRANGE_END:
                return None
            if isinstance(entry, _Context):
                break
        return self.context

    @property
    def previous_context(self) -> ev.TurnContext | None:
        """The settings of the newest turn that was not rolled back, also behind a compaction."""
        context = _newest_context(self._entries) or self._behind
        return None if context is None else context.line

    @property
    def behind(self) -> int | None:
        """Where the newest context line before the base stands, for a checkpoint; None when not known or none."""
        return None if self._behind is None else self._behind.position

    def copy(self) -> Window:
        """The same window, to fold on without changing this one."""
        twin = Window()
        vars(twin).update(vars(self))
        twin._entries = list(self._entries)
        twin._items = None
        return twin

    def bodies(self) -> Iterator[ev.Body]:
        """Lines that fold to this history, with the same context; where turns began is not among them.

        :raises StaleWindow: the history has to be found again from the end of the log.
        """
        if self.stale:
            raise StaleWindow("a rollback went behind the window: walk back with from_tail")
        if self._behind is not None:
            yield self._behind.line
        if self.base is not None:
            yield ev.Compacted(message="", replacement_history=_raw(self._replacement))
        for entry in self._entries:
            if isinstance(entry, WindowItem):
                yield codec.decode_item(entry.raw)
            elif isinstance(entry, _Context):
                yield entry.line
            elif isinstance(entry, _Compaction):
                kept = None if entry.items is None else _raw(entry.items)
                yield ev.Compacted(message=entry.message, replacement_history=kept)

    def estimate(self, instructions: str) -> int:
        """Estimated tokens of the history with these base instructions."""
        return estimate(self.items, instructions)

    def user_texts(self) -> list[str]:
        """What users said, for a compaction to keep."""
        return user_texts(self.items)

    def apply(self, body: ev.Body, position: int = 0) -> None:
        """Fold one line body that stands at `position`. A stale window only counts compactions."""
        if self.stale:
            self.compactions += isinstance(body, ev.Compacted)
            return
        if isinstance(body, ev.ResponseItem):
            item = window_item(body)
            if item is not None:
                self._append(item)
        elif isinstance(body, ev.Compacted):
            self._compact(body, position)
        elif isinstance(body, ev.ThreadRolledBack):
            self._roll_back(body.num_turns)
        elif isinstance(body, ev.TurnContext):
            self._entries.append(_Context(body, position))
        elif isinstance(body, ev.TaskStarted):
            self._entries.append(_Turn.START)
            self._started = body.turn_id
        elif isinstance(body, _ENDS) and self._started and body.turn_id not in (None, self._started):
            self._entries.append(_Turn.STRANGE_END)

    def finish(self) -> None:
        """Let go of what is behind the newest compaction, after a fold with `whole`."""
        self._whole = False
        bases = (i for i in range(len(self._entries) - 1, -1, -1) if _replacement(self._entries[i]) is not None)
        self._stand_on(next(bases, None))

    def set_behind(self, line: ev.TurnContext | None, position: int | None, *, known: bool) -> None:
        """Tell what the newest context line before the base is, if it was not folded."""
        self._behind = None if line is None or position is None else _Context(line, position)
        self.behind_known = known

    def _append(self, item: WindowItem) -> None:
        self._entries.append(item)
        if self._items is not None:
            self._items.append(item)

    def _compact(self, line: ev.Compacted, position: int) -> None:
        self.compactions += 1
        self._items = None
        items = None if line.replacement_history is None else window_items(line.replacement_history)
        self._entries.append(_Compaction(items, line.message, position))
        if items is not None and not self._whole:
            self._stand_on(len(self._entries) - 1)

    def _stand_on(self, at: int | None) -> None:
        """Make the compaction at this entry the base, and let go of what is before it."""
        if at is None:
            return
        compaction = self._entries[at]
        if not isinstance(compaction, _Compaction) or compaction.items is None:
            raise TypeError("not a compaction with its replacement")
        context = _newest_context(self._entries[:at])
        if context is not None:
            self._behind, self.behind_known = context, True
        self.base = compaction.position
        self._replacement = compaction.items
        del self._entries[: at + 1]
        self._items = None

    def _roll_back(self, count: int) -> None:
        users = [at for at, entry in enumerate(self._entries) if isinstance(entry, WindowItem) and entry.user]
        if count <= 0 or (self.base is None and not users):
            return
        if self.base is not None and (count > len(users) or _Turn.START not in self._entries[: users[-count]]):
            self.stale = True  # the message, or the start of its turn, is behind the base
            return
        self._cut(users[-count] if count <= len(users) else users[0])
        if not self.behind_known and _newest_context(self._entries) is None:
            self.stale = True

    def _cut(self, at: int) -> None:
        """Drop the entries from `at` on, the context lines of the turn they belong to, and its context messages.

        Context messages before the very first user message stay, as the reference leaves them.
        """
        kept = self._entries[:at]
        keeps_messages = self.base is None and not any(map(_is_boundary, kept))
        turn = next((i for i in range(at - 1, -1, -1) if kept[i] is _Turn.START), 0)
        dropped = {i for i in range(turn, at) if isinstance(kept[i], _Context)}
        for i in range(at - 1, -1, -1):
            entry = kept[i]
            if isinstance(entry, _Compaction) or (isinstance(entry, WindowItem) and not entry.context):
                break
            if isinstance(entry, WindowItem) and not keeps_messages:
                dropped.add(i)
        self._entries = [entry for i, entry in enumerate(kept) if i not in dropped]
        self._items = None

    def _folded(self) -> list[WindowItem]:
        history = list(self._replacement)
        for entry in self._entries:
            if isinstance(entry, WindowItem):
                history.append(entry)
            elif isinstance(entry, _Compaction):
                replaced = None if entry.items is None else list(entry.items)
                history = _summarised(history, entry.message) if replaced is None else replaced
        return history


def _raw(items: Iterable[WindowItem]) -> tuple[msgspec.Raw, ...]:
    return tuple(msgspec.Raw(item.raw) for item in items)


def _newest_context(entries: Sequence[_Entry]) -> _Context | None:
    return next((entry for entry in reversed(entries) if isinstance(entry, _Context)), None)


def _replacement(entry: _Entry) -> list[WindowItem] | None:
    return entry.items if isinstance(entry, _Compaction) else None


def _is_boundary(entry: _Entry) -> bool:
    return isinstance(entry, _Compaction) or (isinstance(entry, WindowItem) and entry.user)


def _summarised(history: list[WindowItem], summary: str) -> list[WindowItem]:
    """What a compaction of old files left."""
    messages = compacted_history(user_texts(history), summary)
    return [item for message in messages if (item := window_item(message)) is not None]


def request_items(window: Window | Iterable[WindowItem]) -> list[msgspec.Raw]:
    """The history as a request carries it: every call has an output, every output a call.

    A call without one is followed by the output `aborted`; an output without its call is left out. Takes a window, or
    items of one (a compaction that had to drop some).
    """
    items = window.items if isinstance(window, Window) else list(window)
    calls = {(_OUTPUT_OF[item.kind], item.call_id) for item in items if item.kind in _OUTPUT_OF}
    answered = {(item.kind, item.call_id) for item in items}
    result: list[msgspec.Raw] = []
    for item in items:
        answer = (item.kind, item.call_id)
        if item.kind in _MAKE_ABORTED and answer not in calls and not _is_servers(item):
            continue
        result.append(msgspec.Raw(item.raw))
        output = _OUTPUT_OF.get(item.kind)
        if output is not None and item.call_id is not None and (output, item.call_id) not in answered:
            result.append(msgspec.Raw(codec.encode_item(_MAKE_ABORTED[output](item.call_id))))
    return result


def without(items: Sequence[WindowItem], at: int) -> list[WindowItem]:
    """The items but for the one at `at` and the call or output that goes with it."""
    gone = items[at]
    left = [*items[:at], *items[at + 1 :]]
    partners = _PARTNERS.get(gone.kind, ()) if gone.call_id is not None else ()
    for place, item in enumerate(left):
        if item.kind in partners and item.call_id == gone.call_id:
            del left[place]
            break
    return left


def _is_servers(item: WindowItem) -> bool:
    """Tool searches of the server's own have no call to go with."""
    if item.kind != "tool_search_output":
        return False
    found = codec.decode_item(item.raw)
    return item.call_id is None or (isinstance(found, ev.ToolSearchOutput) and found.execution == "server")


_OUTPUT_OF = {
    "function_call": "function_call_output",
    "local_shell_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
    "tool_search_call": "tool_search_output",
}
_PARTNERS = {
    **{call: (output,) for call, output in _OUTPUT_OF.items()},
    **{output: tuple(call for call, other in _OUTPUT_OF.items() if other == output) for output in _OUTPUT_OF.values()},
}
_MAKE_ABORTED: Mapping[str, Callable[[str], ev.ResponseItem]] = {
    "function_call_output": lambda call_id: ev.FunctionCallOutput(call_id=call_id, output="aborted"),
    "custom_tool_call_output": lambda call_id: ev.CustomToolCallOutput(call_id=call_id, output="aborted"),
    "tool_search_output": lambda call_id: ev.ToolSearchOutput(
        call_id=call_id, status="completed", execution="client", tools=()
    ),
}
