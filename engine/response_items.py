"""Response items that clients hand in: decoded, or refused by position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from engine.errors import BadRequest
from engine.wording import Fault, fault, wrong_type
from rollouts import codec
from rollouts import events as ev


def parse_items(given: Sequence[msgspec.Raw], refusal: str) -> list[ev.ResponseItem]:
    """The items; those of a type this version does not know are dropped.

    :param refusal: text of the error: `{0}` is the position of the first item that does not decode, `{1}` says why.
    :raises BadRequest: with that text.
    """
    items: list[ev.ResponseItem] = []
    for position, raw in enumerate(given):
        if found := _fault(msgspec.json.decode(raw)):
            raise BadRequest(refusal.format(position, found.message))
        item = codec.decode_item(raw)
        if isinstance(item, ev.Unknown):
            raise BadRequest(refusal.format(position, codec.item_error(raw)))
        if isinstance(item, ev.ResponseItem):
            items.append(item)
    return items


def _fault(value: Any) -> Fault | None:
    if not isinstance(value, dict | list):
        return wrong_type(value, "internally tagged enum ResponseItem")
    if ("type" not in value) if isinstance(value, dict) else not value:
        return Fault("missing field `type`")
    tag = value["type"] if isinstance(value, dict) else value[0]
    if not isinstance(tag, str):
        return wrong_type(tag, "variant identifier")
    known = codec.item_type(tag)
    return fault(known, value, buffered=True) if known else None
