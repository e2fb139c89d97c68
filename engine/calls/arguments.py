"""Arguments of function calls: the model's JSON text into a type, or a text that tells the model what is wrong."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from engine.turn.replies import CallFailed

T = TypeVar("T")


def parse(text: str, kind: type[T]) -> T:
    """Decode the arguments of a call.

    :raises CallFailed: they are not what the tool takes.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        raise CallFailed(f"failed to parse function arguments: {error}") from error
