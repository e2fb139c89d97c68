"""The history as a request carries it: tool outputs shortened to the model's policy and in the form the model reads,
images only for models that take them.

The log keeps what there was. Only a request is changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from engine.model.info import ModelInfo, Truncation
from engine.processes.frames import shorten_for_history
from projections.truncate import BYTES_PER_TOKEN
from rollouts import codec
from rollouts import events as ev

_COUNTED = re.compile(r"Total output lines: (\d+)\n\n?")
_NAMES = frozenset({"shell", "container.exec", "apply_patch"})
_HEAD = 40
"""Bytes at the start of an item that hold its type."""

_OMITTED = "image content omitted because you do not support image input"
_Part = TypeVar("_Part")

Output = ev.FunctionCallOutput | ev.CustomToolCallOutput


def for_request(items: Iterable[msgspec.Raw], model: ModelInfo) -> list[msgspec.Raw]:
    """The items with what the model cannot take changed; everything else is passed on untouched."""
    calls: set[str] = set()
    structured = model.apply_patch_tool_type == "freeform"
    policy = model.truncation_policy
    limit = policy.limit * (BYTES_PER_TOKEN if policy.mode == "tokens" else 1)
    result = []
    for raw in items if model.accepts_images else map(_without_images, items):
        head = bytes(memoryview(raw)[:_HEAD])
        if b"_call" not in head:
            result.append(raw)
            continue
        if b"_output" not in head:
            if structured:
                _note(codec.decode_item(raw), calls)
            result.append(raw)
            continue
        if len(bytes(raw)) > limit or calls:
            item = codec.decode_item(raw)
            if isinstance(item, Output):
                raw = _changed(raw, item, policy, item.call_id in calls)
        result.append(raw)
    return result


def _without_images(raw: msgspec.Raw) -> msgspec.Raw:
    """The item for a model that takes no images: a text stands in their place."""
    data = bytes(raw)
    if b'"input_image"' not in data and b'"image_generation_call"' not in data:
        return raw
    item = codec.decode_item(raw)
    match item:
        case ev.Message():
            item = msgspec.structs.replace(item, content=tuple(map(_text_for_image, item.content)))
        case ev.FunctionCallOutput(output=tuple(parts)) | ev.CustomToolCallOutput(output=tuple(parts)):
            item = msgspec.structs.replace(item, output=tuple(map(_text_for_image, parts)))
        case ev.ImageGenerationCall():
            item = msgspec.structs.replace(item, result="")
        case _:
            return raw
    return msgspec.Raw(codec.encode_item(item))


def _text_for_image(part: _Part) -> _Part | ev.InputText:
    return ev.InputText(_OMITTED) if isinstance(part, ev.InputImage) else part


def _note(item: object, calls: set[str]) -> None:
    """Remember the calls whose outputs are JSON that some models read as lines."""
    match item:
        case ev.FunctionCall(name=name, call_id=call_id) | ev.CustomToolCall(name=name, call_id=call_id):
            if name in _NAMES:
                calls.add(call_id)
        case ev.LocalShellCall(call_id=str(call_id)):
            calls.add(call_id)


def _changed(raw: msgspec.Raw, item: Output, policy: Truncation, structured: bool) -> msgspec.Raw:
    output = _shortened(item.output, policy)
    if structured and isinstance(output, str):
        output = _lines(output) or output
    if output == item.output:
        return raw
    return msgspec.Raw(codec.encode_item(msgspec.structs.replace(item, output=output)))


def _shortened(output: ev.OutputBody, policy: Truncation) -> ev.OutputBody:
    if isinstance(output, str):
        return shorten_for_history(output, policy)
    return tuple(
        ev.InputText(shorten_for_history(part.text, policy)) if isinstance(part, ev.InputText) else part
        for part in output
    )


class _Metadata(msgspec.Struct):
    exit_code: int
    duration_seconds: float


class _Told(msgspec.Struct):
    output: str
    metadata: _Metadata


def _lines(output: str) -> str | None:
    try:
        told = msgspec.json.decode(output, type=_Told)
    except (msgspec.DecodeError, RecursionError):
        return None
    seconds = f"{told.metadata.duration_seconds:g}"
    counted = _COUNTED.match(told.output)
    head = [f"Exit code: {told.metadata.exit_code}", f"Wall time: {seconds} seconds"]
    if counted is not None:
        head.append(f"Total output lines: {int(counted[1])}")
    return "\n".join([*head, "Output:", told.output[counted.end() :] if counted else told.output])
