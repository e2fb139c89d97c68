"""Feature flags: names, stages and defaults of the reference (0.125.0), and what `[features]` says on top."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec

Stage = Literal["underDevelopment", "beta", "stable", "deprecated", "removed"]


class Feature(msgspec.Struct, frozen=True):
    """A flag as `experimentalFeature/list` shows it."""

    name: str
    stage: Stage
    default: bool


# Name, stage, default; in the order of the reference's list. The last one is not in 0.125.0: the engine
# has it from 0.122.0 (spec: agent-identity).
_TABLE = """
undo stable off
shell_tool stable on
unified_exec stable on
shell_zsh_fork underDevelopment off
shell_snapshot stable on
js_repl beta off
code_mode underDevelopment off
code_mode_only underDevelopment off
js_repl_tools_only underDevelopment off
web_search_request deprecated off
web_search_cached deprecated off
search_tool removed off
codex_git_commit underDevelopment off
runtime_metrics underDevelopment off
general_analytics stable on
sqlite removed on
memories beta off
chronicle underDevelopment off
child_agents_md underDevelopment off
apply_patch_freeform underDevelopment off
apply_patch_streaming_events underDevelopment off
exec_permission_approvals underDevelopment off
codex_hooks stable on
request_permissions_tool underDevelopment off
use_linux_sandbox_bwrap removed off
use_legacy_landlock deprecated off
request_rule removed off
experimental_windows_sandbox removed off
elevated_windows_sandbox removed off
remote_models removed off
enable_request_compression stable on
multi_agent stable on
multi_agent_v2 underDevelopment off
enable_fanout underDevelopment off
apps stable on
tool_search stable on
tool_search_always_defer_mcp_tools underDevelopment off
unavailable_dummy_tools underDevelopment off
tool_suggest stable on
plugins stable on
in_app_browser stable on
browser_use stable on
computer_use stable on
remote_plugin underDevelopment off
external_migration beta off
image_generation stable on
skill_mcp_dependency_install stable on
skill_env_var_dependency_prompt underDevelopment off
steer removed on
default_mode_request_user_input underDevelopment off
guardian_approval stable on
collaboration_modes removed on
tool_call_mcp_elicitation stable on
personality stable on
artifact underDevelopment off
fast_mode stable on
realtime_conversation underDevelopment off
remote_control underDevelopment off
image_detail_original removed off
tui_app_server removed on
prevent_idle_sleep beta off
workspace_owner_usage_nudge underDevelopment off
responses_websockets removed off
responses_websockets_v2 removed off
workspace_dependencies stable on
use_agent_identity underDevelopment off
"""

FEATURES: Mapping[str, Feature] = {
    name: Feature(name, msgspec.convert(stage, Stage), default == "on")
    for name, stage, default in map(str.split, _TABLE.strip().splitlines())
}


#: Older names of flags.
ALIASES: Mapping[str, str] = {
    "collab": "multi_agent",
    "connectors": "apps",
    "enable_experimental_windows_sandbox": "experimental_windows_sandbox",
    "experimental_use_freeform_apply_patch": "apply_patch_freeform",
    "experimental_use_unified_exec_tool": "unified_exec",
    "memory_tool": "memories",
    "request_permissions": "exec_permission_approvals",
    "telepathy": "chronicle",
    "web_search": "web_search_request",
}

#: Older names that also stand at the top level of a configuration.
_OUTSIDE = ("experimental_use_freeform_apply_patch", "experimental_use_unified_exec_tool")


class Deprecation(NamedTuple):
    """A setting that will be no more: what it is, and what to do."""

    summary: str
    details: str


def flags(table: Mapping[str, Any]) -> dict[str, object]:
    """The flags of a configuration by the names it calls them."""
    return {name: table[name] for name in _OUTSIDE if name in table} | dict(table.get("features", {}))


def enabled(configured: Mapping[str, object]) -> frozenset[str]:
    """Names of the flags that are on, given those configured; what is no boolean is left alone."""
    on = {feature.name for feature in FEATURES.values() if feature.default}
    for called, value in configured.items():
        name = ALIASES.get(called, called)
        if value is True:
            on.add(name)
        elif value is False:
            on.discard(name)
    return frozenset(on)


def deprecations(table: Mapping[str, Any]) -> list[Deprecation]:
    """What to say of the deprecated settings of a configuration, by name; it does not matter how they are set."""
    named = (_deprecated(name) for name, value in sorted(flags(table).items()) if isinstance(value, bool))
    found = [each for each in named if each is not None]
    if "experimental_instructions_file" in table:
        found.append(
            Deprecation(
                "`experimental_instructions_file` is deprecated and ignored. Use `model_instructions_file` instead.",
                "Move the setting to `model_instructions_file` in config.toml (or under a profile) "
                "to load instructions from a file.",
            )
        )
    return found


def _deprecated(name: str) -> Deprecation | None:
    if name.startswith("web_search"):
        return Deprecation(
            f"`[features].{name}` is deprecated because web search is enabled by default.",
            'Set `web_search` to `"live"`, `"cached"`, or `"disabled"` at the top level (or under a profile) in '
            "config.toml if you want to override it.",
        )
    if name == "use_legacy_landlock":
        return Deprecation(
            f"`[features].{name}` is deprecated and will be removed soon.",
            "Remove this setting to stop opting into the legacy Linux sandbox behavior.",
        )
    if now := ALIASES.get(name):
        return Deprecation(
            f"`[features].{name}` is deprecated. Use `[features].{now}` instead.",
            f"Enable it with `--enable {now}` or `[features].{now}` in config.toml. See "
            "https://developers.openai.com/codex/config-basic#feature-flags for details.",
        )
    return None
