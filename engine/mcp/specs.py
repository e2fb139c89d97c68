"""MCP tools as a request to the model lists them: one namespace entry for each server. Pure.

Schemas come from the servers and may be anything; what the model API takes of them is `engine.calls.schemas`' business.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from engine.calls.builtin import function_entry
from engine.calls.schemas import accepted
from engine.mcp.tools import Tool


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
    given = tool.input_schema if isinstance(tool.input_schema, dict) else {}
    parameters = {"properties": {}, **accepted(given), "type": "object"}
    return function_entry(tool.named.name, tool.description or "", parameters)
