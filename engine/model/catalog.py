"""The catalog of known models: the built-in one (`models.json`, instructions in `instructions.md`), a file
that replaces it (`model_catalog_json`), finding the entry for a slug, and the pages of `model/list`. A
`Catalog` is a value; nothing here goes to the network (models-and-limits 1)."""

from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from engine.model.info import Messages, ModelInfo, Overrides, Truncation, Upgrade, override
from engine.paging import offset
from projections import protocol as p

FALLBACK_WINDOW: Final = 272_000


class CatalogError(Exception):
    """A catalog file that cannot be used; `path` and `reason` say which and why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"failed to read model catalog {path}: {reason}")
        self.path = path
        self.reason = reason


class Catalog(msgspec.Struct, frozen=True):
    """Known models in their order of listing."""

    models: tuple[ModelInfo, ...]

    def find(self, slug: str) -> ModelInfo:
        """The entry for `slug`: the longest known slug that it starts with, also behind `provider/`, under
        the name asked for; for a model nobody knows the fallback metadata."""
        known = self._prefix(slug) or self._prefix(_behind_provider(slug))
        return fallback(slug) if known is None else msgspec.structs.replace(known, slug=slug)

    def _prefix(self, slug: str | None) -> ModelInfo | None:
        fitting = [info for info in self.models if slug and slug.startswith(info.slug)]
        return max(fitting, key=lambda info: len(info.slug), default=None)

    @property
    def default(self) -> str:
        """The slug a session uses when nobody chose one: the first that is listed."""
        return next((info.slug for info in self.models if not info.hidden), self.models[0].slug)


@cache
def built_in() -> Catalog:
    """The catalog shipped with the engine."""
    models = _decode(_shipped("models.json"))
    messages = _messages()
    return Catalog(tuple(_instructed(info, messages) for info in models))


def load(path: Path) -> Catalog:
    """A catalog file, `{"models": [...]}`. Raises `CatalogError`."""
    try:
        models = _decode(path.read_bytes())
    except OSError as error:
        raise CatalogError(path, error.strerror or str(error)) from error
    except (ValueError, RecursionError) as error:  # bytes that are no text too
        raise CatalogError(path, str(error)) from error
    if not models:
        raise CatalogError(path, "model_catalog_json must contain at least one model")
    return Catalog(models)


def lookup(slug: str, catalog: Catalog, overrides: Overrides | None = None) -> ModelInfo:
    """What the engine knows of `slug`, with the configuration's changes."""
    return override(catalog.find(slug), overrides or Overrides())


def fallback(slug: str) -> ModelInfo:
    """Metadata of a model nobody knows: nothing fancy, generic instructions, the usual window."""
    return ModelInfo(
        slug=slug,
        display_name=slug,
        base_instructions=_text(_messages(), "default"),
        truncation_policy=Truncation("bytes", 10_000),
        context_window=FALLBACK_WINDOW,
        max_context_window=FALLBACK_WINDOW,
        used_fallback=True,
    )


def model_list(
    catalog: Catalog, *, cursor: str | None = None, limit: int | None = None, include_hidden: bool = False
) -> p.ModelListResponse:
    """A page of `model/list`. `cursor` is an offset; `limit` 0 counts as 1. Raises `BadRequest` for a bad
    cursor."""
    shown = [info for info in catalog.models if include_hidden or not info.hidden]
    start = offset(cursor, len(shown), "models")
    end = len(shown) if limit is None else min(start + max(limit, 1), len(shown))
    return p.ModelListResponse(
        data=[_listed(info, info.slug == catalog.default) for info in shown[start:end]],
        next_cursor=str(end) if end < len(shown) else None,
    )


def _listed(info: ModelInfo, is_default: bool) -> p.Model:
    nux = info.availability_nux
    return p.Model(
        id=info.slug,
        model=info.slug,
        upgrade=info.upgrade.model if info.upgrade else None,
        upgrade_info=_upgrade(info.upgrade) if info.upgrade else None,
        availability_nux=p.ModelAvailabilityNux(message=nux.message) if nux else None,
        display_name=info.display_name,
        description=info.description or "",
        hidden=info.hidden,
        supported_reasoning_efforts=[
            p.ReasoningEffortOption(reasoning_effort=one.effort, description=one.description)
            for one in info.supported_reasoning_levels
        ],
        default_reasoning_effort=info.default_reasoning_level or "none",
        input_modalities=list(info.input_modalities),
        supports_personality=info.supports_personality,
        additional_speed_tiers=list(info.additional_speed_tiers),
        is_default=is_default,
    )


def _upgrade(upgrade: Upgrade) -> p.ModelUpgradeInfo:
    return p.ModelUpgradeInfo(
        model=upgrade.model, upgrade_copy=None, model_link=None, migration_markdown=upgrade.migration_markdown
    )


class _File(msgspec.Struct, frozen=True):
    models: tuple[ModelInfo, ...]


def _decode(data: bytes) -> tuple[ModelInfo, ...]:
    models = msgspec.json.decode(data, type=_File).models
    return tuple(sorted(models, key=lambda info: info.priority))


def _instructed(info: ModelInfo, messages: Messages) -> ModelInfo:
    """The built-in entries share their instructions; those with manners keep the place for them."""
    text = _text(messages, "default")
    return msgspec.structs.replace(
        info, base_instructions=text, model_messages=messages if info.model_messages is not None else None
    )


@cache
def _messages() -> Messages:
    """`instructions.md`: the template, then one section per manner behind lines `=== <name> ===`."""
    text = _shipped("instructions.md").decode()
    template, *sections = text.split("\n=== ")
    manners = (section.partition(" ===\n") for section in sections)
    return Messages(template, {f"personality_{name}": body.strip() for name, _, body in manners})


def _shipped(name: str) -> bytes:
    """A file that comes with this package."""
    from importlib import resources  # takes long to load, and a server that only lists threads has no need of it

    return resources.files("engine.model").joinpath(name).read_bytes()


def _text(messages: Messages, manner: str) -> str:
    return ModelInfo(slug="", model_messages=messages).instructions(manner)


def _behind_provider(slug: str) -> str | None:
    """`gpt-5.4` of `openai/gpt-5.4`; None if there is not exactly one plain name in front."""
    provider, _, rest = slug.partition("/")
    plain = provider.replace("_", "").isalnum() and provider.isascii()
    return rest if rest and "/" not in rest and plain else None
