"""The keys of `[mcp_servers.NAME]`: their kinds, and which of them go together.

Part of the table of keys (`schema`). A server is reached over stdio (`command`) or over HTTP (`url`); what belongs to
the other way is refused with the reference's words.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from engine.config.values import Choice, Flag, ListOf, Mismatch, Path, Section, TableOf, Text, Whole, described

APPROVAL_MODES = ("auto", "prompt", "approve")


class Seconds(msgspec.Struct, frozen=True):
    """A length of time in seconds, whole or not; negative ones are for `McpServer` to refuse."""

    def check(self, value: object, at: Path) -> None:
        """:raises Mismatch: if it is no number"""
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise Mismatch(at, f"invalid type: {described(value)}, expected f64")


class McpServer(msgspec.Struct, frozen=True):
    """One server."""

    keys: Section

    def check(self, value: object, at: Path) -> None:
        """:raises Mismatch: for a bad value, or for keys of both transports"""
        if not isinstance(value, Mapping):
            raise Mismatch(at, f"invalid type: {described(value)}, expected struct RawMcpServerConfig")
        self.keys.check(value, at)
        for key in ("startup_timeout_sec", "tool_timeout_sec"):
            if value.get(key, 0) < 0:
                raise Mismatch(at, "cannot convert float seconds to Duration: value is negative")
        if "command" in value:
            _refuse(value, at, _HTTP_ONLY, "stdio")
        elif "url" in value:
            _refuse(value, at, _STDIO_ONLY, "streamable_http")


def complete(table: Mapping[str, object]) -> None:
    """Check what only holds for all layers together: every server can be reached somehow.

    :raises Mismatch: for the first one that cannot
    """
    servers = table.get("mcp_servers", {})
    assert isinstance(servers, Mapping)  # checked before
    for name, server in servers.items():
        if "command" not in server and "url" not in server:
            raise Mismatch(("mcp_servers", name), "invalid transport")


def _refuse(value: Mapping[str, object], at: Path, keys: tuple[str, ...], transport: str) -> None:
    for key in keys:
        if key in value:
            raise Mismatch(at, f"{key} is not supported for {transport}")


_HTTP_ONLY = ("url", "bearer_token_env_var", "bearer_token", "http_headers", "env_http_headers")
_STDIO_ONLY = ("args", "env", "env_vars", "cwd", "bearer_token")
_MODE = Choice(APPROVAL_MODES)

MCP_SERVER = McpServer(
    Section(
        {
            "command": Text(),
            "args": ListOf(Text()),
            "env": TableOf(Text()),
            "env_vars": ListOf(Text()),
            "cwd": Text(),
            "url": Text(),
            "bearer_token_env_var": Text(),
            "http_headers": TableOf(Text()),
            "env_http_headers": TableOf(Text()),
            "scopes": ListOf(Text()),
            "oauth_resource": Text(),
            "enabled": Flag(),
            "required": Flag(),
            "supports_parallel_tool_calls": Flag(),
            "startup_timeout_sec": Seconds(),
            "startup_timeout_ms": Whole("u64"),
            "tool_timeout_sec": Seconds(),
            "enabled_tools": ListOf(Text()),
            "disabled_tools": ListOf(Text()),
            "default_tools_approval_mode": _MODE,
            "tools": TableOf(Section({"approval_mode": _MODE})),
        }
    )
)
