"""Outputs of shell and patch tools as models with a free-text patch tool read them.

The log keeps the JSON that the tool gave; such models get its parts as lines instead (observed).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from rollouts import codec
from rollouts import events as ev

_NAMES = frozenset({"shell", "container.exec", "apply_patch"})


class _Metadata(msgspec.Struct):
    exit_code: int
    duration_seconds: float


class _Output(msgspec.Struct):
    output: str
    metadata: _Metadata


def structured_outputs(items: Iterable[msgspec.Raw]) -> list[msgspec.Raw]:
    """The items of a request with those outputs rewritten; everything else is passed on untouched."""
    calls: set[str] = set()
    result = []
    for raw in items:
        item = codec.decode_item(raw) if b"_call" in bytes(raw)[:40] else None
        if (isinstance(item, ev.FunctionCall | ev.CustomToolCall) and item.name in _NAMES) or (
            isinstance(item, ev.LocalShellCall) and item.call_id is not None
        ):
            calls.add(item.call_id)
        if isinstance(item, ev.FunctionCallOutput | ev.CustomToolCallOutput) and item.call_id in calls:
            text = _lines(item.output) if isinstance(item.output, str) else None
            if text is not None:
                raw = msgspec.Raw(codec.encode_item(msgspec.structs.replace(item, output=text)))
        result.append(raw)
    return result


def _lines(output: str) -> str | None:
    try:
        told = msgspec.json.decode(output, type=_Output)
    except msgspec.DecodeError:
        return None
    seconds = f"{told.metadata.duration_seconds:g}"
    return f"Exit code: {told.metadata.exit_code}\nWall time: {seconds} seconds\nOutput:\n{told.output}"
