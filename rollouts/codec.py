"""Between bytes and events: lenient when reading, exact when writing. It never raises over what a file holds.

Reading looks at the head of a line first: the reference writes `timestamp`, `type`, `payload` in this order and
a payload's own `type` first, so one anchored match names the event and the whole line is decoded straight into
its Struct. Any other order of keys takes the slower way through an envelope with a raw payload. A type nobody
knows is data (`ev.Unknown`), not an error. Rules: rollout-format.md 2, 4, 5 and 10.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, TypeAlias, cast

import msgspec

from rollouts import events as ev
from rollouts import settings


class Line(msgspec.Struct, frozen=True, gc=False):
    """A line that could be read; `timestamp` is the text as written, sensible or not."""

    timestamp: str
    body: ev.Body


class BadLine(msgspec.Struct, frozen=True, gc=False):
    """A line that is no envelope at all: the reference skips it, `replay --check` reports the reason."""

    reason: str


Item: TypeAlias = ev.ResponseItem | ev.OtherItem
Names: TypeAlias = tuple[str, str | None]

_UNTAGGED: Final[dict[str, type[msgspec.Struct]]] = {
    "session_meta": ev.SessionMeta,
    "turn_context": ev.TurnContext,
    "compacted": ev.Compacted,
    "session_state": ev.SessionState,
}


def _by_tag(base: type[msgspec.Struct]) -> dict[str, type[msgspec.Struct]]:
    return {str(cls.__struct_config__.tag): cls for cls in base.__subclasses__()}


_TAGGED: Final[dict[str, dict[str, type[msgspec.Struct]]]] = {
    "event_msg": _by_tag(ev.EventMsg),
    "response_item": _by_tag(ev.ResponseItem),
    "engine_event": _by_tag(ev.EngineEvent),
}
_CLASSES: Final[dict[Names, type[msgspec.Struct]]] = {(outer, None): cls for outer, cls in _UNTAGGED.items()} | {
    (outer, tag): cls for outer, classes in _TAGGED.items() for tag, cls in classes.items()
}
_OUTER: Final = {cls: outer for (outer, _), cls in _CLASSES.items()}
# Other names under which the reference reads an event; it writes the first.
_ALIASES: Final[dict[str, str]] = {
    "turn_started": "task_started",
    "turn_complete": "task_complete",
    "compaction_summary": "compaction",
}
_ITEM_EVENTS: Final = frozenset({ev.ItemStarted, ev.ItemCompleted})
# What 0.125.0 cannot read: our own lines and those of other versions.
_NOT_COUNTED: Final = frozenset(
    {
        ev.Unknown,
        *_TAGGED["engine_event"].values(),
        ev.SessionState,
        ev.ThreadSettingsApplied,
        ev.McpToolCallProgress,
    }
)
# The server's id is dropped where the class allows none; image generation calls need theirs.
_DROPS_ID: Final = frozenset(
    cls
    for cls in _TAGGED["response_item"].values()
    if any(field.name == "id" and not field.required for field in msgspec.structs.fields(cls))
)

# Anchored, so that text inside a string or a nested object can never be taken for a type.
_HEAD: Final = re.compile(
    rb'\{"timestamp":"[^"\\]*",(?:"ordinal":\d+,)?"type":"(\w+)","payload":\{(?:"type":"(\w+)"[,}])?'
)


_KNOWN: Final[dict[tuple[bytes | None, ...], Names]] = {
    (outer.encode(), tag.encode() if tag else None): (outer, tag) for outer, tag in _CLASSES
}


class _Envelope(msgspec.Struct, gc=False):
    timestamp: str
    type: str
    payload: msgspec.Raw


class _Tag(msgspec.Struct, gc=False):
    type: str


class _Written(msgspec.Struct, gc=False):
    timestamp: str
    type: str
    payload: Any


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_TAG: Final = msgspec.json.Decoder(_Tag)
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODER: Final = msgspec.json.Encoder()
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def decode(raw: bytes) -> Line | BadLine:
    """Read one line, with or without its line end."""
    if not raw.isascii():
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            return BadLine(f"not UTF-8: {error.reason} at byte {error.start}")
    found = _HEAD.match(raw)
    cls = _WHOLE.get(found.groups()) if found is not None else None
    if cls is not None:
        try:
            line = _line_decoder(cls)(raw)
        except _UNREADABLE:
            pass  # the envelope below tells a bad payload from a bad line
        else:
            if line.type == _OUTER[cls]:
                return Line(line.timestamp, line.payload)
    try:
        envelope = _ENVELOPE.decode(raw)
    except _UNREADABLE as error:
        return BadLine(str(error))
    return Line(envelope.timestamp, _body(envelope.type, envelope.payload))


def decode_item(raw: bytes | msgspec.Raw) -> Item | ev.Unknown:
    """Read one response item, as in `replacement_history` or from a client; `Unknown` when it is not one."""
    return cast("Item | ev.Unknown", _body("response_item", msgspec.Raw(raw)))


def item_type(tag: str) -> type[msgspec.Struct] | None:
    """The Struct of response items with this tag; None for a tag this version does not know."""
    return _CLASSES.get(("response_item", _ALIASES.get(tag, tag)))


def item_error(raw: bytes | msgspec.Raw) -> str:
    """Why an item of a known type is not one, in msgspec's words; "" if it is one."""
    cls = _CLASSES.get(("response_item", _subtype("response_item", msgspec.Raw(raw))))
    try:
        if cls is not None:
            _payload_decoder(cls)(msgspec.Raw(raw))
    except _UNREADABLE as error:
        return str(error)
    return ""


def head(raw: bytes) -> Names | None:
    """Type and payload type of a line, mostly from its first bytes alone; None when it is no line.

    Only `event_msg`, `response_item` and `engine_event` have a payload type. The rest of the line is looked at
    only when the head does not tell, so a torn line may have a head and still not decode.
    """
    names = _head(raw)
    if names is not None:
        return names
    try:
        envelope = _ENVELOPE.decode(raw)
    except _UNREADABLE:
        return None
    return envelope.type, _subtype(envelope.type, envelope.payload)


def encode(body: ev.Body, timestamp: str) -> bytes:
    """One line with its line end, byte for byte as the reference writes it; `timestamp` is RFC 3339 with ms."""
    if isinstance(body, ev.Unknown):
        return _ENCODER.encode(_Written(timestamp, body.type, body.payload)) + b"\n"
    if isinstance(body, ev.OtherItem):
        return _ENCODER.encode(_Written(timestamp, "response_item", body.payload)) + b"\n"
    line = _Written(timestamp, _OUTER[type(body)], _for_line(body))
    return _compact(_ENCODER.encode(line)) + b"\n"


def encode_item(item: Item) -> bytes:
    """The payload alone, as it stands in a line and in the model's history."""
    if isinstance(item, ev.OtherItem):
        return bytes(item.payload)
    return _compact(_ENCODER.encode(_without_id(item)))


def open_json(value: object) -> msgspec.Raw:
    """`value` (plain data, Structs or Raw) as compact open JSON, for the fields that hold such."""
    return msgspec.Raw(_compact(_ENCODER.encode(value)))


def counts(body: ev.Body) -> bool:
    """Does 0.125.0 count this as a parsed line? Implicit turn ids (`rollout-<n>`) depend on it."""
    if type(body) in _ITEM_EVENTS:
        return not isinstance(body.item, ev.CommandExecutionItem)  # type: ignore[union-attr]
    return type(body) not in _NOT_COUNTED


def _head(raw: bytes) -> Names | None:
    found = _HEAD.match(raw)
    if found is None:
        return None
    known = _KNOWN.get(found.groups())
    if known is not None:
        return known
    outer, tag = found.groups()
    name = outer.decode()
    if name not in _TAGGED:
        return name, None
    return (name, tag.decode()) if tag is not None else None


def _body(outer: str, payload: msgspec.Raw) -> ev.Body:
    subtype = _subtype(outer, payload)
    cls = _CLASSES.get((outer, _ALIASES.get(subtype, subtype) if subtype else None))
    if cls is not None:
        try:
            if subtype in _ALIASES:
                fields = _FIELDS.decode(payload)
                payload = open_json({**fields, "type": _ALIASES[subtype]})
            body = cast("ev.Body", _payload_decoder(cls)(payload))
            looks_right = _LOOKED_INTO.get(type(body))
            if looks_right is None or looks_right(body):
                return body
        except _UNREADABLE:
            pass  # a known type with a bad payload is unknown, as in the reference
    elif outer == "response_item" and subtype is not None:
        return ev.OtherItem(subtype, payload)
    return ev.Unknown(outer, subtype, payload)


def _subtype(outer: str, payload: msgspec.Raw) -> str | None:
    if outer not in _TAGGED:
        return None
    try:
        return _TAG.decode(payload).type
    except _UNREADABLE:
        return None


@cache
def _payload_decoder(cls: type[msgspec.Struct]) -> Callable[[msgspec.Raw], msgspec.Struct]:
    return msgspec.json.Decoder(cls).decode


@cache
def _line_decoder(cls: type[msgspec.Struct]) -> Callable[[bytes], Any]:
    line = msgspec.defstruct(cls.__name__, [("timestamp", str), ("type", str), ("payload", cls)], gc=False)
    return msgspec.json.Decoder(line).decode


def _replaces_whole(body: ev.Compacted) -> bool:
    """The reference drops a compaction with an item it cannot read, rather than the item."""
    items = body.replacement_history or ()
    return not any(isinstance(decode_item(item), ev.Unknown) for item in items)


# What a line of these types holds decides whether it can be read, beyond what its fields say.
_LOOKED_INTO: Final[Mapping[type[msgspec.Struct], Callable[[Any], bool]]] = {
    ev.Compacted: _replaces_whole,
    ev.TurnContext: settings.readable,
}

# The classes whose lines are decoded straight from the bytes, by what the head says.
_WHOLE: Final = {groups: cls for groups, names in _KNOWN.items() if (cls := _CLASSES[names]) not in _LOOKED_INTO}


def _for_line(body: ev.Body) -> ev.Body:
    if isinstance(body, ev.Compacted) and body.replacement_history is not None:
        items = tuple(msgspec.Raw(_rewritten(item)) for item in body.replacement_history)
        return msgspec.structs.replace(body, replacement_history=items)
    return _without_id(body)


def _rewritten(raw: msgspec.Raw) -> bytes:
    item = decode_item(raw)
    return bytes(raw) if isinstance(item, ev.Unknown) else encode_item(item)


def _without_id(body: ev.Body) -> ev.Body:
    if type(body) in _DROPS_ID and body.id is not None:  # type: ignore[union-attr]
        return msgspec.structs.replace(body, id=None)
    return body


def _compact(text: bytes) -> bytes:
    """Open JSON may come with spaces and newlines; a line has none. Strings and numbers stay as they are."""
    return msgspec.json.format(text, indent=-1)
