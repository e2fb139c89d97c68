"""The keys of config.toml that this engine understands, as one table of kinds.

Unknown keys are fine: they stay in the merged table for whoever reads them later. Names and variants are the
reference's (0.125.0). Nothing here reads files; paths inside values are made absolute by `absolute`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from engine.config.features import ALIASES, FEATURES
from engine.config.mcp_servers import MCP_SERVER
from engine.config.providers import RESERVED
from engine.config.values import (
    Choice,
    Flag,
    Kind,
    ListOf,
    Mismatch,
    Section,
    TableOf,
    Text,
    Whole,
)
from engine.config.values import (
    Path as Keys,
)

Table = dict[str, Any]

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
SANDBOX_MODES = ("read-only", "workspace-write", "danger-full-access")
TRUST_LEVELS = ("trusted", "untrusted")

GRANULAR = Section(
    {
        "sandbox_approval": Flag(),
        "rules": Flag(),
        "skill_approval": Flag(),
        "request_permissions": Flag(),
        "mcp_elicitations": Flag(),
    },
    required=("sandbox_approval", "rules", "mcp_elicitations"),
)
APPROVAL_POLICY = Choice(
    ("untrusted", "on-failure", "on-request", "granular", "never"), tables=(("granular", GRANULAR),)
)

NO_CHAT = (
    '`wire_api = "chat"` is no longer supported.\n'
    'How to fix: set `wire_api = "responses"` in your provider config.\n'
    "More info: https://github.com/openai/codex/discussions/7782"
)

PROVIDER = Section(
    {
        "name": Text(),
        "base_url": Text(),
        "env_key": Text(),
        "env_key_instructions": Text(),
        "experimental_bearer_token": Text(),
        "wire_api": Choice(("responses",), gone=(("chat", NO_CHAT),)),
        "query_params": TableOf(Text()),
        "http_headers": TableOf(Text()),
        "env_http_headers": TableOf(Text()),
        "request_max_retries": Whole("u64"),
        "stream_max_retries": Whole("u64"),
        "stream_idle_timeout_ms": Whole("u64"),
        "websocket_connect_timeout_ms": Whole("u64"),
        "requires_openai_auth": Flag(),
        "supports_websockets": Flag(),
    }
)


class Providers(msgspec.Struct, frozen=True):
    """`[model_providers]`: none may take the id of a built-in one, and each has a name."""

    kind: TableOf

    def check(self, value: object, at: Keys) -> None:
        """:raises Mismatch: at the whole table, as the reference does, or for the first bad value"""
        self.kind.check(value, at)
        assert isinstance(value, Mapping)
        taken = ", ".join(f"`{key}`" for key in value if key in RESERVED)
        if taken:
            raise Mismatch(
                at,
                f"model_providers contains reserved built-in provider IDs: {taken}."
                " Built-in providers cannot be overridden. Rename your custom provider (for example,"
                " `openai-custom`).",
            )
        for key, settings in value.items():
            if not settings.get("name", "").strip():
                raise Mismatch(at, f"model_providers.{key}: provider name must not be empty")


# Flags that may also be a table with settings of their own.
_FEATURE_TABLES = ("multi_agent_v2",)

# What a profile may set as well as the top level.
PROFILE_KEYS: dict[str, Kind] = {
    "model": Text(),
    "model_provider": Text(),
    "approval_policy": APPROVAL_POLICY,
    "approvals_reviewer": Choice(("user", "auto_review"), also=("guardian_subagent",)),
    "sandbox_mode": Choice(SANDBOX_MODES),
    "model_reasoning_effort": Choice(EFFORTS),
    "plan_mode_reasoning_effort": Choice(EFFORTS),
    "model_reasoning_summary": Choice(("auto", "concise", "detailed", "none")),
    "model_verbosity": Choice(("low", "medium", "high")),
    "model_catalog_json": Text(file=True),
    "model_instructions_file": Text(file=True),
    "experimental_compact_prompt_file": Text(file=True),
    "personality": Choice(("none", "friendly", "pragmatic")),
    "service_tier": Choice(("fast", "flex")),
    "web_search": Choice(("disabled", "cached", "live")),
    "chatgpt_base_url": Text(),
    "experimental_use_freeform_apply_patch": Flag(),
    "experimental_use_unified_exec_tool": Flag(),
    "include_environment_context": Flag(),
    "include_permissions_instructions": Flag(),
    "features": Section({name: Flag() for name in (*FEATURES, *ALIASES) if name not in _FEATURE_TABLES}),
}

TOP_LEVEL = Section(
    {
        **PROFILE_KEYS,
        "profile": Text(),
        "profiles": TableOf(Section(PROFILE_KEYS)),
        "model_providers": Providers(TableOf(PROVIDER)),
        "model_context_window": Whole(),
        "model_auto_compact_token_limit": Whole(),
        "model_supports_reasoning_summaries": Flag(),
        "review_model": Text(),
        "allow_login_shell": Flag(),
        "tool_output_token_limit": Whole("usize"),
        "openai_base_url": Text(),
        "instructions": Text(),
        "developer_instructions": Text(),
        "compact_prompt": Text(),
        "default_permissions": Text(),
        "permissions": Section({}),
        "sandbox_workspace_write": Section(
            {
                "writable_roots": ListOf(Text(file=True)),
                "network_access": Flag(),
                "exclude_tmpdir_env_var": Flag(),
                "exclude_slash_tmp": Flag(),
            },
            called="struct SandboxWorkspaceWrite",
        ),
        "shell_environment_policy": Section(
            {
                "inherit": Choice(("core", "all", "none")),
                "ignore_default_excludes": Flag(),
                "exclude": ListOf(Text()),
                "set": TableOf(Text()),
                "include_only": ListOf(Text()),
            }
        ),
        "commit_attribution": Text(),
        "disable_paste_burst": Flag(),
        "project_doc_max_bytes": Whole("usize"),
        "project_doc_fallback_filenames": ListOf(Text()),
        "project_root_markers": ListOf(Text()),
        "projects": TableOf(Section({"trust_level": Choice(TRUST_LEVELS)})),
        "hide_agent_reasoning": Flag(),
        "show_raw_agent_reasoning": Flag(),
        "history": Section({"persistence": Choice(("save-all", "none")), "max_bytes": Whole("usize")}),
        "notify": ListOf(Text()),
        "forced_login_method": Choice(("chatgpt", "api")),
        "forced_chatgpt_workspace_id": Text(),
        "cli_auth_credentials_store": Choice(("file", "keyring", "auto", "ephemeral")),
        "skills": Section(
            {
                "bundled": Section({"enabled": Flag()}),
                "include_instructions": Flag(),
                "config": ListOf(
                    Section(
                        {"name": Text(), "path": Text(file=True), "enabled": Flag()},
                        required=("enabled",),
                        called="struct SkillConfig",
                    )
                ),
            }
        ),
        "mcp_servers": TableOf(MCP_SERVER),
        "mcp_oauth_callback_port": Whole("u16"),
        "mcp_oauth_credentials_store": Choice(("auto", "file", "keyring")),
    }
)


def absolute(table: Mapping[str, Any], base: Path) -> Table:
    """A copy of the table in which paths are absolute: `~` is HOME, others are joined to `base`.

    Values of a wrong type stay as they are; the check names them.
    """
    return {key: _absolute(TOP_LEVEL.keys.get(key), value, base) for key, value in table.items()}


def _absolute(kind: Kind | None, value: Any, base: Path) -> Any:
    if isinstance(kind, Text) and kind.file and isinstance(value, str):
        return os.path.normpath(base / os.path.expanduser(value))
    if isinstance(kind, ListOf) and isinstance(value, list):
        return [_absolute(kind.kind, entry, base) for entry in value]
    if isinstance(kind, Section) and isinstance(value, Mapping):
        return {key: _absolute(kind.keys.get(key), inner, base) for key, inner in value.items()}
    if isinstance(kind, TableOf) and isinstance(value, Mapping):
        return {key: _absolute(kind.kind, inner, base) for key, inner in value.items()}
    return value
