"""Configuration: layers, profiles, overrides, defaults, and what is said about bad values."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from engine.config import BUILT_IN, FEATURES, Config, ConfigError, load, parse_flag


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def configured(
    home: Path,
    cwd: Path,
    text: str,
    overrides: Mapping[str, object] | None = None,
    explicit: Mapping[str, object] | None = None,
) -> Config:
    (home / "config.toml").write_text(text)
    return load(home, overrides or {}, cwd, explicit)


def complaint(home: Path, cwd: Path, text: str, overrides: Mapping[str, object] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        configured(home, cwd, text, overrides)
    return str(caught.value).replace(str(home), "HOME").replace(str(cwd), "WORK")


def test_without_a_file_everything_is_default(home: Path, cwd: Path) -> None:
    config = load(home, {}, cwd)
    assert config.provider_id == "openai"
    assert config.provider.requires_openai_auth
    assert config.model is None
    assert config.project_doc_max_bytes == 32768
    assert config.project_root_markers == (".git",)
    assert config.approvals_reviewer == "user"


def test_keys_of_the_reference_are_read(home: Path, cwd: Path) -> None:
    config = configured(
        home,
        cwd,
        """
model = "gpt-5.4"
model_provider = "mine"
approval_policy = "never"
sandbox_mode = "workspace-write"
model_context_window = 1000
developer_instructions = "Be brief."
future_key = { anything = [1, "x"] }

[sandbox_workspace_write]
writable_roots = ["/srv", "notes"]
network_access = true

[model_providers.mine]
name = "Mine"
base_url = "http://127.0.0.1:1/v1"
stream_max_retries = 0
http_headers = { x-a = "b" }
""",
    )
    assert (config.model, config.model_context_window) == ("gpt-5.4", 1000)
    assert config.provider.http_headers == {"x-a": "b"}
    assert config.provider.stream_max_retries == 0
    assert config.workspace_write.writable_roots == ("/srv", str(home / "notes"))
    assert config.workspace_write.network_access
    assert config.get("future_key.anything") == [1, "x"]
    assert config.get("future_key.nothing", "none") == "none"


def test_dotted_overrides_lie_above_the_file(home: Path, cwd: Path) -> None:
    overrides = {"sandbox_workspace_write.network_access": True, "model": "b", "personality": None}
    config = configured(home, cwd, 'model = "a"\npersonality = "friendly"\n', overrides)
    assert config.model == "b"
    assert config.workspace_write.network_access
    assert config.personality == "friendly"


def test_a_profile_lies_above_overrides_and_below_explicit_keys(home: Path, cwd: Path) -> None:
    text = 'profile = "p"\nmodel = "a"\n[profiles.p]\nmodel = "b"\nservice_tier = "flex"\n'
    assert configured(home, cwd, text, {"model": "c"}).model == "b"
    explicit = configured(home, cwd, text, {"model": "c"}, {"model": "d", "service_tier": None})
    assert (explicit.model, explicit.service_tier) == ("d", None)


def test_what_only_the_top_level_may_set_says_nothing_in_a_profile(home: Path, cwd: Path) -> None:
    text = 'profile = "p"\n[profiles.p]\nproject_doc_max_bytes = 0\ninclude_environment_context = false\n'
    text += "[profiles.p.sandbox_workspace_write]\nnetwork_access = true\n[profiles.p.mcp_servers.x]\ncommand = 'x'\n"
    found = configured(home, cwd, text)
    assert not found.workspace_write.network_access and "mcp_servers" not in found.table
    assert found.project_doc_max_bytes == 32768 and not found.include_environment_context


def test_the_profile_can_be_chosen_by_an_override(home: Path, cwd: Path) -> None:
    assert configured(home, cwd, '[profiles.p]\nmodel = "b"\n', {"profile": "p"}).model == "b"


def test_project_folders_speak_once_the_project_is_trusted(home: Path, cwd: Path) -> None:
    inner = cwd / "inner"
    (cwd / ".git").mkdir()
    for folder, text in ((cwd, 'model = "root"\nreview_model = "root"\n'), (inner, 'model = "inner"\n')):
        (folder / ".codex").mkdir(parents=True)
        (folder / ".codex" / "config.toml").write_text(text)
    user = 'model = "user"\n'
    trusted = f'{user}[projects."{cwd}"]\ntrust_level = "trusted"\n'
    assert configured(home, inner, user).model == "user"
    config = configured(home, inner, trusted)
    assert (config.model, config.review_model, config.project_root) == ("inner", "root", cwd)
    assert [layer.kind for layer in config.layers] == ["user", "project", "project", "flags"]


def test_fast_mode_off_suppresses_the_fast_tier_only(home: Path, cwd: Path) -> None:
    off = "[features]\nfast_mode = false\n"
    assert configured(home, cwd, 'service_tier = "fast"\n').service_tier == "fast"
    assert configured(home, cwd, f'service_tier = "fast"\n{off}').service_tier is None
    assert configured(home, cwd, f'service_tier = "flex"\n{off}').service_tier == "flex"


def test_features_have_defaults_and_can_be_set(home: Path, cwd: Path) -> None:
    config = configured(home, cwd, "[features]\nmemories = true\nundo = false\nmulti_agent_v2 = { enabled = true }\n")
    assert config.feature("memories")
    assert config.feature("codex_hooks")
    assert not config.feature("multi_agent_v2")
    assert {name for name in FEATURES if FEATURES[name].default} <= config.features


def test_the_openai_provider_takes_its_url_from_a_key_of_its_own(home: Path, cwd: Path) -> None:
    assert configured(home, cwd, 'openai_base_url = "http://x"\n').provider.base_url == "http://x"
    assert BUILT_IN["openai"].base_url is None


def test_a_configured_provider_called_demo_hides_ours(home: Path, cwd: Path) -> None:
    text = 'model_provider = "demo"\n[model_providers.demo]\nname = "theirs"\nbase_url = "http://x"\n'
    assert configured(home, cwd, text).provider.name == "theirs"


def test_base_instructions_come_from_a_file_beside_the_config(home: Path, cwd: Path) -> None:
    (home / "base.md").write_text("  Base text \n")
    assert configured(home, cwd, 'model_instructions_file = "base.md"\n').base_instructions == "Base text"


def test_the_compact_prompt_may_stand_in_a_file(home: Path, cwd: Path) -> None:
    (home / "prompt.md").write_text("\n from a file \n")
    file = 'experimental_compact_prompt_file = "prompt.md"\n'
    assert configured(home, cwd, file).compact_prompt == "from a file"
    assert configured(home, cwd, f'{file}compact_prompt = " itself "\n').compact_prompt == "itself"
    assert configured(home, cwd, f'{file}compact_prompt = " "\n').compact_prompt == "from a file"
    assert configured(home, cwd, 'compact_prompt = " "\n').compact_prompt is None


def test_files_that_a_request_names_are_looked_for_in_its_folder(home: Path, cwd: Path) -> None:
    (cwd / "prompt.md").write_text("there")
    assert load(home, {"experimental_compact_prompt_file": "prompt.md"}, cwd).compact_prompt == "there"
    with pytest.raises(ConfigError, match="experimental compact prompt file is empty: "):
        (cwd / "prompt.md").write_text(" ")
        load(home, {"experimental_compact_prompt_file": "prompt.md"}, cwd)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1\nmodel = 5\n", "HOME/config.toml:2:9: invalid type: integer `5`, expected a string"),
        ("model = true\n", "HOME/config.toml:1:9: invalid type: boolean `true`, expected a string"),
        ('model = ["a"]\n', "HOME/config.toml:1:9: invalid type: sequence, expected a string"),
        ("include_environment_context=3\n", "HOME/config.toml:1:29: invalid type: integer `3`, expected a boolean"),
        (
            "project_doc_max_bytes = -1\n",
            "HOME/config.toml:1:25: invalid value: integer `-1`, expected usize",
        ),
        (
            'service_tier = "slow"\n',
            "HOME/config.toml:1:16: unknown variant `slow`, expected `fast` or `flex`",
        ),
        (
            'personality = "x"\n',
            "HOME/config.toml:1:15: unknown variant `x`, expected one of `none`, `friendly`, `pragmatic`",
        ),
        (
            '[projects."/a.b"]\ntrust_level = "maybe"\n',
            "HOME/config.toml:2:15: unknown variant `maybe`, expected `trusted` or `untrusted`",
        ),
        ("[features]\nfast_mode='x'\n", 'HOME/config.toml:2:11: invalid type: string "x", expected a boolean'),
        (
            '[model_providers.q]\nbase_url = "u"\n',
            "HOME/config.toml:1:2: model_providers.q: provider name must not be empty",
        ),
        (
            "approval_policy = { granular = { rules = true } }\n",
            "HOME/config.toml:1:19: missing field `sandbox_approval`",
        ),
        ("approval_policy = {}\n", "HOME/config.toml:1:19: wanted exactly 1 element, found 0 elements"),
        (
            "approval_policy = { granular = {}, never = true }\n",
            "HOME/config.toml:1:19: wanted exactly 1 element, more than 1 element",
        ),
        (
            "mcp_oauth_callback_port = 65536\n",
            "HOME/config.toml:1:27: invalid value: integer `65536`, expected u16",
        ),
        (
            f"x = {'[' * 3000}{']' * 3000}\n",
            "HOME/config.toml: cannot recurse further; max recursion depth met",
        ),
        (
            "[skills]\nconfig = 5\n",
            "HOME/config.toml:2:10: invalid type: integer `5`, expected a sequence",
        ),
        (
            '[[skills.config]]\nname = "x"\n',
            "HOME/config.toml: missing field `enabled`\nin `skills`\n",
        ),
        ('profile = "zz"\n', "config profile `zz` not found"),
        ('model_provider = "x"\n', "Model provider `x` not found"),
        (
            'model_instructions_file = "nope.md"\n',
            "failed to read model instructions file HOME/nope.md: No such file or directory (os error 2)",
        ),
    ],
)
def test_a_bad_value_is_named_with_its_place(home: Path, cwd: Path, text: str, expected: str) -> None:
    assert complaint(home, cwd, text) == expected


def test_a_folder_whose_name_is_too_long_to_be_there_has_settings_too(home: Path) -> None:
    folder = Path("/") / ("x" * 300)
    found = configured(home, folder, f'model = "m"\n[projects."{folder}"]\ntrust_level = "trusted"\n')
    assert (found.model, found.project_root, found.trust) == ("m", folder, "trusted")


def test_bad_syntax_is_named_with_its_place(home: Path, cwd: Path) -> None:
    assert complaint(home, cwd, "a = 1\nb = = 2\n").startswith("HOME/config.toml:2:5: ")


def test_a_built_in_provider_cannot_be_replaced(home: Path, cwd: Path) -> None:
    text = complaint(home, cwd, '\n[model_providers.openai]\nname = "x"\n')
    assert text.startswith("HOME/config.toml:2:2: model_providers contains reserved built-in provider IDs: `openai`.")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"model": 5}, "invalid type: integer `5`, expected a string\nin `model`\n"),
        (
            {"model_providers.q.base_url": "u"},
            "model_providers.q: provider name must not be empty\nin `model_providers`\n",
        ),
        ({"features.fast_mode": "x"}, 'invalid type: string "x", expected a boolean\nin `features`\n'),
        (
            {"approval_policy": {"granular": {}}},
            "missing field `sandbox_approval`\nin `approval_policy`\n",
        ),
    ],
)
def test_a_bad_override_is_named_with_its_key(
    home: Path, cwd: Path, overrides: Mapping[str, object], expected: str
) -> None:
    assert complaint(home, cwd, "", overrides) == expected


def test_a_bad_project_file_matters_only_when_trusted(home: Path, cwd: Path) -> None:
    (cwd / ".codex").mkdir()
    (cwd / ".codex" / "config.toml").write_text("model = 5\n")
    assert configured(home, cwd, "").model is None
    trusted = f'[projects."{cwd}"]\ntrust_level = "trusted"\n'
    assert complaint(home, cwd, trusted).startswith("WORK/.codex/config.toml:1:9: ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.b=1", ("a.b", 1)),
        ('a="x"', ("a", "x")),
        ("a = some words", ("a", "some words")),
        ("a=[1, 2]", ("a", [1, 2])),
        ("a='quoted' words", ("a", "quoted' words")),
        ("a=", ("a", "")),
    ],
)
def test_a_flag_is_toml_if_it_can_be(text: str, expected: tuple[str, object]) -> None:
    assert parse_flag(text) == expected


def test_a_flag_needs_a_key_and_an_equals_sign() -> None:
    for text in ("model", "=x"):
        with pytest.raises(ConfigError):
            parse_flag(text)
