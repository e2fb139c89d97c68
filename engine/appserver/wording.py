"""Why params did not decode, in the reference's words.

The decoder says what is wrong in its own way; clients and recordings expect serde's. So a refused value is walked
once more, slowly, next to its type: members in the order they were sent, then missing ones in the order of the type.
Texts were taken from the reference's answers. Cold path only; nothing here decides whether a value is accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import inspect as mi

from engine.errors import BadRequest

RELATIVE_PATH = "AbsolutePathBuf deserialized without a base path"

#: Integer types by their bounds, as (lowest, highest); a missing bound is None.
_INTEGERS: dict[tuple[int | None, int | None], str] = {
    (0, 2**16 - 1): "u16",
    (0, 2**32 - 1): "u32",
    (0, 2**64 - 1): "u64",
    (0, None): "usize",
    (1, None): "a nonzero usize",
    (-(2**31), 2**31 - 1): "i32",
    (-(2**63), 2**63 - 1): "i64",
    (None, None): "i64",
}

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}


def explain(text: bytes, expected: Any, error: msgspec.DecodeError) -> str:
    """The reference's text for JSON that does not decode to a type; the decoder's own when the walk finds no fault."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return str(error)
    return _fault(mi.type_info(expected), value) or str(error)


def check_unit(text: bytes) -> None:
    """Accept the params of a method that takes none: absent, null or an empty object.

    :raises BadRequest: for anything else.
    """
    value = msgspec.json.decode(text) if text else None
    if value is not None and value != {}:
        raise BadRequest(f"Invalid request: {_wrong_type(value, 'unit')}")


def unknown_variant(name: str, known: Sequence[str]) -> str:
    """Serde's text for a name outside a closed list."""
    quoted = [f"`{k}`" for k in known]
    if len(quoted) > 2:
        return f"unknown variant `{name}`, expected one of {', '.join(quoted)}"
    return f"unknown variant `{name}`, expected {' or '.join(quoted)}"


def _fault(expected: mi.Type, value: Any) -> str | None:
    while isinstance(expected, mi.Metadata):
        expected = expected.type
    find = _FAULTS.get(type(expected))
    return find(expected, value) if find else None


def _struct(expected: mi.StructType, value: Any) -> str | None:
    name = expected.cls.__name__
    if isinstance(value, list):
        return f"invalid length {len(value)}, expected struct {name} with {len(expected.fields)} elements"
    if not isinstance(value, dict):
        return _wrong_type(value, f"struct {name}")
    fields = {f.encode_name: f for f in expected.fields}
    for key, member in value.items():
        if key in fields and (fault := _fault(fields[key].type, member)):
            return fault
    return next((f"missing field `{n}`" for n, f in fields.items() if f.required and n not in value), None)


def _union(expected: mi.UnionType, value: Any) -> str | None:
    members = [t for t in expected.types if not isinstance(t, mi.NoneType)]
    if value is None and len(members) < len(expected.types):
        return None
    if len(members) == 1:
        return _fault(members[0], value)
    tagged = [t for t in members if isinstance(t, mi.StructType) and t.tag_field is not None]
    if tagged and len(tagged) == len(members):
        return _tagged(tagged, value)
    names = [m for m in members if isinstance(m, mi.LiteralType)]
    if names:
        return _enum(names, [m for m in members if isinstance(m, mi.StructType)], value)
    if all(_fault(m, value) for m in members):
        return "data did not match any variant of untagged enum"
    return None


def _tagged(variants: list[mi.StructType], value: Any) -> str | None:
    """An internally tagged enum: one object type per value of the tag member."""
    tag_field = str(variants[0].tag_field)
    if not isinstance(value, dict):
        return _wrong_type(value, "internally tagged enum")
    if tag_field not in value:
        return f"missing field `{tag_field}`"
    tag = value[tag_field]
    if not isinstance(tag, str):
        return _wrong_type(tag, "variant identifier")
    for variant in variants:
        if variant.tag == tag:
            return _struct(variant, value)
    return unknown_variant(tag, [str(v.tag) for v in variants])


def _enum(names: list[mi.LiteralType], objects: list[mi.StructType], value: Any) -> str | None:
    """An externally tagged enum: plain names, and names with content as objects of one member."""
    known = [str(v) for n in names for v in n.values]
    contents = {f.encode_name: f for o in objects for f in o.fields}
    if isinstance(value, str):
        return None if value in known else unknown_variant(value, [*known, *contents])
    if not isinstance(value, dict):
        return _wrong_type(value, "string or map")
    if len(value) != 1:
        return "invalid value: map, expected map with a single key"
    name, content = next(iter(value.items()))
    if name not in contents:
        return unknown_variant(name, [*known, *contents])
    return _fault(contents[name].type, content)


def _literal(expected: mi.LiteralType, value: Any) -> str | None:
    return _enum([expected], [], value)


def _list(expected: mi.ListType, value: Any) -> str | None:
    if not isinstance(value, list):
        return _wrong_type(value, "a sequence")
    return next(filter(None, (_fault(expected.item_type, v) for v in value)), None)


def _dict(expected: mi.DictType, value: Any) -> str | None:
    if not isinstance(value, dict):
        return _wrong_type(value, "a map")
    return next(filter(None, (_fault(expected.value_type, v) for v in value.values())), None)


def _int(expected: mi.IntType, value: Any) -> str | None:
    lowest, highest = expected.ge, expected.le
    name = _INTEGERS.get((lowest, highest), "i64")
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**63) <= value < 2**64:
        return _wrong_type(value, name)
    if (lowest is not None and value < lowest) or (highest is not None and value > highest):
        return f"invalid value: integer `{value}`, expected {name}"
    return None


def _float(expected: mi.FloatType, value: Any) -> str | None:
    return None if isinstance(value, int | float) and not isinstance(value, bool) else _wrong_type(value, "f64")


def _bool(expected: mi.BoolType, value: Any) -> str | None:
    return None if isinstance(value, bool) else _wrong_type(value, "a boolean")


def _str(expected: mi.StrType, value: Any) -> str | None:
    if not isinstance(value, str):
        return _wrong_type(value, "path string" if expected.pattern else "a string")
    return RELATIVE_PATH if expected.pattern and not value.startswith("/") else None


_FAULTS: dict[type[mi.Type], Callable[[Any, Any], str | None]] = {
    mi.StructType: _struct,
    mi.UnionType: _union,
    mi.LiteralType: _literal,
    mi.ListType: _list,
    mi.DictType: _dict,
    mi.IntType: _int,
    mi.FloatType: _float,
    mi.BoolType: _bool,
    mi.StrType: _str,
}


def _wrong_type(value: Any, expected: str) -> str:
    return f"invalid type: {_unexpected(value)}, expected {expected}"


def _unexpected(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return f"boolean `{str(value).lower()}`"
        case int() if -(2**63) <= value < 2**64:
            return f"integer `{value}`"
        case int() | float():
            return f"floating point `{float(value)!r}`"
        case str():
            return f'string "{"".join(_ESCAPES.get(c, c) for c in value)}"'
        case list():
            return "sequence"
    return "map"
