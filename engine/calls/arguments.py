"""Arguments of function calls: the model's JSON text into a type, or a text that tells the model what is wrong.

The texts are the reference's, down to the position; of several faults, broken JSON is told before a wrong type.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from engine.calls.json_reader import Node, NotJson, position, read
from engine.turn.replies import CallFailed
from engine.wording import Fault, fault

T = TypeVar("T")


def parse(text: str, kind: type[T]) -> T:
    """Decode the arguments of a call.

    :raises CallFailed: they are not what the tool takes.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        reason = explain(text.encode(), kind) or str(error)
        raise CallFailed(f"failed to parse function arguments: {reason}") from error


def explain(data: bytes, kind: type) -> str | None:
    """What is wrong with a text of JSON, and where, in serde's words; None if it would do (the decoder is stricter in
    corners nobody meets)."""
    try:
        node = read(data)
    except NotJson as broken:
        return f"{broken.message} at {position(data, broken.at)}"
    found = fault(kind, msgspec.json.decode(data))
    if found is None:
        return None
    message, offset = _noticed(node, found)
    return f"{message} at {position(data, offset)}"


def _noticed(node: Node, found: Fault) -> tuple[str, int]:
    """What a reader of the text says, and how many bytes it has read by then."""
    for step in found.path[:-1]:
        node = node.children[step]
    if found.at == "key":
        return found.message, node.keys[str(found.path[-1])]
    for step in found.path[-1:]:
        node = node.children[step]
    if found.at == "enum":
        return "expected value", node.begin + 1
    return found.message, node.begin if found.at == "value" and node.compound else node.end
