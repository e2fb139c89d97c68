"""Why a value of JSON does not fit a type, in the words of serde, which clients, models and recordings expect.

The decoder says what is wrong in its own way. So a refused value is walked once more, slowly, next to its type: members
in the order they were sent, then missing ones in the order of the type. Serde takes an object without its names too, as
a list. Texts were taken from the reference's answers. Cold path only.

Whatever serde has to keep until it knows a tag (*buffered*: params of requests, the content of tagged objects) is told
of a little differently from what it reads at once.
"""

from __future__ import annotations

import itertools
import re
import types
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec.structs import FieldInfo, fields

RELATIVE_PATH = "AbsolutePathBuf deserialized without a base path"

U64 = Annotated[int, msgspec.Meta(ge=0, title="u64")]
USIZE = Annotated[int, msgspec.Meta(ge=0)]
I32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]

#: Integer types by their bounds (lowest, highest); a title goes before them.
_INTEGERS: dict[tuple[float | None, float | None], str] = {
    (0, 2**8 - 1): "u8",
    (0, 2**16 - 1): "u16",
    (0, 2**32 - 1): "u32",
    (0, None): "usize",
    (1, None): "a nonzero usize",
    (-(2**31), 2**31 - 1): "i32",
}

#: The untagged enums: types of the variants -> name.
_UNTAGGED: dict[tuple[Any, ...], str] = {
    (str, list): "ThreadListCwdFilter",
    (str, tuple): "FunctionCallOutputBody",
}

#: The reference's names of types, where ours are called otherwise.
_STRUCTS: dict[str, str] = {
    "DynamicToolSpec": "struct DynamicToolSpecDe",
    "GuardianAssessment": "struct GuardianAssessmentEvent",
    "WebSearchAction": "internally tagged enum WebSearchAction",
}

#: The tagged enums whose variants do not tell their name: first variant -> name.
_ENUMS: dict[str, str] = {
    "CommandAction": "GuardianAssessmentAction",
    "InputText": "ContentItem",
    "LocalShellAction": "LocalShellAction",
    "ReasoningText": "ReasoningItemContent",
    "SummaryText": "ReasoningItemReasoningSummary",
}

#: The externally tagged enums whose names the schema has in another order than the reference.
_DECLARED: dict[tuple[str, ...], tuple[str, ...]] = {
    ("untrusted", "on-failure", "on-request", "never", "granular"): (
        "untrusted", "on-failure", "on-request", "granular", "never",
    ),
}  # fmt: skip

#: Members that are ours alone, and other names of members: they do not count in "with N elements".
_OURS = frozenset({"clientMetadata", "timeout"})

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}

_Finder = Callable[[Any, Any, bool], "Fault | None"]
_Members = dict[str, tuple[FieldInfo, Any]]

Step = str | int
At = Literal["value", "end", "key", "enum"]
"""Where a text reader notices: after a value (before a list or an object), after the end of an object, after a key, or
at the first character of what can be no enum."""


class Fault(msgspec.Struct, frozen=True):
    """What is wrong: in which words, and with the value (or key) at which path."""

    message: str
    at: At = "value"
    path: tuple[Step, ...] = ()

    def under(self, step: Step) -> Fault:
        """The same fault seen from one level up."""
        return msgspec.structs.replace(self, path=(step, *self.path))


def fault(expected: Any, value: Any, *, buffered: bool = False) -> Fault | None:
    """What is wrong with a value of JSON for a type; None for nothing.

    A Struct given here is not asked for its own tag: who knows the type has looked at it.
    """
    if isinstance(expected, type) and issubclass(expected, msgspec.Struct):
        return _struct(expected, value, buffered)
    return _fault(expected, value, buffered)


def _fault(expected: Any, value: Any, buffered: bool) -> Fault | None:
    if get_origin(expected) is Annotated:
        base, constraints = get_args(expected)
        return _int(constraints, value) if base is int else _path(constraints, value)
    if isinstance(expected, type) and issubclass(expected, msgspec.Struct):
        tagged = expected.__struct_config__.tag is not None
        return _tagged([expected], value, buffered) if tagged else _struct(expected, value, buffered)
    find = _FAULTS.get(get_origin(expected) or expected)
    return find(expected, value, buffered) if find else None


def by_name(struct: type[msgspec.Struct], values: Sequence[Any]) -> dict[str, Any]:
    """The members that a list without faults stands for."""
    return dict(zip(_members(struct), values, strict=False))


def unknown_variant(name: str, known: Sequence[str]) -> str:
    """Serde's text for a name outside a closed list."""
    return f"unknown variant `{name}`, expected {_one_of(known)}"


def wrong_type(value: Any, expected: str) -> Fault:
    """Serde's text for a value of another kind."""
    return Fault(f"invalid type: {_unexpected(value)}, expected {expected}")


def _one_of(names: Sequence[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    return f"one of {', '.join(quoted)}" if len(quoted) > 2 else " or ".join(quoted)


@cache
def _members(struct: type[msgspec.Struct]) -> _Members:
    """Members on the wire -> the field and its type, the names of literals in their written order."""
    hints = get_type_hints(struct, include_extras=True)
    return {f.encode_name: (f, hints[f.name]) for f in fields(struct)}


def _struct(struct: type[msgspec.Struct], value: Any, buffered: bool) -> Fault | None:
    members = _members(struct)
    called = _STRUCTS.get(struct.__name__, f"struct {struct.__name__}")
    if isinstance(value, list):
        return _elements(called, members, value, buffered)
    if not isinstance(value, dict):
        return wrong_type(value, called)
    for name, member in value.items():
        if name in members:
            if found := _fault(members[name][1], member, buffered):
                return found.under(name)
        elif struct.__struct_config__.forbid_unknown_fields:
            return Fault(f"unknown field `{name}`, expected {_one_of(list(members))}", at="key", path=(name,))
    missing = (n for n, (field, _) in members.items() if field.required and n not in value)
    return next((Fault(f"missing field `{name}`", at="end") for name in missing), None)


def _elements(called: str, members: _Members, values: list[Any], buffered: bool) -> Fault | None:
    """An object whose members come as a list. Those that are null unless given must be there."""
    counted = {name: member for name, member in members.items() if name not in _OURS}
    size = len(counted)
    for position, (field, hint) in enumerate(counted.values()):
        if position < len(values):
            if found := _fault(hint, values[position], buffered):
                return found.under(position)
        elif field.required or field.default is None:
            expected = f"{called} with {size} element{'' if size == 1 else 's'}"
            return Fault(f"invalid length {position}, expected {expected}", at="end")
    if len(values) > size:
        expected = f"{size} elements in sequence" if buffered else "fewer elements in array"
        return Fault(f"invalid length {len(values)}, expected {expected}", at="end")
    return None


def _union(expected: Any, value: Any, buffered: bool) -> Fault | None:
    given = get_args(expected)
    kinds = [t for t in given if t not in (types.NoneType, msgspec.UnsetType)]
    if value is None and types.NoneType in given:
        return None
    if len(kinds) == 1:
        return _fault(kinds[0], value, buffered)
    structs = [t for t in kinds if isinstance(t, type) and issubclass(t, msgspec.Struct)]
    if len(structs) == len(kinds):
        return _tagged(structs, value, buffered)
    names = [name for t in kinds if get_origin(t) is Literal for name in get_args(t)]
    if names:
        return _enum(names, structs, value)
    if all(_fault(t, value, True) for t in kinds):
        name = _UNTAGGED.get(tuple(get_origin(t) or t for t in kinds), "")
        return Fault(f"data did not match any variant of untagged enum {name}".rstrip())
    return None


def _tagged(variants: Sequence[type[msgspec.Struct]], value: Any, buffered: bool) -> Fault | None:
    """An internally tagged enum: one object type per value of the tag member, or of the first element."""
    tag_field = str(variants[0].__struct_config__.tag_field)
    if not isinstance(value, dict | list):
        return wrong_type(value, f"internally tagged enum {_enum_name(variants)}")
    if (tag_field not in value) if isinstance(value, dict) else not value:
        return Fault(f"missing field `{tag_field}`", at="end")
    tag, content = (value[tag_field], value) if isinstance(value, dict) else (value[0], value[1:])
    if isinstance(tag, str):
        by_tag = {str(v.__struct_config__.tag): v for v in variants}
        return _struct(by_tag[tag], content, True) if tag in by_tag else Fault(unknown_variant(tag, list(by_tag)))
    if not buffered or not isinstance(tag, int) or isinstance(tag, bool) or tag < 0:
        return wrong_type(tag, "variant identifier")
    if tag < len(variants):
        return _struct(variants[tag], content, True)
    return Fault(f"invalid value: integer `{tag}`, expected variant index 0 <= i < {len(variants)}")


def _enum_name(variants: Sequence[type[msgspec.Struct]]) -> str:
    first = variants[0].__name__
    return _ENUMS.get(first) or _common_name(variants)


def _common_name(variants: Sequence[type[msgspec.Struct]]) -> str:
    """`UserInput` of `TextUserInput`, `ImageUserInput`, ...: published variants end in the name of their enum."""
    columns = zip(*(reversed(v.__name__) for v in variants), strict=False)
    common = itertools.takewhile(lambda letters: len(set(letters)) == 1, columns)
    return "".join(letters[0] for letters in common)[::-1]


def _enum(names: Sequence[str], objects: Sequence[type[msgspec.Struct]], value: Any) -> Fault | None:
    """An externally tagged enum: plain names, and names with content as objects of one member."""
    contents = {name: hint for o in objects for name, (_, hint) in _members(o).items()}
    known = (*names, *contents)
    known = _DECLARED.get(known, known)
    if isinstance(value, str):
        return None if value in names else Fault(unknown_variant(value, known))
    if not isinstance(value, dict):
        return msgspec.structs.replace(wrong_type(value, "string or map"), at="enum")
    if len(value) != 1:
        return Fault("invalid value: map, expected map with a single key", at="enum")
    name, content = next(iter(value.items()))
    if name not in contents:
        return Fault(unknown_variant(name, known), at="key", path=(name,))
    if not isinstance(content, dict | list):
        return wrong_type(content, "struct variant").under(name)
    found = _fault(contents[name], content, True)
    return found.under(name) if found else None


def _literal(expected: Any, value: Any, buffered: bool) -> Fault | None:
    return _enum(get_args(expected), [], value)


def _list(expected: Any, value: Any, buffered: bool) -> Fault | None:
    if not isinstance(value, list):
        return wrong_type(value, "a sequence")
    kind = get_args(expected)[0]
    return next((found.under(i) for i, v in enumerate(value) if (found := _fault(kind, v, buffered))), None)


def _dict(expected: Any, value: Any, buffered: bool) -> Fault | None:
    if not isinstance(value, dict):
        return wrong_type(value, "a map")
    _, kind = get_args(expected)
    return next((found.under(n) for n, v in value.items() if (found := _fault(kind, v, buffered))), None)


def _int(bounds: msgspec.Meta, value: Any) -> Fault | None:
    name = bounds.title or _INTEGERS.get((bounds.ge, bounds.le), "i64")
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**63) <= value < 2**64:
        return wrong_type(value, name)
    if (bounds.ge is not None and value < bounds.ge) or (bounds.le is not None and value > bounds.le):
        return Fault(f"invalid value: integer `{value}`, expected {name}")
    return None


def _path(constraints: msgspec.Meta, value: Any) -> Fault | None:
    """A path; with a pattern an absolute one."""
    if not isinstance(value, str):
        return wrong_type(value, "path string")
    return None if constraints.pattern is None or value.startswith("/") else Fault(RELATIVE_PATH)


def _plain(kind: type | types.UnionType, name: str) -> _Finder:
    def find(expected: Any, value: Any, buffered: bool) -> Fault | None:
        fits = isinstance(value, kind) and (expected is bool or not isinstance(value, bool))
        return None if fits else wrong_type(value, name)

    return find


_FAULTS: dict[Any, _Finder] = {
    Union: _union,
    types.UnionType: _union,
    Literal: _literal,
    list: _list,
    tuple: _list,
    dict: _dict,
    int: _plain(int, "i64"),
    float: _plain(int | float, "f64"),
    bool: _plain(bool, "a boolean"),
    str: _plain(str, "a string"),
}


def _unexpected(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return f"boolean `{str(value).lower()}`"
        case int() if -(2**63) <= value < 2**64:
            return f"integer `{value}`"
        case int() | float():
            return f"floating point `{re.sub('e-0', 'e-', repr(float(value)))}`"
        case str():
            return f'string "{"".join(map(_escaped, value))}"'
        case list():
            return "sequence"
    return "map"


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    return f"\\u{{{ord(char):x}}}" if char < " " or char == "\x7f" else char
