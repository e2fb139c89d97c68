"""The configuration of one thread: all layers merged, checked and typed, frozen until it is read again.

`load` is called at every thread start, so edits of config.toml apply to the next thread. What a later area
needs and this struct does not name is in `table` (merged) and `layers` (one by one, lowest first).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from engine.config.errors import ConfigError, os_error
from engine.config.features import enabled, flags
from engine.config.layers import SYSTEM_FILE, Layer, LayerKind, check, flag_layer, merge, merged, read_layer
from engine.config.providers import Provider, providers
from engine.config.schema import PROFILE_KEYS, TOP_LEVEL, Table
from engine.config.trust import DEFAULT_MARKERS, TrustLevel, project_root, trust_level

DEFAULT_PROVIDER = "openai"
DOC_MAX_BYTES = 32768


class WorkspaceWrite(msgspec.Struct, frozen=True):
    """`[sandbox_workspace_write]`: what the mode of that name allows besides writing below the cwd."""

    writable_roots: tuple[str, ...] = ()
    network_access: bool = False
    exclude_tmpdir_env_var: bool = False
    exclude_slash_tmp: bool = False


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Settings by their config keys; `None` where nothing is configured and the default depends on others."""

    home: Path
    cwd: Path
    project_root: Path
    trust: TrustLevel | None
    layers: tuple[Layer, ...]
    table: Table
    features: frozenset[str]
    providers: Mapping[str, Provider]
    provider_id: str
    provider: Provider
    model: str | None
    review_model: str | None
    model_reasoning_effort: str | None
    model_reasoning_summary: str | None
    model_verbosity: str | None
    model_context_window: int | None
    model_auto_compact_token_limit: int | None
    model_supports_reasoning_summaries: bool | None
    model_catalog_json: str | None
    base_instructions: str | None
    """Text of `model_instructions_file`."""
    tool_output_token_limit: int | None
    service_tier: str | None
    personality: str | None
    approval_policy: str | Mapping[str, Any] | None
    approvals_reviewer: str
    sandbox_mode: str | None
    workspace_write: WorkspaceWrite
    instructions: str | None
    developer_instructions: str | None
    compact_prompt: str | None
    """`compact_prompt`, else the text of `experimental_compact_prompt_file`; None without either."""
    project_doc_max_bytes: int
    project_doc_fallback_filenames: tuple[str, ...]
    project_root_markers: tuple[str, ...]
    include_environment_context: bool
    include_permissions_instructions: bool
    show_raw_agent_reasoning: bool
    chatgpt_base_url: str

    def get(self, dotted: str, default: Any = None) -> Any:
        """The merged value under a dotted key, such as `"history.persistence"`."""
        found: Any = self.table
        for key in dotted.split("."):
            if not isinstance(found, Mapping) or key not in found:
                return default
            found = found[key]
        return found

    def feature(self, name: str) -> bool:
        """Is this feature flag on?"""
        return name in self.features


def load(
    home: Path,
    overrides: Mapping[str, object],
    cwd: Path,
    explicit: Mapping[str, object] | None = None,
    *,
    files: bool = True,
) -> Config:
    """Read the configuration for a folder.

    :param home: CODEX_HOME, an absolute path
    :param overrides: dotted keys of `-c` flags and of a request's `config`; a profile lies above them
    :param cwd: the thread's folder, absolute; it need not exist
    :param explicit: top-level keys that a request sets by parameters of its own; they lie above everything, and
        a null takes the key away
    :param files: False leaves all files aside
    :raises ConfigError: naming the file and the place, or the key, of what is wrong
    """
    flags = flag_layer(overrides, cwd)
    places: tuple[tuple[LayerKind, Path], ...] = (
        (("system", SYSTEM_FILE), ("user", home / "config.toml")) if files else ()
    )
    base = [layer for kind, file in places if (layer := read_layer(kind, file))]
    table = merged([*base, flags])
    root = project_root(cwd, table.get("project_root_markers", DEFAULT_MARKERS))
    trust = trust_level(table, cwd, root)
    layers = (*base, *(_project_layers(home, cwd, root) if files and trust == "trusted" else ()), flags)
    table = merged(layers)
    merge(table, _profile(table))
    for key, value in (explicit or {}).items():
        table.pop(key, None)
        if value is not None:
            table[key] = value
    check(table)
    known = providers(table)
    wanted = table.get("model_provider", DEFAULT_PROVIDER)
    if wanted not in known:
        raise ConfigError(f"Model provider `{wanted}` not found")
    return _typed(home, cwd, root, trust, layers, table, known, wanted)


def load_or_default(home: Path, overrides: Mapping[str, object], cwd: Path) -> Config:
    """The configuration for a folder; the flags and defaults alone when the files cannot be used.

    :raises ConfigError: the flags cannot be used either
    """
    try:
        return load(home, overrides, cwd)
    except ConfigError:
        return load(home, overrides, cwd, files=False)


def rule_folders(config: Config) -> list[Path]:
    """Where `rules` folders are looked for: CODEX_HOME, and the `.codex` folders of a trusted project."""
    trusted = config.trust == "trusted"
    return [config.home, *(_project_folders(config.home, config.cwd, config.project_root) if trusted else ())]


def _project_folders(home: Path, cwd: Path, root: Path) -> list[Path]:
    """The `.codex` folders from the root down to the cwd, the user's own home left out.

    What is no folder counts for nothing: sandboxes leave empty files of that name behind.
    """
    way = [folder / ".codex" for folder in (cwd, *cwd.parents) if folder == root or root in folder.parents]
    return [folder for folder in reversed(way) if folder != home and os.path.isdir(folder)]


def _project_layers(home: Path, cwd: Path, root: Path) -> list[Layer]:
    folders = _project_folders(home, cwd, root)
    return [layer for folder in folders if (layer := read_layer("project", folder / "config.toml"))]


def _profile(table: Table) -> Table:
    """The settings of the chosen profile; what only the top level may set says nothing in it (observed)."""
    name = table.get("profile")
    if name is None:
        return {}
    profiles = table.get("profiles", {})
    if name not in profiles:
        raise ConfigError(f"config profile `{name}` not found")
    profile: Table = profiles[name]
    return {key: value for key, value in profile.items() if key in PROFILE_KEYS or key not in TOP_LEVEL.keys}


def _text_of(what: str, file: str | None) -> str | None:
    """The trimmed text of a file that a key names; `what` it is, for complaints."""
    if file is None:
        return None
    try:
        text = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = os_error(error) if isinstance(error, OSError) else str(error)
        raise ConfigError(f"failed to read {what} {file}: {reason}") from error
    if not text:
        raise ConfigError(f"{what} is empty: {file}")
    return text


def _typed(
    home: Path,
    cwd: Path,
    root: Path,
    trust: TrustLevel | None,
    layers: tuple[Layer, ...],
    table: Table,
    known: Mapping[str, Provider],
    provider_id: str,
) -> Config:
    features = enabled(flags(table))
    tier = table.get("service_tier")
    written_prompt = _text_of("experimental compact prompt file", table.get("experimental_compact_prompt_file"))
    return Config(
        home=home,
        cwd=cwd,
        project_root=root,
        trust=trust,
        layers=layers,
        table=table,
        features=features,
        providers=known,
        provider_id=provider_id,
        provider=known[provider_id],
        model=table.get("model"),
        review_model=table.get("review_model"),
        model_reasoning_effort=table.get("model_reasoning_effort"),
        model_reasoning_summary=table.get("model_reasoning_summary"),
        model_verbosity=table.get("model_verbosity"),
        model_context_window=table.get("model_context_window"),
        model_auto_compact_token_limit=table.get("model_auto_compact_token_limit"),
        model_supports_reasoning_summaries=table.get("model_supports_reasoning_summaries"),
        model_catalog_json=table.get("model_catalog_json"),
        base_instructions=_text_of("model instructions file", table.get("model_instructions_file")),
        tool_output_token_limit=table.get("tool_output_token_limit"),
        service_tier=None if tier == "fast" and "fast_mode" not in features else tier,
        personality=table.get("personality"),
        approval_policy=table.get("approval_policy"),
        approvals_reviewer=table.get("approvals_reviewer", "user"),
        sandbox_mode=table.get("sandbox_mode"),
        workspace_write=msgspec.convert(table.get("sandbox_workspace_write", {}), WorkspaceWrite),
        instructions=table.get("instructions"),
        developer_instructions=table.get("developer_instructions"),
        compact_prompt=table.get("compact_prompt", "").strip() or written_prompt,
        project_doc_max_bytes=table.get("project_doc_max_bytes", DOC_MAX_BYTES),
        project_doc_fallback_filenames=tuple(table.get("project_doc_fallback_filenames", ())),
        project_root_markers=tuple(table.get("project_root_markers", DEFAULT_MARKERS)),
        include_environment_context=table.get("include_environment_context", True),
        include_permissions_instructions=table.get("include_permissions_instructions", True),
        show_raw_agent_reasoning=table.get("show_raw_agent_reasoning", False),
        chatgpt_base_url=table.get("chatgpt_base_url", "https://chatgpt.com/backend-api").rstrip("/"),
    )
