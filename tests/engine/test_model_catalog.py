"""The catalog: what is known of a model, how the configuration changes it, and the pages of `model/list`."""

import json
from pathlib import Path

import pytest

from engine.errors import BadRequest
from engine.model import catalog
from engine.model.info import ModelInfo, Overrides, Truncation, override

BUILT_IN = catalog.built_in()


@pytest.mark.parametrize(
    ("slug", "effort", "tiers", "upgrade", "verbosity", "summary", "truncation", "largest"),
    [
        ("gpt-5.5", "medium", ("fast",), None, "low", "none", "tokens", 272_000),
        ("gpt-5.4", "xhigh", ("fast",), None, "low", "none", "tokens", 1_000_000),
        ("gpt-5.4-mini", "medium", (), None, "medium", "none", "tokens", 272_000),
        ("gpt-5.3-codex", "medium", (), "gpt-5.4", "low", "none", "tokens", 272_000),
        ("gpt-5.2", "medium", (), "gpt-5.4", "low", "auto", "bytes", 272_000),
        ("codex-auto-review", "medium", (), None, "low", "none", "tokens", 1_000_000),
    ],
)
def test_built_in_entry(
    slug: str,
    effort: str,
    tiers: tuple[str, ...],
    upgrade: str | None,
    verbosity: str,
    summary: str,
    truncation: str,
    largest: int,
) -> None:
    info = BUILT_IN.find(slug)
    assert info.default_reasoning_level == effort
    assert info.additional_speed_tiers == tiers
    assert (info.upgrade.model if info.upgrade else None) == upgrade
    assert info.default_verbosity == verbosity
    assert info.default_reasoning_summary == summary
    assert info.truncation_policy == Truncation(truncation, 10_000)  # type: ignore[arg-type]
    assert (info.context_window, info.max_context_window) == (272_000, largest)
    assert [one.effort for one in info.supported_reasoning_levels] == ["low", "medium", "high", "xhigh"]
    assert info.supports_parallel_tool_calls and info.supports_reasoning_summaries and info.support_verbosity
    assert info.apply_patch_tool_type == "freeform"
    assert not info.used_fallback


def test_order_of_the_built_in_catalog() -> None:
    assert [(info.slug, info.hidden) for info in BUILT_IN.models] == [
        ("gpt-5.5", False),
        ("gpt-5.4", False),
        ("gpt-5.4-mini", False),
        ("gpt-5.3-codex", False),
        ("gpt-5.2", False),
        ("codex-auto-review", True),
    ]


@pytest.mark.parametrize(
    ("slug", "known_as"),
    [
        ("gpt-5.4", "gpt-5.4"),
        ("gpt-5.4-foo", "gpt-5.4"),
        ("gpt-5.4-mini-2027", "gpt-5.4-mini"),
        ("openai/gpt-5.4-mini", "gpt-5.4-mini"),
        ("my_provider1/gpt-5.4-mini", "gpt-5.4-mini"),
        ("a/b/gpt-5.4", None),
        ("a.b/gpt-5.4", None),
        ("a-b/gpt-5.4", None),
        ("gpt-5", None),
        ("GPT-5.4", None),
        ("gpt-5.1-codex", None),
        ("acme-9", None),
    ],
)
def test_longest_known_prefix_counts(slug: str, known_as: str | None) -> None:
    info = BUILT_IN.find(slug)
    assert info.slug == slug
    assert info.used_fallback == (known_as is None)
    if known_as is not None:
        assert info.display_name == BUILT_IN.find(known_as).display_name


def test_fallback_metadata() -> None:
    info = BUILT_IN.find("acme-9")
    assert info.effective_window == 258_400
    assert info.compact_limit == 244_800
    assert info.truncation_policy == Truncation("bytes", 10_000)
    assert info.default_reasoning_summary == "auto"
    assert info.apply_patch_tool_type is None
    assert not (info.supports_reasoning_summaries or info.support_verbosity or info.supports_parallel_tool_calls)
    assert info.instructions() == BUILT_IN.find("gpt-5.2").instructions()


@pytest.mark.parametrize(
    ("slug", "configured", "window", "effective"),
    [
        ("gpt-5.4", 1_000_000, 1_000_000, 950_000),
        ("gpt-5.4", 5_000_000, 1_000_000, 950_000),
        ("gpt-5.5", 1_000_000, 272_000, 258_400),
        ("acme-9", 1_000_000, 272_000, 258_400),
        ("acme-9", 2_000, 2_000, 1_900),
    ],
)
def test_a_configured_window_stays_within_the_models_largest(
    slug: str, configured: int, window: int, effective: int
) -> None:
    info = catalog.lookup(slug, BUILT_IN, Overrides(model_context_window=configured))
    assert (info.window, info.effective_window) == (window, effective)


@pytest.mark.parametrize(("limit", "expected"), [(None, 244_800), (100, 100), (244_800, 244_800), (9_999_999, 244_800)])
def test_compaction_comes_at_ninety_percent_at_the_latest(limit: int | None, expected: int) -> None:
    info = catalog.lookup("gpt-5.5", BUILT_IN, Overrides(model_auto_compact_token_limit=limit))
    assert info.compact_limit == expected


def test_an_unknown_window_has_no_limits() -> None:
    info = ModelInfo(slug="x", auto_compact_token_limit=7)
    assert (info.window, info.effective_window, info.compact_limit) == (None, None, 7)


@pytest.mark.parametrize(("slug", "expected"), [("gpt-5.4", 7), ("gpt-5.2", 28)])
def test_tool_output_limit_is_given_in_tokens(slug: str, expected: int) -> None:
    info = catalog.lookup(slug, BUILT_IN, Overrides(tool_output_token_limit=7))
    assert info.truncation_policy.limit == expected


def test_summaries_can_be_switched_on_only() -> None:
    assert catalog.lookup(
        "acme-9", BUILT_IN, Overrides(model_supports_reasoning_summaries=True)
    ).supports_reasoning_summaries
    assert catalog.lookup(
        "gpt-5.4", BUILT_IN, Overrides(model_supports_reasoning_summaries=False)
    ).supports_reasoning_summaries


def test_instructions_take_on_a_manner() -> None:
    info = BUILT_IN.find("gpt-5.4")
    texts = {info.instructions(name) for name in (None, "friendly", "pragmatic")}
    assert len(texts) == 3
    assert all("{{" not in text and "===" not in text for text in texts)
    assert info.instructions("none") != info.instructions("friendly")
    assert info.personality_text("friendly") in info.instructions("friendly")  # type: ignore[operator]
    plain = override(info, Overrides(personalities=False))
    assert plain.instructions("friendly") == info.instructions() and not plain.supports_personality
    own = override(info, Overrides(base_instructions="Mine."))
    assert own.instructions("friendly") == "Mine."


def test_model_list_shows_what_a_picker_needs() -> None:
    page = catalog.model_list(BUILT_IN)
    assert [model.id for model in page.data] == [
        "gpt-5.5",
        "gpt-5.4",
        "gpt-5.4-mini",
        "gpt-5.3-codex",
        "gpt-5.2",
    ]
    assert page.next_cursor is None
    first, last = page.data[0], page.data[-1]
    assert first.is_default and first.availability_nux and first.supports_personality
    assert not last.is_default and last.availability_nux is None and not last.supports_personality
    assert last.upgrade == "gpt-5.4" and last.upgrade_info and last.upgrade_info.migration_markdown
    assert first.upgrade is None and first.upgrade_info is None
    assert first.input_modalities == ["text", "image"]


def test_model_list_pages() -> None:
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = catalog.model_list(BUILT_IN, cursor=cursor, limit=4, include_hidden=True)
        seen += [model.id for model in page.data]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [info.slug for info in BUILT_IN.models]
    assert len(catalog.model_list(BUILT_IN, limit=0).data) == 1
    assert catalog.model_list(BUILT_IN, cursor="5").data == []


@pytest.mark.parametrize(
    ("cursor", "message"),
    [
        ("zz", "invalid cursor: zz"),
        ("-1", "invalid cursor: -1"),
        ("", "invalid cursor: "),
        ("٣", "invalid cursor: ٣"),
        ("99", "cursor 99 exceeds total models 5"),
    ],
)
def test_model_list_refuses_bad_cursors(cursor: str, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        catalog.model_list(BUILT_IN, cursor=cursor)
    assert caught.value.message == message


def test_a_catalog_file_replaces_the_built_in_one(tmp_path: Path) -> None:
    path = tmp_path / "catalog.json"
    entries = [
        {"slug": "b", "priority": 2, "visibility": "list", "context_window": 1000, "brand_new_key": {}},
        {"slug": "a", "priority": 1, "visibility": "list", "base_instructions": "Be A."},
    ]
    path.write_text(json.dumps({"models": entries}))
    found = catalog.load(path)
    assert [info.slug for info in found.models] == ["a", "b"]
    assert found.default == "a"
    assert found.find("a").instructions("friendly") == "Be A."
    assert found.find("gpt-5.4").used_fallback


@pytest.mark.parametrize(
    "text", [b"", b"{}", b'{"models": []}', b'{"models": [{"slug": 3}]}', b'{"models": [{"slug": "\xff"}]}', None]
)
def test_an_unusable_catalog_file_is_named(tmp_path: Path, text: bytes | None) -> None:
    path = tmp_path / "catalog.json"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(catalog.CatalogError, match=r"catalog\.json"):
        catalog.load(path)
