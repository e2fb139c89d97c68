"""One tool of an MCP server, as the engine knows it."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.mcp.config import ApprovalMode
from engine.mcp.naming import Named


class Hints(msgspec.Struct, frozen=True, rename="camel"):
    """What the server says of the effects of a tool; nothing is promised where it says nothing."""

    read_only_hint: bool | None = None
    destructive_hint: bool | None = None
    open_world_hint: bool | None = None


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool with the names the model uses for it."""

    named: Named
    title: str | None
    description: str | None
    input_schema: Any
    hints: Hints
    resource_uri: str | None
    """The `ui://` resource that shows its results, for clients to fetch beforehand (seed)."""
    mode: ApprovalMode
    parallel: bool = False
    """Whether it may run beside other calls."""

    @property
    def server(self) -> str:
        """Name of its server."""
        return self.named.server

    @property
    def name(self) -> str:
        """Its own name."""
        return self.named.tool


def resource_uri(meta: object) -> str | None:
    """The UI resource that a tool's `_meta` names, in the nested or in the flat form."""
    if not isinstance(meta, dict):
        return None
    nested = meta.get("ui")
    found = nested.get("resourceUri") if isinstance(nested, dict) else None
    if found is None:
        found = meta.get("ui/resourceUri")
    return found if isinstance(found, str) else None
