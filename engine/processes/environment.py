"""The environment of commands: what they inherit, by `shell_environment_policy` of the configuration.

The order is the reference's (observed): inherit, drop secrets, drop excluded, set, keep only what is included.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from engine.config import Config
from engine.processes.programs import with_programs

_CORE = frozenset({"PATH", "SHELL", "TMPDIR", "TEMP", "TMP", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "USER"})
_SECRETS = ("*KEY*", "*SECRET*", "*TOKEN*")
_PLAIN_OUTPUT = MappingProxyType(
    {
        "NO_COLOR": "1",
        "TERM": "dumb",
        "LANG": "C.UTF-8",
        "LC_CTYPE": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "COLORTERM": "",
        "PAGER": "cat",
        "GIT_PAGER": "cat",
        "GH_PAGER": "cat",
        "CODEX_CI": "1",
    }
)
"""What `exec_command` adds, so that programs write text that a model can read."""
THREAD_ID = "CODEX_THREAD_ID"


class EnvironmentPolicy(msgspec.Struct, frozen=True):
    """`[shell_environment_policy]`. Patterns know `*` and `?` and do not care about case."""

    inherit: Literal["all", "core", "none"] = "all"
    ignore_default_excludes: bool = True
    """False to drop what looks like a secret."""
    exclude: tuple[str, ...] = ()
    set: Mapping[str, str] = {}
    include_only: tuple[str, ...] = ()


def policy_of(config: Config) -> EnvironmentPolicy:
    """The configured policy."""
    return msgspec.convert(config.get("shell_environment_policy", {}), EnvironmentPolicy)


def environment(policy: EnvironmentPolicy, ours: Mapping[str, str], thread_id: str | None = None) -> dict[str, str]:
    """What a command gets of our environment; with the id of its thread, when it belongs to one."""
    found = {name: value for name, value in ours.items() if _inherited(policy, name)}
    found.update(policy.set)
    if policy.include_only:
        found = {name: value for name, value in found.items() if _matches(policy.include_only, name)}
    if thread_id is not None:
        found[THREAD_ID] = thread_id
    return found


def command_environment(config: Config, ours: Mapping[str, str], thread_id: str | None = None) -> dict[str, str]:
    """What commands get under a configuration, our programs first on their PATH."""
    return environment(policy_of(config), with_programs(ours, config.home), thread_id)


def plain_output(env: Mapping[str, str]) -> dict[str, str]:
    """The environment of `exec_command`: no colours, no pagers, UTF-8."""
    return {**env, **_PLAIN_OUTPUT}


def _inherited(policy: EnvironmentPolicy, name: str) -> bool:
    if policy.inherit == "none" or (policy.inherit == "core" and name not in _CORE):
        return False
    secrets = () if policy.ignore_default_excludes else _SECRETS
    return not _matches((*secrets, *policy.exclude), name)


def _matches(patterns: tuple[str, ...], name: str) -> bool:
    return any(_pattern(pattern).fullmatch(name) for pattern in patterns)


def _pattern(wildcards: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(char) or re.escape(char) for char in wildcards), re.IGNORECASE | re.DOTALL)
