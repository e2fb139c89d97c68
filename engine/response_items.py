"""Response items that clients hand in: decoded, or refused by position."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from engine.errors import BadRequest
from rollouts import codec
from rollouts import events as ev


def parse_items(given: Sequence[msgspec.Raw], where: str) -> list[ev.ResponseItem]:
    """The items; those of a type this version does not know are dropped.

    :param where: name of the member, for the error.
    :raises BadRequest: naming the first item that does not decode.
    """
    items: list[ev.ResponseItem] = []
    for position, raw in enumerate(given):
        reason = _shape(raw)
        item = None if reason else codec.decode_item(raw)
        if reason or isinstance(item, ev.Unknown):
            raise BadRequest(f"{where}[{position}] is not a valid response item: {reason or _why(raw)}")
        if isinstance(item, ev.ResponseItem):
            items.append(item)
    return items


def _shape(raw: msgspec.Raw) -> str | None:
    """Why this cannot be an item of any type."""
    value = msgspec.json.decode(raw)
    if not isinstance(value, dict):
        return f"invalid type: {_named(value)}, expected internally tagged enum ResponseItem"
    if not isinstance(value.get("type"), str):
        return "missing field `type`"
    return None


def _named(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return f"boolean `{str(value).lower()}`"
        case int():
            return f"integer `{value}`"
        case float():
            return f"floating point `{value}`"
        case str():
            return f'string "{value}"'
    return "sequence"


def _why(raw: msgspec.Raw) -> str:
    """Why an item of a known type does not decode."""
    said = codec.item_error(raw)
    missing = _MISSING.search(said)
    return f"missing field `{missing[1]}`" if missing else said


_MISSING = re.compile(r"missing required field `([^`]*)`")
