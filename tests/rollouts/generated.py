"""Hypothesis strategies for any event class, read off its types, so that a new event is tested by existing."""

import json
from typing import Any

import msgspec
from hypothesis import strategies as st

from rollouts import codec
from rollouts import events as ev

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
OPEN = JSON.map(codec.open_json)


_SETTINGS: dict[str, Any] = {
    "approval_policy": "never",
    "sandbox_policy": msgspec.Raw(b'{"type":"read-only"}'),
    "permission_profile": msgspec.Raw(b"{}"),
    "network": msgspec.UNSET,
    "personality": "friendly",
    "collaboration_mode": None,
    "effort": "high",
    "summary": "auto",
    "truncation_policy": None,
}


def event_classes() -> list[type[msgspec.Struct]]:
    """Every class that can be the body of a line of its own."""
    bases = (ev.EventMsg, ev.ResponseItem, ev.EngineEvent, ev.LineBody)
    return [cls for base in bases for cls in base.__subclasses__()]


def events(cls: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Events of one class as the engine could make them; without the item ids that are not written."""
    info = msgspec.inspect.type_info(cls)
    assert isinstance(info, msgspec.inspect.StructType)
    return _struct(info)


def _struct(info: msgspec.inspect.StructType) -> st.SearchStrategy[Any]:
    if info.cls is ev.McpResult:
        answer = events(ev.McpOutput)
        return st.builds(ev.McpResult, ok=answer) | st.builds(ev.McpResult, err=TEXT)
    if info.cls is ev.Compacted:
        items = st.lists(events(ev.Message).map(codec.encode_item).map(msgspec.Raw), max_size=2).map(tuple)
        return st.builds(ev.Compacted, TEXT, st.none() | items)
    if info.cls is ev.TurnContext:
        return _fields(info).map(lambda context: msgspec.structs.replace(context, **_SETTINGS))
    if info.cls is ev.Reasoning:  # what is left out of it reads as null again
        return _fields(info).filter(lambda item: item.content is not msgspec.UNSET)
    return _fields(info)


def _fields(info: msgspec.inspect.StructType) -> st.SearchStrategy[Any]:
    unwritten = {"id"} if issubclass(info.cls, ev.ResponseItem) else set()
    needed = {field.name: _type(field.type) for field in info.fields if field.required}
    optional = {
        field.name: _type(field.type) for field in info.fields if not field.required and field.name not in unwritten
    }
    return st.fixed_dictionaries(needed, optional=optional).map(lambda fields: info.cls(**fields))


def _type(info: msgspec.inspect.Type) -> st.SearchStrategy[Any]:
    inspect = msgspec.inspect
    match info:
        case inspect.StructType():
            return _struct(info)
        case inspect.UnionType(types):
            return st.one_of([_type(one) for one in types])
        case inspect.VarTupleType(item):
            return st.lists(_type(item), max_size=2).map(tuple)
        case inspect.DictType(key, value):
            return st.dictionaries(_type(key), _type(value), max_size=2)
        case inspect.LiteralType(values):
            return st.sampled_from(values)
        case inspect.IntType():
            return st.integers(info.ge if info.ge is not None else -(2**53), 2**32 - 1)
    return _PLAIN[type(info)]


_PLAIN: dict[type[msgspec.inspect.Type], st.SearchStrategy[Any]] = {
    msgspec.inspect.StrType: TEXT,
    msgspec.inspect.BoolType: st.booleans(),
    msgspec.inspect.NoneType: st.none(),
    msgspec.inspect.FloatType: st.floats(-1e6, 1e6),
    msgspec.inspect.RawType: OPEN,
    msgspec.inspect.BytesType: st.binary(max_size=8),
    msgspec.inspect.AnyType: JSON,
}


def line_text(line: dict[str, Any], spaced: bool) -> bytes:
    """A line as another writer might put it: with or without spaces, keys in the order of the dict."""
    separators = (" , ", ": ") if spaced else (",", ":")
    return json.dumps(line, ensure_ascii=False, separators=separators).encode()
