"""MCP tools as a request to the model lists them: one namespace entry for each server. Pure.

Schemas come from the servers and may be anything; the model API takes a subset of JSON Schema. What is outside of it
is left out, what is missing is filled in, as the reference does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from engine.mcp.tools import Tool

_KEPT = ("type", "description", "enum", "items", "properties", "required", "additionalProperties", "anyOf")
_TYPES = frozenset({"string", "number", "boolean", "integer", "object", "array", "null"})
_HINTS = (
    ("object", ("properties", "required", "additionalProperties")),
    ("array", ("items", "prefixItems")),
    ("string", ("enum", "const", "format", "pattern", "minLength", "maxLength")),
    ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
)
"""Keys that say which type is meant where a schema names none."""


def namespaces(tools: Iterable[Tool], instructions: dict[str, str]) -> list[msgspec.Raw]:
    """The entries for these tools, in order; `instructions` are those of servers that gave any, by server name."""
    grouped: dict[str, list[Tool]] = {}
    for tool in tools:
        grouped.setdefault(tool.named.namespace, []).append(tool)
    return [
        msgspec.Raw(
            msgspec.json.encode(
                {
                    "type": "namespace",
                    "name": space,
                    "description": instructions.get(members[0].server) or f"Tools in the {space} namespace.",
                    "tools": [_function(tool) for tool in members],
                }
            )
        )
        for space, members in grouped.items()
    ]


def _function(tool: Tool) -> dict[str, Any]:
    parameters = accepted(tool.input_schema)
    if parameters.get("type") != "object":
        parameters = {**parameters, "type": "object"}
    parameters.setdefault("properties", {})
    return {
        "type": "function",
        "name": tool.named.name,
        "description": tool.description or "",
        "strict": False,
        "parameters": parameters,
    }


def accepted(schema: object) -> dict[str, Any]:
    """A JSON Schema in the subset that the model API takes."""
    if not isinstance(schema, dict):
        return {"type": "string"}
    kept: dict[str, Any] = {}
    if "const" in schema:
        schema = {**schema, "enum": [schema["const"]]}
    for key in _KEPT:
        if key in schema:
            kept[key] = _member(key, schema[key])
    if "anyOf" not in kept or "type" in kept:
        kept["type"] = _type(schema)
    if kept.get("type") == "object":
        kept.setdefault("properties", {})
    if kept.get("type") == "array":
        kept.setdefault("items", {"type": "string"})
    return kept


def _member(key: str, value: Any) -> Any:
    match key, value:
        case "properties", dict():
            return {name: accepted(inner) for name, inner in value.items()}
        case "anyOf", list():
            return [accepted(inner) for inner in value]
        case "items", _:
            return accepted(value)
        case "additionalProperties", dict():
            return accepted(value)
    return value


def _type(schema: dict[str, Any]) -> str | list[str]:
    given = schema.get("type")
    if isinstance(given, str) and given in _TYPES:
        return given
    if isinstance(given, list) and given and all(each in _TYPES for each in given):
        return given
    return next((kind for kind, hints in _HINTS if any(hint in schema for hint in hints)), "string")
