"""The tools as the model sees them: names, arguments and their types are the reference's, descriptions ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from engine.mcp.servers import Servers
    from engine.settings import Settings


def tool_specs(settings: Settings, mcp: Servers) -> tuple[msgspec.Raw, ...]:
    """The tools offered with a request, in the reference's order (spec tools 1)."""
    return (*(MCP_RESOURCES if mcp.any else ()), UPDATE_PLAN, *mcp.specs())


def function(name: str, description: str, properties: dict[str, Any], required: Sequence[str] = ()) -> msgspec.Raw:
    """One function tool."""
    return msgspec.Raw(
        msgspec.json.encode(
            {
                "type": "function",
                "name": name,
                "description": description,
                "strict": False,
                "parameters": {
                    "type": "object",
                    "properties": properties,
                    **({"required": required} if required else {}),
                    "additionalProperties": False,
                },
            }
        )
    )


UPDATE_PLAN = function(
    "update_plan",
    "Keep the checklist of the task: give all steps each time, each with its status; at most one is in_progress.",
    {
        "explanation": {"type": "string", "description": "Why the plan changed, in a sentence."},
        "plan": {
            "type": "array",
            "description": "All steps, in order.",
            "items": {
                "type": "object",
                "properties": {
                    "step": {"type": "string", "description": "What is done in this step."},
                    "status": {"type": "string", "enum": ["pending", "in_progress", "completed"]},
                },
                "required": ["step", "status"],
                "additionalProperties": False,
            },
        },
    },
    ["plan"],
)

_OF_SERVER = {
    "server": {"type": "string", "description": "Name of one MCP server; without it all servers are asked."},
    "cursor": {"type": "string", "description": "Cursor of the next page, from an earlier call for this server."},
}
MCP_RESOURCES = (
    function(
        "list_mcp_resources",
        "List the resources of MCP servers: files, schemas and other context that they share.",
        _OF_SERVER,
    ),
    function(
        "list_mcp_resource_templates",
        "List the resource templates of MCP servers: resources whose URI takes parameters.",
        _OF_SERVER,
    ),
    function(
        "read_mcp_resource",
        "Read one resource of an MCP server.",
        {
            "server": {"type": "string", "description": "Name of the server, as the listing gives it."},
            "uri": {"type": "string", "description": "URI of the resource, as the listing gives it."},
        },
        ["server", "uri"],
    ),
)
