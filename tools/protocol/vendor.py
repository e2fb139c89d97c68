"""Makes `schemas.json` from what the reference says about itself; run by hand when the reference moves on.

Inputs are folders written by the reference's `app-server generate-json-schema` (once plain, once with
`--experimental`) and `app-server generate-ts --experimental`. Output is one flat set of definitions whose
`properties` stand in wire order, with two keywords of ours: `x-omit` (members left out when unset) and
`x-keep` (members where null and absent differ), and the tables of methods. Everything is data about the
protocol; prose is dropped. What recorded traffic shows to be otherwise is in `overrides.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tools.protocol import typescript as ts

Schema = dict[str, Any]

_RESPONSE_OF = {
    "memory/reset": "MemoryResetResponse",
    "config/mcpServer/reload": "McpServerRefreshResponse",
    "account/logout": "LogoutAccountResponse",
    "account/rateLimits/read": "GetAccountRateLimitsResponse",
    "configRequirements/read": "ConfigRequirementsReadResponse",
    "config/value/write": "ConfigWriteResponse",
    "config/batchWrite": "ConfigWriteResponse",
}
# Their schemas have members for reading old files that the bindings lack; we pass them through as raw JSON.
_UNORDERED = {"ResponseItem", "LocalShellAction", "ResponsesApiWebSearchAction"}


def vendor(version: str, stable: Path, experimental: Path, bindings: Path) -> str:
    """The text of `schemas.json`. Raises `ValueError` when the inputs contradict each other."""
    old, new = _definitions(stable), _definitions(experimental)
    types = ts.load(bindings) | ts.load(bindings / "v2")
    outer = ts.load(bindings)
    client = _client_methods(outer["ClientRequest"])
    new |= _missing(new, (name for row in client for name in row[1:] if name), types)
    server = [
        (method, params, params.removesuffix("Params") + "Response")
        for method, params in _branches(new["ServerRequest"], "params")
    ]
    notifications = _notifications(outer["ServerNotification"])
    roots = [name for row in [*client, *server, *notifications] for name in row[1:] if name]
    kept = reachable(new, roots)
    lost = {name for name in kept if not _put_in_order(new[name], types.get(name), outer.get(name))}
    if lost - _UNORDERED:
        raise ValueError(f"no binding has the members of {sorted(lost - _UNORDERED)}")
    plain = {method for method, _ in _branches(old["ClientRequest"], "params")}
    known = {method for method, _ in _branches(new["ClientRequest"], "params")}
    fields = {
        method: sorted(set(new[params]["properties"]) - set(old[params].get("properties", {})))
        for method, params, _ in client
        if method in plain and params and "properties" in new[params]
    }
    tables: list[tuple[str, list[Any] | dict[str, Any]]] = [
        ("client", client),
        ("server", server),
        ("notifications", notifications),
        ("experimental_methods", sorted(known - plain)),
        ("experimental_fields", {method: names for method, names in fields.items() if names}),
        ("definitions", {name: new[name] for name in sorted(kept)}),
    ]
    return _text(version, tables)


def reachable(definitions: Mapping[str, Schema], roots: Iterable[str]) -> set[str]:
    """Names of the definitions that the roots refer to, themselves included."""
    found: set[str] = set()
    todo = list(roots)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(_references(definitions[name]))
    return found


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(ref := schema.get("$ref"), str):
            yield ref.rpartition("/")[2]
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _put_in_order(schema: Schema, *candidates: ts.Type | None) -> bool:
    """Give the schema's properties the order of the first candidate that has the same; False if none has."""
    return not _has_properties(schema) or any(_align(schema, t) for t in candidates if t is not None)


def _has_properties(schema: Any) -> bool:
    if isinstance(schema, dict):
        return "properties" in schema or any(map(_has_properties, schema.values()))
    return isinstance(schema, list) and any(map(_has_properties, schema))


def _text(version: str, tables: list[tuple[str, list[Any] | dict[str, Any]]]) -> str:
    """JSON with one entry of each table on a line, so that a new version gives a readable diff."""
    dump = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
    parts = [f'"version":{dump(version)}']
    for name, table in tables:
        if isinstance(table, dict):
            rows = ",\n".join(f"{dump(key)}:{dump(value)}" for key, value in table.items())
            parts.append(f"{dump(name)}:{{\n{rows}\n}}")
        else:
            parts.append(f"{dump(name)}:[\n" + ",\n".join(map(dump, table)) + "\n]")
    return "{" + ",\n".join(parts) + "}\n"


def _definitions(folder: Path) -> dict[str, Schema]:
    raw = json.loads((folder / "codex_app_server_protocol.schemas.json").read_text())["definitions"]
    merged = {name: schema for name, schema in raw.items() if name != "v2"} | raw["v2"]
    return {name: _clean(schema) for name, schema in merged.items()}


def _clean(schema: Any) -> Any:
    """A schema without prose and titles, with flat references."""
    if not isinstance(schema, dict):
        return schema
    out: Schema = {}
    for key, value in schema.items():
        if key in {"description", "title", "$schema"}:
            continue
        if key == "$ref":
            out[key] = "#/definitions/" + value.rsplit("/", 1)[1]
        elif key == "properties":
            out[key] = {name: _clean(member) for name, member in value.items()}
        elif key in {"items", "additionalProperties"}:
            out[key] = _clean(value)
        elif key in {"oneOf", "anyOf", "allOf"}:
            out[key] = [_clean(option) for option in value]
        else:
            out[key] = value
    return out


def _branches(schema: Schema, member: str) -> Iterator[tuple[str, str]]:
    """(method, name of the type of `member` or "") of an envelope's variants."""
    for option in schema["oneOf"]:
        properties = option["properties"]
        ref = properties.get(member, {}).get("$ref", "")
        yield properties["method"]["enum"][0], ref.rpartition("/")[2]


def _members(option: ts.Type) -> dict[str, str]:
    """Member -> word or type name of one variant of an envelope."""
    found: dict[str, str] = {}
    for member in option.members if isinstance(option, ts.Object) else ():
        if isinstance(member.type, ts.Const):
            found[member.key] = member.type.value
        elif isinstance(member.type, ts.Name):
            found[member.key] = member.type.name
    return found


def _client_methods(union: ts.Type) -> list[tuple[str, str | None, str]]:
    """(method, params type or None, response type) in the order of the reference's error text."""
    found: list[tuple[str, str | None, str]] = []
    for members in map(_members, ts.options(union)):
        method = members["method"]
        params = members["params"] if members["params"] != "undefined" else None
        response = _RESPONSE_OF.get(method) or f"{(params or '').removesuffix('Params')}Response"
        found.append((method, params, response))
    return found


def _notifications(union: ts.Type) -> list[tuple[str, str]]:
    """(method, params type); the bindings also name the one that only subscribers to raw events get."""
    return [(members["method"], members["params"]) for members in map(_members, ts.options(union))]


def _objects(type_: ts.Type) -> Iterator[ts.Object]:
    """The objects a type may be; an intersection gives each combination as one object."""
    match type_:
        case ts.Object():
            yield type_
        case ts.Union(options):
            for option in options:
                yield from _objects(option)
        case ts.Both():
            combined = [ts.Object(())]
            for part in type_.parts:
                combined = [ts.Object(a.members + b.members) for a in combined for b in _objects(part)]
            yield from combined


def _align(schema: Schema, type_: ts.Type, outer: Mapping[str, Schema] | None = None) -> bool:
    """Put the properties of every object in `schema` into the order of `type_`; False if none matches."""
    matched = True
    base = dict(outer or {}) | schema.get("properties", {})
    for option in [*schema.get("oneOf", ()), *schema.get("anyOf", ())]:
        matched &= _align(option, type_, base)
    if schema.get("oneOf"):
        keys = [member.key for candidate in _objects(type_) for member in candidate.members]
        shared = schema.get("properties", {})
        schema |= {"properties": {key: shared[key] for key in keys if key in shared}} if shared else {}
    if "properties" not in schema or schema.get("oneOf"):
        return matched
    for candidate in _objects(type_):
        keys = [member.key for member in candidate.members]
        if set(keys) == set(base) and _same_tag(schema, candidate):
            _order(schema, candidate)
            return matched
    return False


def _same_tag(schema: Schema, candidate: ts.Object) -> bool:
    for member in candidate.members:
        if isinstance(member.type, ts.Const):
            enum = schema["properties"].get(member.key, {}).get("enum", [member.type.value])
            if enum != [member.type.value]:
                return False
    return True


def _order(schema: Schema, source: ts.Object) -> None:
    properties = schema["properties"]
    schema["properties"] = {m.key: properties[m.key] for m in source.members if m.key in properties}
    omit = [m.key for m in source.members if m.optional and not _nullable(m.type)]
    keep = [m.key for m in source.members if m.optional and _nullable(m.type) > 1]
    if omit:
        schema["x-omit"] = omit
    if keep:
        schema["x-keep"] = keep
    for member in source.members:
        inner = properties.get(member.key)
        if isinstance(inner, dict) and "properties" in inner:
            _align(inner, member.type)


def _nullable(type_: ts.Type) -> int:
    """How often null is an option: 2 is an optional of an optional, where absent and null differ."""
    return ts.options(type_).count(ts.Name("null"))


_SCALARS = {"string": "string", "boolean": "boolean", "number": "integer"}


def _missing(
    definitions: Mapping[str, Schema], names: Iterable[str], types: Mapping[str, ts.Type]
) -> dict[str, Schema]:
    """Schemas for types that only the bindings have, with what they refer to."""
    found: dict[str, Schema] = {}
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in definitions and name not in found:
            found[name] = _schema(types[name])
            todo.extend(_references(found[name]))
    return found


def _schema(type_: ts.Type) -> Schema:
    match type_:
        case ts.Object():
            required = [m.key for m in type_.members if not m.optional and not _nullable(m.type)]
            properties = {m.key: _schema(m.type) for m in type_.members}
            return {"type": "object", "required": required, "properties": properties}
        case ts.Union():
            return {"anyOf": [_schema(option) for option in type_.options]}
        case ts.Name(name="null"):
            return {"type": "null"}
        case ts.Name(name=name) if name in _SCALARS:
            return {"type": _SCALARS[name]}
        case ts.Name(name=name, args=()):
            return {"$ref": f"#/definitions/{name}"}
    raise ValueError(f"cannot express {type_!r}")
