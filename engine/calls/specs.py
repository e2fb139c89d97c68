"""The tools offered with a request, in the reference's order (spec tools 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from engine.calls.builtin import APPLY_PATCH_FUNCTION, FUNCTIONS, VIEW_IMAGE_IN_DETAIL, function, text, without
from engine.calls.dynamic_specs import dynamic_specs
from engine.calls.offers import listed, web_search_mode

if TYPE_CHECKING:
    from engine.mcp.servers import Servers
    from engine.settings import Settings


def tool_specs(settings: Settings, mcp: Servers) -> tuple[msgspec.Raw, ...]:
    """What the model may call in a turn with these settings."""
    names = listed(settings)
    ours = [_spec(name, settings) for name in names]
    shells = sum(name in _SHELLS for name in names)
    return (
        *ours[:shells],
        *(MCP_RESOURCES if mcp.any else ()),
        *ours[shells:],
        *mcp.specs(),
        *dynamic_specs(settings.dynamic_tools or ()),
    )


_SHELLS = frozenset({"exec_command", "write_stdin", "shell_command", "shell"})


def _spec(name: str, settings: Settings) -> msgspec.Raw:
    info = settings.info
    if name == "web_search":
        return _web_search(settings)
    if name == "apply_patch" and info.apply_patch_tool_type == "function":
        return APPLY_PATCH_FUNCTION
    if name == "view_image" and info.supports_image_detail_original:
        return VIEW_IMAGE_IN_DETAIL
    spec = FUNCTIONS[name]
    return spec if settings.config.get("allow_login_shell", True) else without(spec, "login")


def _web_search(settings: Settings) -> msgspec.Raw:
    """Search is the provider's own tool; `[tools.web_search]` narrows it."""
    wanted = settings.config.get("tools.web_search")
    table: dict[str, Any] = wanted if isinstance(wanted, dict) else {}
    spec: dict[str, Any] = {"type": "web_search", "external_web_access": web_search_mode(settings) == "live"}
    if table.get("allowed_domains") is not None:
        spec["filters"] = {"allowed_domains": table["allowed_domains"]}
    if table.get("location") is not None:
        spec["user_location"] = {"type": "approximate", **table["location"]}
    if table.get("context_size") is not None:
        spec["search_context_size"] = table["context_size"]
    if settings.info.web_search_tool_type == "text_and_image":
        spec["search_content_types"] = ["text", "image"]
    return msgspec.Raw(msgspec.json.encode(spec))


_OF_SERVER = {
    "server": text("Name of one MCP server; without it all servers are asked."),
    "cursor": text("Cursor of the next page, from an earlier call for this server."),
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
            "server": text("Name of the server, as the listing gives it."),
            "uri": text("URI of the resource, as the listing gives it."),
        },
        ["server", "uri"],
    ),
)
