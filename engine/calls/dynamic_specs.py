"""Tools that a client offers: which ones it may offer, and how the model sees them (spec tools 7)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from engine.calls.builtin import function_entry
from engine.calls.schemas import accepted, refusal
from rollouts import events as ev


def refused(tools: Iterable[ev.DynamicToolSpec]) -> str | None:
    """Why a client may not offer these tools; None if it may (texts observed)."""
    seen: set[tuple[str | None, str]] = set()
    for tool in tools:
        reason = _bad_name(tool) or _bad_namespace(tool)
        if reason is not None:
            return reason
        if (tool.namespace, tool.name) in seen:
            where = f" in namespace {tool.namespace}" if tool.namespace else ""
            return f"duplicate dynamic tool name{where}: {tool.name}"
        seen.add((tool.namespace, tool.name))
        if tool.defer_loading and tool.namespace is None:
            return f"deferred dynamic tool must include a namespace: {tool.name}"
        reason = refusal(msgspec.json.decode(tool.input_schema))
        if reason is not None:
            return f"dynamic tool input schema is not supported for {tool.name}: {reason}"
    return None


def dynamic_specs(tools: Iterable[ev.DynamicToolSpec]) -> list[msgspec.Raw]:
    """The entries for these tools; those of a namespace stand together where its first one stands.

    A tool whose loading is deferred is not listed.
    """
    return entries(tool for tool in tools if not tool.defer_loading)


def entries(tools: Iterable[ev.DynamicToolSpec]) -> list[msgspec.Raw]:
    """The entries for all of these tools; that one was deferred is said in its entry."""
    listed: list[dict[str, Any]] = []
    spaces: dict[str, list[dict[str, Any]]] = {}
    for tool in tools:
        entry = function_entry(tool.name, tool.description, accepted(msgspec.json.decode(tool.input_schema)))
        if tool.defer_loading:
            parameters = entry.pop("parameters")
            entry |= {"defer_loading": True, "parameters": parameters}
        if tool.namespace is None:
            listed.append(entry)
            continue
        if tool.namespace not in spaces:
            spaces[tool.namespace] = []
            listed.append(
                {
                    "type": "namespace",
                    "name": tool.namespace,
                    "description": f"Tools in the {tool.namespace} namespace.",
                    "tools": spaces[tool.namespace],
                }
            )
        spaces[tool.namespace].append(entry)
    return [msgspec.Raw(msgspec.json.encode(entry)) for entry in listed]


def _bad_name(tool: ev.DynamicToolSpec) -> str | None:
    name = tool.name
    if not name.strip():
        return "dynamic tool name must not be empty"
    if name != name.strip():
        return f"dynamic tool name has leading/trailing whitespace: {name}"
    return f"dynamic tool name is reserved: {name}" if _reserved(name) else None


def _bad_namespace(tool: ev.DynamicToolSpec) -> str | None:
    space = tool.namespace
    if space is None:
        return None
    if not space.strip():
        return f"dynamic tool namespace must not be empty for {tool.name}"
    if space != space.strip():
        return f"dynamic tool namespace has leading/trailing whitespace for {tool.name}: {space.strip()}"
    return f"dynamic tool namespace is reserved for {tool.name}: {space}" if _reserved(space) else None


def _reserved(name: str) -> bool:
    return name == "mcp" or name.startswith("mcp__")
