"""Response items that clients hand in: decoded, or refused by position."""

from __future__ import annotations

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
        item = codec.decode_item(raw)
        if isinstance(item, ev.Unknown):
            raise BadRequest(f"{where}[{position}] is not a valid response item: {_why(raw)}")
        if isinstance(item, ev.ResponseItem):
            items.append(item)
    return items


def _why(raw: msgspec.Raw) -> str:
    try:
        msgspec.json.decode(raw, type=codec.Item)
    except msgspec.MsgspecError as error:
        return str(error)
    return "unknown variant"
