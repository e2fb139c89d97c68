"""Which MCP servers a thread has: `[mcp_servers.NAME]` of its (checked) configuration, typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from engine.config import Config
from engine.headers import sendable

STARTUP_SECONDS = 30.0
TOOL_SECONDS = 120.0

ApprovalMode = Literal["auto", "prompt", "approve"]


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One server; times in seconds. Either `command` is set (stdio) or `url` (streamable HTTP)."""

    name: str
    command: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    env_vars: tuple[str, ...] = ()
    """Names of variables of this process that the server gets too."""
    elsewhere: str | None = None
    """Why it cannot run here, if it is meant for another machine."""
    cwd: str | None = None
    url: str | None = None
    bearer_token_env_var: str | None = None
    http_headers: dict[str, str] = {}
    env_http_headers: dict[str, str] = {}
    """Header -> name of the variable that holds its value."""
    scopes: tuple[str, ...] | None = None
    enabled: bool = True
    required: bool = False
    """A thread does not start without it."""
    startup_seconds: float = STARTUP_SECONDS
    tool_seconds: float = TOOL_SECONDS
    enabled_tools: frozenset[str] | None = None
    disabled_tools: frozenset[str] = frozenset()
    supports_parallel_tool_calls: bool = False
    """Whether its tools may run beside other calls."""
    approval_mode: ApprovalMode = "auto"
    tool_modes: dict[str, ApprovalMode] = {}

    def offers(self, tool: str) -> bool:
        """Whether the configuration lets the model see this tool."""
        listed = self.enabled_tools is None or tool in self.enabled_tools
        return listed and tool not in self.disabled_tools

    def headers(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The headers of requests to it, but for the token."""
        looked_up = {header: environment.get(name, "") for header, name in self.env_http_headers.items()}
        return sendable(self.http_headers | {header: value for header, value in looked_up.items() if value.strip()})

    def mode(self, tool: str) -> ApprovalMode:
        """How calls of this tool are approved."""
        return self.tool_modes.get(tool, self.approval_mode)


def servers(config: Config) -> dict[str, ServerConfig]:
    """All configured servers by name, in name order; those that are switched off too."""
    table: Mapping[str, Mapping[str, Any]] = config.get("mcp_servers", {})
    return {name: server(name, table[name]) for name in sorted(table)}


def server(name: str, table: Mapping[str, Any]) -> ServerConfig:
    """One server from its (checked) table."""
    known = {key: table[key] for key in _PLAIN if key in table}
    if "startup_timeout_sec" in table:
        known["startup_seconds"] = table["startup_timeout_sec"]
    elif "startup_timeout_ms" in table:
        known["startup_seconds"] = table["startup_timeout_ms"] / 1000
    if "tool_timeout_sec" in table:
        known["tool_seconds"] = table["tool_timeout_sec"]
    if "default_tools_approval_mode" in table:
        known["approval_mode"] = table["default_tools_approval_mode"]
    variables = [each if isinstance(each, Mapping) else {"name": each} for each in table.get("env_vars", ())]
    known["env_vars"] = [each["name"] for each in variables]
    known["elsewhere"] = _elsewhere(name, table, variables)
    modes = {tool: each["approval_mode"] for tool, each in table.get("tools", {}).items() if "approval_mode" in each}
    return msgspec.convert({**known, "name": name, "tool_modes": modes}, ServerConfig)


def _elsewhere(name: str, table: Mapping[str, Any], variables: Sequence[Mapping[str, Any]]) -> str | None:
    if table.get("experimental_environment") == "remote":
        return f"remote MCP server `{name}` requires a remote executor environment"
    remote = next((each["name"] for each in variables if each.get("source") == "remote"), None)
    return remote and f"env_vars entry `{remote}` uses source `remote`, which requires remote MCP stdio"


_MADE = {"name", "startup_seconds", "tool_seconds", "approval_mode", "tool_modes", "env_vars", "elsewhere"}
_PLAIN = frozenset(ServerConfig.__struct_fields__) - _MADE
