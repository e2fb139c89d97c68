"""The keys of `[mcp_servers.NAME]`: their kinds, and which of them go together.

Part of the table of keys (`schema`). A server is reached over stdio (`command`) or over HTTP (`url`); what belongs to
the other way is refused with the reference's words.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from engine.config.values import Choice, Flag, ListOf, Mismatch, Path, Section, TableOf, Text, Whole, described

APPROVAL_MODES = ("auto", "prompt", "approve")


MOST_SECONDS = 2.0**64
_VARIABLE_SOURCES = ("local", "remote")


class Seconds(msgspec.Struct, frozen=True):
    """A length of time in seconds, whole or not; with `whole_server`, `McpServer` refuses what is no length."""

    whole_server: bool = False

    def check(self, value: object, at: Path) -> None:
        """:raises Mismatch: if it is no number, or no length"""
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise Mismatch(at, f"invalid type: {described(value)}, expected f64")
        if not self.whole_server:
            _refuse_no_length(value, at)


class Folder(msgspec.Struct, frozen=True):
    """A path, taken as it is."""

    def check(self, value: object, at: Path) -> None:
        """:raises Mismatch: if it is no string"""
        if not isinstance(value, str):
            raise Mismatch(at, f"invalid type: {described(value)}, expected path string")


class Variable(msgspec.Struct, frozen=True):
    """The name of a variable, or a table with it and where it is taken from, which `McpServer` looks at."""

    def check(self, value: object, at: Path) -> None:
        """:raises Mismatch: if it is neither"""
        if isinstance(value, str):
            return
        given = value if isinstance(value, Mapping) else {}
        if not isinstance(given.get("name"), str) or not isinstance(given.get("source", ""), str):
            raise Mismatch(at, "data did not match any variant of untagged enum McpServerEnvVar")


class Tool(msgspec.Struct, frozen=True):
    """What is said of one tool."""

    keys: Section

    def check(self, value: object, at: Path) -> None:
        """:raises Mismatch: for a bad value"""
        if not isinstance(value, Mapping):
            raise Mismatch(at, f"invalid type: {described(value)}, expected struct McpServerToolConfig")
        self.keys.check(value, at)


class McpServer(msgspec.Struct, frozen=True):
    """One server."""

    keys: Section

    def check(self, value: object, at: Path) -> None:
        """:raises Mismatch: for a bad value, or for keys of both transports"""
        if not isinstance(value, Mapping):
            raise Mismatch(at, f"invalid type: {described(value)}, expected struct RawMcpServerConfig")
        self.keys.check(value, at)
        _refuse_no_length(value.get("startup_timeout_sec", 0), at)
        for variable in value.get("env_vars", ()):
            source = variable.get("source", "local") if isinstance(variable, Mapping) else "local"
            if source not in _VARIABLE_SOURCES:
                raise Mismatch(at, f"unsupported env_vars source `{source}`; expected `local` or `remote`")
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


def _refuse_no_length(value: float, at: Path) -> None:
    if value < 0:
        raise Mismatch(at, "cannot convert float seconds to Duration: value is negative")
    if not value < MOST_SECONDS:
        raise Mismatch(at, "cannot convert float seconds to Duration: value is either too big or NaN")


def _refuse(value: Mapping[str, object], at: Path, keys: tuple[str, ...], transport: str) -> None:
    for key in keys:
        if key in value:
            raise Mismatch(at, f"{key} is not supported for {transport}")


_HTTP_ONLY = ("url", "bearer_token_env_var", "bearer_token", "http_headers", "env_http_headers", "oauth_resource")
_STDIO_ONLY = ("args", "env", "env_vars", "cwd", "bearer_token")
_MODE = Choice(APPROVAL_MODES)

MCP_SERVER = McpServer(
    Section(
        {
            "command": Text(),
            "args": ListOf(Text()),
            "env": TableOf(Text()),
            "env_vars": ListOf(Variable()),
            "cwd": Folder(),
            "experimental_environment": Text(),
            "url": Text(),
            "bearer_token_env_var": Text(),
            "http_headers": TableOf(Text()),
            "env_http_headers": TableOf(Text()),
            "scopes": ListOf(Text()),
            "oauth_resource": Text(),
            "enabled": Flag(),
            "required": Flag(),
            "supports_parallel_tool_calls": Flag(),
            "startup_timeout_sec": Seconds(whole_server=True),
            "startup_timeout_ms": Whole("u64"),
            "tool_timeout_sec": Seconds(),
            "enabled_tools": ListOf(Text()),
            "disabled_tools": ListOf(Text()),
            "default_tools_approval_mode": _MODE,
            "tools": TableOf(Tool(Section({"approval_mode": _MODE}))),
        }
    )
)
