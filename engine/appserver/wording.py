"""Why params did not decode, in the reference's words (`engine.wording`). Cold path only."""

from __future__ import annotations

from typing import Any

import msgspec

from engine import wording
from engine.errors import BadRequest
from engine.wording import fault, wrong_type


def explain(text: bytes, expected: Any, error: ValueError) -> str:
    """The reference's text for JSON that does not decode to a type; the decoder's own when the walk finds no fault."""
    try:
        value = msgspec.json.decode(text)
    except ValueError:
        return str(error)
    found = fault(expected, value, buffered=True)
    return found.message if found else str(error)


def by_name(text: bytes, struct: type[msgspec.Struct]) -> bytes:
    """Params by name, given as a list.

    :raises BadRequest: one does not fit, or the list has not the length that the reference takes.
    """
    try:
        values = msgspec.json.decode(text)
    except ValueError as error:
        raise BadRequest(f"Invalid request: {error}") from None
    if found := fault(struct, values, buffered=True):
        raise BadRequest(f"Invalid request: {found.message}")
    return msgspec.json.encode(wording.by_name(struct, values))


def check_unit(text: bytes) -> None:
    """Accept the params of a method that takes none: absent, null or an empty object.

    :raises BadRequest: for anything else.
    """
    try:
        value = msgspec.json.decode(text) if text else None
    except ValueError as error:
        raise BadRequest(f"Invalid request: {error}") from None
    if value is not None and value != {}:
        raise BadRequest(f"Invalid request: {wrong_type(value, 'unit').message}")
