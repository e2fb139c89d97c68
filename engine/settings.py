"""The settings of a thread, frozen: what a start, resume or fork made of configuration and parameters, and what a
turn changed since. A running turn keeps the snapshot it began with.

Pure but for `configure`, which reads the configuration and may record a project as trusted, and `start`, which reads
the instruction files. The forms in which settings appear (answers, lines) are in `engine.settings_forms`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from engine import config as configuration
from engine.calls.dynamic_specs import refused
from engine.config import Config, ConfigError
from engine.errors import BadRequest
from engine.instructions import Instructions, discover
from engine.model import catalog as models
from engine.model.info import ModelInfo, Overrides
from engine.modes import MODE_INSTRUCTIONS
from engine.permissions import bridge, legacy
from engine.sandbox_settings import configured_sandbox, granted_sandbox, places
from projections import protocol as p
from rollouts import events as ev

DEFAULT_PERSONALITY = "pragmatic"

_log = logging.getLogger(__name__)

StartParams = p.ThreadStartParams | p.ThreadResumeParams | p.ThreadForkParams


class Stored(msgspec.Struct, frozen=True):
    """What a thread's rollout says about its settings; everything else comes from the configuration.

    Fill `last` for a resume only: a fork takes model and effort from the configuration (observed).
    """

    cwd: Path
    base_instructions: str | None = None
    last: ev.TurnContext | None = None
    dynamic_tools: tuple[ev.DynamicToolSpec, ...] | None = None
    originator: str | None = None
    source: str | ev.SourceObject = "vscode"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot. `effort`, `summary` and `verbosity` are `None` for the model's default."""

    config: Config
    catalog: models.Catalog
    cwd: Path
    model: str
    info: ModelInfo
    effort: str | None
    summary: str | None
    personality: str
    service_tier: str | None
    approval_policy: p.AskForApproval
    approvals_reviewer: str
    """`user` or `auto_review`."""
    sandbox: p.SandboxPolicy
    permissions: p.PermissionProfile
    base_instructions: str
    """What requests carry as `instructions`: those of the session's first model."""
    base_override: str | None
    """Base instructions that a client or the configuration gave for any model."""
    developer_instructions: str | None
    instructions: Instructions
    mode: str = "default"
    mode_instructions: str | None = None
    output_schema: Raw | None = None
    """Of this turn only."""
    environments: tuple[p.TurnEnvironmentParams, ...] | None = None
    originator: str = ""
    source: str | ev.SourceObject = "vscode"
    ephemeral: bool = False
    persist_extended: bool = False
    dynamic_tools: tuple[ev.DynamicToolSpec, ...] | None = None

    @property
    def provider_id(self) -> str:
        """Id of the model provider."""
        return self.config.provider_id

    @property
    def verbosity(self) -> str | None:
        """The configured verbosity."""
        return self.config.model_verbosity

    @property
    def effective_summary(self) -> str:
        """The chosen reasoning summary, else the model's default."""
        return self.summary or self.info.default_reasoning_summary


def configure(
    home: Path, flags: Mapping[str, object], params: StartParams, server_cwd: Path, stored: Stored | None = None
) -> Config:
    """The configuration for a start, resume or fork.

    A start in a folder without a trust decision records it as trusted, unless the sandbox is read-only (spec:
    hooks, Trust).

    :param flags: dotted keys of the command line
    :param server_cwd: where relative paths start
    :raises BadRequest: for parameters that contradict each other or the configuration
    """
    check(params)
    cwd = absolute(params.cwd, server_cwd) if params.cwd is not None else stored.cwd if stored else server_cwd
    overrides = {**flags, **(params.config or {})}
    explicit = _explicit(params)
    if stored and stored.last and not _chooses_model(params):
        explicit["model"] = stored.last.model
        if stored.last.effort is not None:
            overrides["model_reasoning_effort"] = stored.last.effort
    try:
        config = configuration.load(home, overrides, cwd, explicit)
        if isinstance(params, p.ThreadStartParams) and params.cwd is not None and _trusts(config, params):
            config = configuration.load(home, {**overrides, **_recorded(home, cwd)}, cwd, explicit)
    except ConfigError as error:
        raise BadRequest(f"failed to load configuration: {error}") from error
    return config


def check(params: StartParams) -> None:
    """Refuse parameters that contradict each other.

    :raises BadRequest: naming them
    """
    if params.sandbox is not None and params.permission_profile is not None:
        raise BadRequest("`permissionProfile` cannot be combined with `sandbox`")


def start(params: StartParams, config: Config, originator: str, stored: Stored | None = None) -> Settings:
    """The settings a thread begins with, is resumed with, or its fork begins with.

    Reads the instruction files and the model catalog.

    :param originator: name of the client; a stored one wins
    :raises BadRequest: for a catalog that cannot be used
    """
    catalog = _catalog(config)
    base = config.base_instructions if params.base_instructions is None else params.base_instructions
    kept = stored.base_instructions if base is None and stored else base
    model = catalog.default if config.model is None else config.model
    info = models.lookup(model, catalog, _overrides(config, base))
    personality = config.personality or DEFAULT_PERSONALITY
    sandbox, permissions = _sandbox(params, config)
    return Settings(
        config=config,
        catalog=catalog,
        cwd=config.cwd,
        model=model,
        info=info,
        effort=config.model_reasoning_effort,
        summary=config.model_reasoning_summary,
        personality=personality,
        service_tier=config.service_tier,
        approval_policy=_approval(config),
        approvals_reviewer="user" if config.approvals_reviewer == "user" else "auto_review",
        sandbox=sandbox,
        permissions=permissions,
        base_instructions=info.instructions(personality) if kept is None else kept,
        base_override=base,
        developer_instructions=config.developer_instructions,
        instructions=discover(config, config.cwd),
        originator=(stored and stored.originator) or originator,
        source=stored.source if stored else "vscode",
        ephemeral=bool(getattr(params, "ephemeral", False)),
        persist_extended=params.persist_extended_history,
        dynamic_tools=_dynamic_tools(params) or (stored.dynamic_tools if stored else None),
        environments=_environments(getattr(params, "environments", None)),
    )


def with_turn(settings: Settings, params: p.TurnStartParams, server_cwd: Path) -> Settings:
    """The settings of a turn; all but `output_schema` and `environments` stay for later turns (spec: turns, 1).

    :raises BadRequest: for parameters that contradict each other
    """
    if params.sandbox_policy is not None and params.permission_profile is not None:
        raise BadRequest("`permissionProfile` cannot be combined with `sandboxPolicy`")
    changes: dict[str, Any] = {"output_schema": None}
    changes |= {key: getattr(params, key) for key in ("summary", "personality") if getattr(params, key)}
    if params.cwd is not None:
        changes["cwd"] = absolute(params.cwd, server_cwd)
    if params.approval_policy is not None:
        changes["approval_policy"] = params.approval_policy
    if params.approvals_reviewer is not None:
        changes["approvals_reviewer"] = "user" if params.approvals_reviewer == "user" else "auto_review"
    if not isinstance(params.service_tier, UnsetType):
        changes["service_tier"] = params.service_tier  # features.fast_mode has no say in it here (observed)
    if params.output_schema is not None:
        changes["output_schema"] = Raw(msgspec.json.encode(params.output_schema))
    if params.environments is not None:
        changes["environments"] = _environments(params.environments)
    changed = msgspec.structs.replace(settings, **changes)
    return _with_sandbox(_with_model(changed, params), params)


def lasting(settings: Settings, thread: Settings) -> Settings:
    """What of a turn's settings stays for the next turn, given those of the thread before it."""
    return msgspec.structs.replace(settings, output_schema=None, environments=thread.environments)


def absolute(path: str, server_cwd: Path) -> Path:
    """A client's path: `~` is HOME, a relative one starts at the server's cwd, dots are resolved by name."""
    return Path(os.path.normpath(server_cwd / os.path.expanduser(path)))


def _recorded(home: Path, cwd: Path) -> dict[str, object]:
    """Record the folder as trusted; where that fails, the override that trusts it for this thread."""
    try:
        configuration.record_trusted(home, cwd)
    except ConfigError as error:
        _log.warning("%s; the project is trusted for this thread only", error)
        return {"projects": {str(configuration.trust_root(cwd)): {"trust_level": "trusted"}}}
    return {}


def _explicit(params: StartParams) -> dict[str, object]:
    """Parameters as configuration keys; only those that were given."""
    given: dict[str, object | None] = {
        "model": params.model,
        "model_provider": params.model_provider,
        "approval_policy": None if params.approval_policy is None else msgspec.to_builtins(params.approval_policy),
        "approvals_reviewer": params.approvals_reviewer,
        "sandbox_mode": params.sandbox,
        "developer_instructions": params.developer_instructions,
        "personality": getattr(params, "personality", None),
    }
    explicit: dict[str, object] = {key: value for key, value in given.items() if value is not None}
    if params.service_tier is not UNSET:
        explicit["service_tier"] = params.service_tier
    return explicit


def _chooses_model(params: StartParams) -> bool:
    """Does a resume say something about model or effort? Then neither is restored (observed)."""
    keys = params.config or {}
    return bool(
        params.model is not None
        or params.model_provider is not None
        or "model" in keys
        or "model_reasoning_effort" in keys
    )


def _trusts(config: Config, params: StartParams) -> bool:
    if config.trust is not None:
        return False
    sandbox, _ = _sandbox(params, config)
    return not isinstance(sandbox, p.ReadOnlySandboxPolicy)


def _catalog(config: Config) -> models.Catalog:
    if config.model_catalog_json is None:
        return models.built_in()
    try:
        return models.load(Path(config.model_catalog_json))
    except models.CatalogError as error:
        raise BadRequest(f"failed to load configuration: {error}") from error


def _overrides(config: Config, base_instructions: str | None) -> Overrides:
    return Overrides(
        model_context_window=config.model_context_window,
        model_auto_compact_token_limit=config.model_auto_compact_token_limit,
        model_supports_reasoning_summaries=config.model_supports_reasoning_summaries,
        tool_output_token_limit=config.tool_output_token_limit,
        base_instructions=base_instructions,
        personalities=config.feature("personality"),
    )


def _approval(config: Config) -> p.AskForApproval:
    """The configured policy; without one an untrusted project asks for everything."""
    policy = config.approval_policy or ("untrusted" if config.trust == "untrusted" else "on-request")
    approval: p.AskForApproval = msgspec.convert(policy, p.AskForApproval)
    return approval


def _sandbox(params: StartParams, config: Config) -> tuple[p.SandboxPolicy, p.PermissionProfile]:
    """Policy and profile; without a configured mode a project with a trust decision may be written to."""
    if params.permission_profile is not None:
        try:
            return granted_sandbox(params.permission_profile, config)
        except bridge.Unprojectable as error:
            message = f"failed to load configuration: invalid permission_profile override: {error}"
            raise BadRequest(message) from error
    return configured_sandbox(config)


def as_model(settings: Settings, model: str) -> Settings:
    """The settings for a request to another model; an effort that it does not have becomes a middling one."""
    if model == settings.model:
        return settings
    info = models.lookup(model, settings.catalog, _overrides(settings.config, settings.base_override))
    levels = [level.effort for level in info.supported_reasoning_levels]
    middle = levels[(len(levels) - 1) // 2] if levels else info.default_reasoning_level
    effort = settings.effort if settings.effort in levels else middle
    return msgspec.structs.replace(settings, model=model, info=info, effort=effort)


def _with_model(settings: Settings, params: p.TurnStartParams) -> Settings:
    """A collaboration mode brings its own model and effort, which win over the single parameters (observed)."""
    mode = params.collaboration_mode
    changes: dict[str, Any] = {}
    model: str = settings.model if params.model is None else params.model
    effort: str | None = params.effort or settings.effort
    if mode is not None:
        model, effort = mode.settings.model, mode.settings.reasoning_effort
        text = mode.settings.developer_instructions
        changes["mode"] = "plan" if mode.mode == "plan" else "default"
        changes["mode_instructions"] = MODE_INSTRUCTIONS[changes["mode"]] if text is None else text
    if model != settings.model:
        overrides = _overrides(settings.config, settings.base_override)
        changes["info"] = models.lookup(model, settings.catalog, overrides)
    return msgspec.structs.replace(settings, model=model, effort=effort, **changes)


def _with_sandbox(settings: Settings, params: p.TurnStartParams) -> Settings:
    """A new policy, or the same one for a new cwd: paths of the profile depend on it."""
    if params.permission_profile is not None:
        try:
            sandbox, profile = bridge.project(params.permission_profile, places(settings.cwd))
        except bridge.Unprojectable as error:
            raise BadRequest(f"invalid turn context override: {error}") from error
    elif params.sandbox_policy is not None or params.cwd is not None:
        sandbox = settings.sandbox if params.sandbox_policy is None else params.sandbox_policy
        profile = legacy.profile(sandbox, settings.cwd)
    else:
        return settings
    return msgspec.structs.replace(settings, sandbox=sandbox, permissions=profile)


def _dynamic_tools(params: StartParams) -> tuple[ev.DynamicToolSpec, ...] | None:
    tools = tuple(
        ev.DynamicToolSpec(
            namespace=tool.namespace,
            name=tool.name,
            description=tool.description,
            input_schema=Raw(msgspec.json.encode(tool.input_schema)),
            defer_loading=bool(tool.defer_loading),
        )
        for tool in getattr(params, "dynamic_tools", None) or ()
    )
    reason = refused(tools)
    if reason is not None:
        raise BadRequest(reason)
    return tools or None


def _environments(given: list[p.TurnEnvironmentParams] | None) -> tuple[p.TurnEnvironmentParams, ...] | None:
    for environment in given or ():
        if environment.environment_id != "local":
            raise BadRequest(f"unknown turn environment id `{environment.environment_id}`")
    return None if given is None else tuple(given)
