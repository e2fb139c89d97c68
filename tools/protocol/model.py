"""From schemas to declarations: what each type becomes in Python, before any text is written.

A definition is an `Alias` (strings, literals, unions, dictionaries) or a `Struct`; a union brings the Structs
of its variants with it. The representations, chosen so that decoding and encoding give the same JSON:

- tagged objects: one Struct per variant with `tag_field` and `tag`, and an alias for their union;
- one word or one object (`"never"` | `{"granular": ...}`): a `Literal` and one Struct;
- words and several one-member objects: a `Literal` and one Struct `<Type>Object` with exactly one member set;
- untagged objects: one Struct with the members of all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tools.protocol import overrides

Schema = dict[str, Any]

_INTEGERS = {
    "int32": "I32",
    "int64": "I64",
    "uint": "U64",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "uint8": "U8",
}
_PYTHON_WORDS = {"async", "from", "import", "in", "is", "class", "global", "schema"}


class Field(NamedTuple):
    """One member: attribute, name on the wire, annotation; default and its factory as source text or ""."""

    attribute: str
    wire: str
    type: str
    default: str = ""
    factory: str = ""


class Struct(NamedTuple):
    """A class. `tag` is (tag field, tag value); `one_of` says that exactly one member is set."""

    name: str
    fields: tuple[Field, ...]
    tag: tuple[str, str] | None
    one_of: bool
    doc: str


class Alias(NamedTuple):
    """A name for a type expression; `options` are the parts of a union or the words of a literal."""

    name: str
    options: tuple[str, ...]


Declaration = Struct | Alias


def snake(wire: str) -> str:
    """The attribute for a member's name on the wire."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", wire.strip("_$")).lower()
    return name + "_" if name in _PYTHON_WORDS else name


def camel(value: str) -> str:
    """`item/tool/call`, `glob_pattern` or `apiKey` as a class name."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", value))


class Builder:
    """Declarations of the definitions of one schema file.

    `incoming` and `outgoing` are the types that clients send and receive; `docs` the first line of each type.
    """

    def __init__(
        self,
        definitions: Mapping[str, Schema],
        incoming: frozenset[str],
        outgoing: frozenset[str],
        docs: Mapping[str, str],
    ):
        self._definitions = definitions
        self._incoming = incoming
        self._outgoing = outgoing
        self._docs = docs

    def declare(self, name: str) -> list[Declaration]:
        """The declarations for one definition: its helpers first, the one with its name last."""
        schema = self._definitions[name]
        if name in overrides.ALIASES:
            return [Alias(name, (overrides.ALIASES[name],))]
        if name in overrides.OPEN:
            return [Alias(name, ("dict[str, Any]",))]
        options = schema.get("oneOf") or schema.get("anyOf")
        if options is None:
            if schema.get("type") == "object":
                return list(self._struct(name, name, schema))
            return [Alias(name, (self._type(name, name, schema, []),))]
        words = [word for option in options for word in option.get("enum", ())]
        objects = [option for option in options if "properties" in option]
        others = [o for o in options if "enum" not in o and "properties" not in o]
        if not objects:
            return [self._plain_union(name, words, others)]
        tag = _tag_of(objects)
        if tag:
            return list(self._tagged(name, tag, objects, schema))
        if all(option.get("additionalProperties") is False for option in objects):
            return list(self._words_and_objects(name, words, objects))
        return list(self._merged(name, objects))

    def references(self, declarations: list[Declaration]) -> set[str]:
        """Names of definitions that the annotations mention."""
        texts = []
        for declaration in declarations:
            if isinstance(declaration, Struct):
                texts += [field.type for field in declaration.fields]
            else:
                texts += declaration.options
        words = set(re.findall(r"\b[A-Z]\w+", re.sub(r'"[^"]*"', "", " ".join(texts))))
        return {word for word in words if word in self._definitions}

    def _plain_union(self, name: str, words: list[str], others: list[Schema]) -> Alias:
        parts = [_literal(words)] if words else []
        return Alias(name, (*parts, *(self._type(name, name, other, []) for other in others)))

    def _tagged(self, name: str, tag: str, objects: list[Schema], outer: Schema) -> Iterator[Declaration]:
        names = []
        for option in objects:
            value = option["properties"][tag]["enum"][0]
            names.append(camel(value) + name)
            properties = outer.get("properties", {}) | option["properties"]
            merged = option | {
                "properties": {key: member for key, member in properties.items() if key != tag},
                "required": [*outer.get("required", ()), *option.get("required", ())],
            }
            yield from self._struct(names[-1], name, merged, (tag, value))
        yield Alias(name, tuple(names))

    def _words_and_objects(self, name: str, words: list[str], objects: list[Schema]) -> Iterator[Declaration]:
        if len(objects) == 1:
            key = next(iter(objects[0]["properties"]))
            inner = camel(key) + name
            yield from self._struct(inner, name, objects[0], prefix=name)
        else:
            inner = name + "Object"
            helpers: list[Declaration] = []
            fields = []
            for option in objects:
                ((key, member),) = option["properties"].items()
                type_ = self._type(name, name + camel(key), member, helpers)
                fields.append(Field(snake(key), key, f"{type_} | UnsetType", "UNSET"))
            yield from helpers
            yield Struct(inner, tuple(fields), None, True, f"The object forms of `{name}`; exactly one is set.")
        yield Alias(name, (*([_literal(words)] if words else ()), inner))

    def _merged(self, name: str, objects: list[Schema]) -> Iterator[Declaration]:
        properties: Schema = {}
        for option in objects:
            properties |= option["properties"]
        required = [key for key in properties if all(key in o.get("required", ()) for o in objects)]
        optional = [key for key in properties if key not in required]
        unset = "x-omit" if name in self._outgoing else "x-keep"
        yield from self._struct(name, name, {"properties": properties, "required": required, unset: optional})

    def _struct(
        self, name: str, owner: str, schema: Schema, tag: tuple[str, str] | None = None, prefix: str = ""
    ) -> Iterator[Declaration]:
        helpers: list[Declaration] = []
        fields = tuple(
            self._field(owner, prefix or name, key, member, schema, helpers)
            for key, member in schema.get("properties", {}).items()
        )
        added = [Field(snake(key), key, *rest) for key, *rest in overrides.ADDED.get(name, ())]
        yield from helpers
        yield Struct(name, (*fields, *added), tag, False, self._docs.get(name, ""))

    def _field(
        self, owner: str, prefix: str, key: str, member: Any, schema: Schema, helpers: list[Declaration]
    ) -> Field:
        hint = prefix + camel(key)
        replaced = overrides.REPLACED.get((prefix, key)) or overrides.REPLACED.get((owner, key))
        type_ = replaced or self._type(owner, hint, member, helpers)
        if key in schema.get("required", ()):
            return Field(snake(key), key, type_, "")
        nullable = type_ == "Any" or type_.endswith("| None")
        if key in schema.get("x-keep", ()) or (owner, key) in overrides.KEPT:
            return Field(snake(key), key, f"{type_} | UnsetType", "UNSET")
        marked = key in schema.get("x-omit", ()) and owner not in overrides.WRITTEN
        left_out = marked or (owner, key) in overrides.OMITTED
        if left_out and owner in self._outgoing:
            if owner not in self._incoming:
                type_ = type_.removesuffix(" | None")
            return Field(snake(key), key, f"{type_} | UnsetType", "UNSET")
        if nullable:
            return Field(snake(key), key, type_, "None")
        return _with_default(key, member.get("default"), type_)

    def _type(self, owner: str, hint: str, schema: Any, helpers: list[Declaration]) -> str:
        """A member's annotation; inline objects become Structs named `hint` in `helpers`."""
        if schema is True or not set(schema) - {"default"}:
            return "Any"
        if "$ref" in schema:
            name: str = schema["$ref"].rpartition("/")[2]
            return "Raw" if name in overrides.RAW else name
        if "allOf" in schema:
            (only,) = schema["allOf"]
            return self._type(owner, hint, only, helpers)
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return _either([self._type(owner, hint, option, helpers) for option in schema[key]])
        kind = schema["type"]
        if isinstance(kind, list):
            (kind,) = [option for option in kind if option != "null"]
            return self._type(owner, hint, schema | {"type": kind}, helpers) + " | None"
        return self._by_kind(kind, owner, hint, schema, helpers)

    def _by_kind(self, kind: str, owner: str, hint: str, schema: Schema, helpers: list[Declaration]) -> str:
        if "enum" in schema:
            return _literal(schema["enum"])
        if kind == "array":
            return f"list[{self._type(owner, hint, schema.get('items', True), helpers)}]"
        if kind == "object":
            if "properties" in schema:
                helpers.extend(self._struct(hint, owner, schema))
                return hint
            return f"dict[str, {self._type(owner, hint, schema.get('additionalProperties', True), helpers)}]"
        if kind == "integer":
            if schema.get("minimum") == 1:
                return "Positive"
            return _INTEGERS[schema.get("format", "int64")]
        return {"string": "str", "boolean": "bool", "number": "float", "null": "None"}[kind]


def _with_default(key: str, value: Any, type_: str) -> Field:
    """An optional member that is never null; where the schema names no default it is the empty value."""
    if isinstance(value, dict) and value:
        ((_, tag),) = value.items()
        return Field(snake(key), key, type_, factory=f"lambda: {camel(tag)}{type_}()")
    for kind in ("list", "dict"):
        if type_.startswith(f"{kind}["):
            return Field(snake(key), key, type_, factory=kind)
    if value is None and type_ != "bool":
        raise ValueError(f"no default for the optional {type_} {key}")
    return Field(snake(key), key, type_, f'"{value}"' if isinstance(value, str) else repr(bool(value)))


def _either(parts: list[str]) -> str:
    """A union without repetition, None last."""
    plain = dict.fromkeys(part.removesuffix(" | None") for part in parts if part != "None")
    nullable = any(part == "None" or part.endswith(" | None") for part in parts)
    return " | ".join([*plain, "None"] if nullable else plain)


def _literal(words: list[str]) -> str:
    return "Literal[" + ", ".join(f'"{word}"' for word in words) + "]"


def _tag_of(objects: list[Schema]) -> str | None:
    """The member that names the variant: one word, in every variant, never the same."""
    for key in objects[0]["properties"]:
        enums = [o["properties"].get(key, {}) for o in objects]
        words = [e["enum"][0] for e in enums if isinstance(e, dict) and len(e.get("enum", ())) == 1]
        if len(words) == len(set(words)) == len(objects):
            return str(key)
    return None
