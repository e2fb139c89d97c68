"""Why params did not decode, in the reference's words.

The decoder says what is wrong in its own way; clients and recordings expect serde's. So a refused value is walked
once more, slowly, next to its type: members in the order they were sent, then missing ones in the order of the type.
Texts were taken from the reference's answers. Cold path only; nothing here decides whether a value is accepted.
"""

from __future__ import annotations

import itertools
import types
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec.structs import FieldInfo, fields

from engine.errors import BadRequest

RELATIVE_PATH = "AbsolutePathBuf deserialized without a base path"

#: Integer types by their bounds (lowest, highest).
_INTEGERS: dict[tuple[float | None, float | None], str] = {
    (0, 2**8 - 1): "u8",
    (0, 2**16 - 1): "u16",
    (0, 2**32 - 1): "u32",
    (0, None): "usize",
    (1, None): "a nonzero usize",
    (-(2**31), 2**31 - 1): "i32",
}

#: The untagged enums among params: types of the variants -> name.
_UNTAGGED: dict[tuple[Any, ...], str] = {(str, list[str], types.NoneType): "ThreadListCwdFilter"}

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}


def explain(text: bytes, expected: Any, error: msgspec.DecodeError) -> str:
    """The reference's text for JSON that does not decode to a type; the decoder's own when the walk finds no fault."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return str(error)
    return _fault(expected, value) or str(error)


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


def _fault(expected: Any, value: Any) -> str | None:
    """What is wrong with a value of JSON for a type; None for nothing."""
    if get_origin(expected) is Annotated:
        base, constraints = get_args(expected)
        return _int(constraints, value) if base is int else _path(value)
    if isinstance(expected, type) and issubclass(expected, msgspec.Struct):
        return _struct(expected, value)
    find = _FAULTS.get(get_origin(expected) or expected)
    return find(expected, value) if find else None


@cache
def _members(struct: type[msgspec.Struct]) -> dict[str, tuple[FieldInfo, Any]]:
    """Members on the wire -> the field and its type, the names of literals in their written order."""
    hints = get_type_hints(struct, include_extras=True)
    return {f.encode_name: (f, hints[f.name]) for f in fields(struct)}


def _struct(struct: type[msgspec.Struct], value: Any) -> str | None:
    members = _members(struct)
    if isinstance(value, list):
        return f"invalid length {len(value)}, expected struct {struct.__name__} with {len(members)} elements"
    if not isinstance(value, dict):
        return _wrong_type(value, f"struct {struct.__name__}")
    for name, member in value.items():
        if name in members and (fault := _fault(members[name][1], member)):
            return fault
    missing = (n for n, (field, _) in members.items() if field.required and n not in value)
    return next((f"missing field `{name}`" for name in missing), None)


def _union(expected: Any, value: Any) -> str | None:
    given = get_args(expected)
    kinds = [t for t in given if t not in (types.NoneType, msgspec.UnsetType)]
    if value is None and types.NoneType in given:
        return None
    if len(kinds) == 1:
        return _fault(kinds[0], value)
    structs = [t for t in kinds if isinstance(t, type) and issubclass(t, msgspec.Struct)]
    if len(structs) == len(kinds):
        return _tagged(structs, value)
    names = [name for t in kinds if get_origin(t) is Literal for name in get_args(t)]
    if names:
        return _enum(names, structs, value)
    if all(_fault(t, value) for t in kinds):
        return f"data did not match any variant of untagged enum {_UNTAGGED.get(get_args(expected), '')}".rstrip()
    return None


def _tagged(variants: Sequence[type[msgspec.Struct]], value: Any) -> str | None:
    """An internally tagged enum: one object type per value of the tag member."""
    config = variants[0].__struct_config__
    tag_field = str(config.tag_field)
    if not isinstance(value, dict):
        return _wrong_type(value, f"internally tagged enum {_common_name(variants)}")
    if tag_field not in value:
        return f"missing field `{tag_field}`"
    tag = value[tag_field]
    if isinstance(tag, int):
        return f"invalid value: integer `{tag}`, expected variant index 0 <= i < {len(variants)}"
    if not isinstance(tag, str):
        return _wrong_type(tag, "variant identifier")
    by_tag = {str(v.__struct_config__.tag): v for v in variants}
    return _struct(by_tag[tag], value) if tag in by_tag else unknown_variant(tag, list(by_tag))


def _common_name(variants: Sequence[type[msgspec.Struct]]) -> str:
    """`UserInput` of `TextUserInput`, `ImageUserInput`, ...: published variants end in the name of their enum."""
    columns = zip(*(reversed(v.__name__) for v in variants), strict=False)
    common = itertools.takewhile(lambda letters: len(set(letters)) == 1, columns)
    return "".join(letters[0] for letters in common)[::-1]


def _enum(names: Sequence[str], objects: Sequence[type[msgspec.Struct]], value: Any) -> str | None:
    """An externally tagged enum: plain names, and names with content as objects of one member."""
    contents = {name: hint for o in objects for name, (_, hint) in _members(o).items()}
    known = [*names, *contents]
    if isinstance(value, str):
        return None if value in names else unknown_variant(value, known)
    if not isinstance(value, dict):
        return _wrong_type(value, "string or map")
    if len(value) != 1:
        return "invalid value: map, expected map with a single key"
    name, content = next(iter(value.items()))
    if name not in contents:
        return unknown_variant(name, known)
    return _fault(contents[name], content) if isinstance(content, dict) else _wrong_type(content, "struct variant")


def _literal(expected: Any, value: Any) -> str | None:
    return _enum(get_args(expected), [], value)


def _list(expected: Any, value: Any) -> str | None:
    if not isinstance(value, list):
        return _wrong_type(value, "a sequence")
    (kind,) = get_args(expected)
    return next(filter(None, (_fault(kind, v) for v in value)), None)


def _dict(expected: Any, value: Any) -> str | None:
    if not isinstance(value, dict):
        return _wrong_type(value, "a map")
    _, kind = get_args(expected)
    return next(filter(None, (_fault(kind, v) for v in value.values())), None)


def _int(bounds: msgspec.Meta, value: Any) -> str | None:
    name = _INTEGERS.get((bounds.ge, bounds.le), "i64")
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**63) <= value < 2**64:
        return _wrong_type(value, name)
    if (bounds.ge is not None and value < bounds.ge) or (bounds.le is not None and value > bounds.le):
        return f"invalid value: integer `{value}`, expected {name}"
    return None


def _path(value: Any) -> str | None:
    if not isinstance(value, str):
        return _wrong_type(value, "path string")
    return None if value.startswith("/") else RELATIVE_PATH


def _plain(kind: type | types.UnionType, name: str) -> Callable[[Any, Any], str | None]:
    def find(expected: Any, value: Any) -> str | None:
        fits = isinstance(value, kind) and (expected is bool or not isinstance(value, bool))
        return None if fits else _wrong_type(value, name)

    return find


_FAULTS: dict[Any, Callable[[Any, Any], str | None]] = {
    Union: _union,
    types.UnionType: _union,
    Literal: _literal,
    list: _list,
    dict: _dict,
    int: _plain(int, "i64"),
    float: _plain(int | float, "f64"),
    bool: _plain(bool, "a boolean"),
    str: _plain(str, "a string"),
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
