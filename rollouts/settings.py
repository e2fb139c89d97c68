"""Which settings of a turn the reference can read: a `turn_context` line with others is skipped by it, and by us.

Files of old versions have other forms, those of newer ones may have other words. What the settings mean is not known
here.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from rollouts import events as ev


class _Granular(msgspec.Struct):
    sandbox_approval: bool
    rules: bool
    mcp_elicitations: bool
    skill_approval: bool = False
    request_permissions: bool = False


class _GranularPolicy(msgspec.Struct, forbid_unknown_fields=True):
    granular: _Granular


_Network: TypeAlias = Literal["restricted", "enabled"]
_AbsolutePath: TypeAlias = Annotated[str, msgspec.Meta(pattern="^/")]


class _FullAccess(msgspec.Struct, tag_field="type", tag="danger-full-access"):
    pass


class _ReadOnly(msgspec.Struct, tag_field="type", tag="read-only"):
    access: dict[str, Any] | None = None
    network_access: bool = False


class _WorkspaceWrite(msgspec.Struct, tag_field="type", tag="workspace-write"):
    writable_roots: list[_AbsolutePath] = []
    network_access: bool = False
    exclude_tmpdir_env_var: bool = False
    exclude_slash_tmp: bool = False


class _ExternalSandbox(msgspec.Struct, tag_field="type", tag="external-sandbox"):
    network_access: _Network = "restricted"


class _Disabled(msgspec.Struct, tag_field="type", tag="disabled"):
    pass


class _Managed(msgspec.Struct, tag_field="type", tag="managed"):
    file_system: dict[str, Any]
    network: _Network


class _External(msgspec.Struct, tag_field="type", tag="external"):
    network: _Network


class _Domains(msgspec.Struct):
    allowed_domains: list[str]
    denied_domains: list[str]


class _Words(msgspec.Struct):
    """The other settings that are a word out of a few."""

    approval: Literal["untrusted", "on-failure", "on-request", "never"] | _GranularPolicy
    summary: Literal["auto", "concise", "detailed", "none"]
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None
    personality: Literal["none", "friendly", "pragmatic"] | None
    mode: Literal["plan", "default", "code", "pair_programming", "execute", "custom"] | None
    truncation: Literal["bytes", "tokens"] | None


_SANDBOX: Final = msgspec.json.Decoder(_FullAccess | _ReadOnly | _WorkspaceWrite | _ExternalSandbox)
_PROFILE: Final = msgspec.json.Decoder(_Disabled | _Managed | _External)
_NETWORK: Final = msgspec.json.Decoder(_Domains)
_OPEN: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def readable(context: ev.TurnContext) -> bool:
    """Whether 0.125.0 could read these settings."""
    mode, truncation = context.collaboration_mode, context.truncation_policy
    words = {
        "approval": context.approval_policy,
        "summary": context.summary,
        "effort": context.effort,
        "personality": context.personality,
        "mode": None if mode is None else mode.mode,
        "truncation": None if truncation is None else truncation.mode,
    }
    try:
        msgspec.convert(words, _Words)
        _SANDBOX.decode(context.sandbox_policy)
        profile = ev.given(context.permission_profile)
        if profile is not None and "type" in _OPEN.decode(profile):  # without one it is the form before 0.125.0
            _PROFILE.decode(profile)
        network = ev.given(context.network)
        if network is not None:
            _NETWORK.decode(network)
    except msgspec.MsgspecError:
        return False
    return True
