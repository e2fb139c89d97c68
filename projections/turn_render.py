"""The items of a turn: which events show, where an item goes, and a turn from its row and its events."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import msgspec

from projections import protocol as p
from projections.item_parts import error_info
from projections.items import event_item, own_id
from projections.messages import hook_prompt
from projections.turn_rows import Slots, TurnRow
from rollouts import events as ev


def render(row: TurnRow, events: Iterable[object]) -> p.Turn:
    """The turn of a row from exactly the events that were folded into it, in order."""
    slots = Slots(row.slots.first)
    items: list[p.ThreadItem] = []
    positions: dict[str, int] = {}
    error = None
    for event in events:
        if isinstance(event, ev.ErrorEvent):
            error = p.TurnError(message=event.message, codex_error_info=error_info(event.codex_error_info))
            continue
        at = place(slots, row.id, event)
        item = event_item(event, at.item_id)
        if item is None:
            raise ValueError(f"{type(event).__name__} shows nothing and belongs to no turn")
        if at.how == "added":
            positions.setdefault(at.item_id, len(items))
            items.append(item)
        elif at.how == "replaced":
            items[positions[at.item_id]] = item
        else:
            items[-1] = _joined(items[-1], item)
    return p.Turn(
        id=row.id,
        items=items,
        status=row.status,
        error=error,
        started_at=row.started_at,
        completed_at=row.completed_at,
        duration_ms=row.duration_ms,
    )


def _joined(last: p.ThreadItem, more: p.ThreadItem) -> p.ThreadItem:
    """Neighbouring reasoning is one item."""
    if not isinstance(last, p.ReasoningThreadItem) or not isinstance(more, p.ReasoningThreadItem):
        raise TypeError("only reasoning joins")
    return p.ReasoningThreadItem(id=last.id, summary=last.summary + more.summary, content=last.content + more.content)


_REASONING = (ev.AgentReasoning, ev.AgentReasoningRawContent)
_TURN_ITEMS = (ev.ItemStarted, ev.ItemCompleted)


def shows(event: object) -> bool:
    """Whether an event makes or changes an item, told without building it."""
    told = _SHOWS.get(type(event))
    return told is None or told(event)


def _is_named(event: object) -> bool:
    return own_id(event) is not None


_SHOWS: Mapping[type, Callable[[Any], bool]] = {
    ev.AgentMessage: lambda event: bool(event.message),
    ev.AgentReasoning: lambda event: bool(event.text),
    ev.AgentReasoningRawContent: lambda event: bool(event.text),
    ev.Message: lambda event: bool(hook_prompt(event)),
    ev.GuardianAssessment: _is_named,
    ev.ItemStarted: _is_named,
    ev.ItemCompleted: _is_named,
}
"""Events that show something only sometimes."""


class Place(msgspec.Struct, frozen=True):
    """Where an item goes: at the end, in place of the one with its id, or into the last, which takes reasoning."""

    how: Literal["added", "replaced", "joined"]
    item_id: str = ""


def place(slots: Slots, turn_id: str, event: object) -> Place:
    """Give the event's item its id and its place in the turn."""
    if isinstance(event, _REASONING):
        return Place("joined") if slots.reasoning else Place("added", slots.number(reasoning=True))
    item_id = own_id(event)
    if isinstance(event, ev.Message):
        item_id = event.id or _made_id(turn_id, len(slots))
    if item_id is None:
        return Place("added", slots.number(reasoning=False))
    item = event.item if isinstance(event, _TURN_ITEMS) else None
    added = slots.put(item_id, reasoning=isinstance(item, ev.ReasoningItem))
    return Place("added" if added else "replaced", item_id)


def _made_id(turn_id: str, position: int) -> str:
    """A UUID for a hook prompt, whose own id is not written; the same whenever the turn is rebuilt."""
    digest = hashlib.blake2b(f"{turn_id}/{position}".encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:]}"
