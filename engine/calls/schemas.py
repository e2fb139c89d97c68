"""JSON Schemas of tools that others offer: clients and MCP servers may send anything, the model API takes a subset.

What is outside of it is left out, what is missing is filled in, as the reference does (observed, keyword by keyword).
Pure.
"""

from __future__ import annotations

from typing import Any

import msgspec

from engine.wording import fault

_TYPES = frozenset({"string", "number", "boolean", "integer", "object", "array", "null"})
_HINTS = (
    ("object", ("properties", "required", "additionalProperties")),
    ("array", ("items", "prefixItems")),
    ("string", ("enum", "const", "format", "pattern", "minLength", "maxLength")),
    ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
)
"""Keys that say which type is meant where a schema names none."""


class JsonSchema(msgspec.Struct, rename="camel"):
    """The subset."""

    type: str | list[str] | None = None
    description: str | None = None
    enum: list[Any] | None = None
    items: JsonSchema | None = None
    properties: dict[str, JsonSchema] | None = None
    required: list[str] | None = None
    additional_properties: bool | JsonSchema | None = None
    any_of: list[JsonSchema] | None = None


_KEPT = tuple(JsonSchema.__struct_encode_fields__)


def accepted(schema: object) -> Any:
    """A schema in the subset; what is no schema at all (a number, a list) is given back as it is."""
    if isinstance(schema, bool):
        return {"type": "string"}
    if not isinstance(schema, dict):
        return schema
    given = {**schema, "enum": [schema["const"]]} if "const" in schema else schema
    kept = {key: _member(key, given[key]) for key in _KEPT if given.get(key) is not None and key != "type"}
    kind = _type(given)
    if kind is not None:
        kept = {"type": kind, **kept}
    if _is("object", kind) and "properties" not in given:
        kept["properties"] = {}
    if _is("array", kind) and "items" not in given:
        kept["items"] = {"type": "string"}
    return kept


def refusal(schema: object) -> str | None:
    """Why a tool cannot have parameters of this schema; None if it can."""
    if isinstance(schema, dict) and schema.get("type") == "null":
        return "tool input schema must not be a singleton null type"
    found = fault(JsonSchema, accepted(schema))
    return found.message if found else None


def _member(key: str, value: Any) -> Any:
    match key, value:
        case "properties", dict():
            return {name: accepted(inner) for name, inner in value.items()}
        case "anyOf", list():
            return [accepted(inner) for inner in value]
        case ("items", _) | ("additionalProperties", dict()):
            return accepted(value)
    return value


def _type(schema: dict[str, Any]) -> str | list[str] | None:
    """The type or types; None where alternatives say it."""
    given = schema.get("type")
    if isinstance(given, str) and given in _TYPES:
        return given
    if isinstance(given, list) and (known := [each for each in given if each in _TYPES]):
        return known
    if "anyOf" in schema:
        return None
    return next((kind for kind, hints in _HINTS if any(hint in schema for hint in hints)), "string")


def _is(kind: str, given: str | list[str] | None) -> bool:
    return given == kind or (isinstance(given, list) and kind in given)
