"""Configuration files that do not parse: what clients are told, and which characters are pointed at."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import ConfigError, load_or_default
from engine.config.layers import read_layer

NO_VALUE = "string values must be quoted, expected literal string"
NO_KEY = "unquoted keys cannot be empty, expected letters, numbers, `-`, `_`"
MORE = "unexpected key or value, expected newline, `#`"


def refused(tmp_path: Path, content: str | bytes) -> ConfigError:
    file = tmp_path / "config.toml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigError) as caught:
        read_layer("user", file)
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "column", "end", "words"),
    [
        ("a = \n", 1, 5, 5, NO_VALUE),
        ("model = gpt-5\n", 1, 9, 13, NO_VALUE),
        ("a = tru\n", 1, 5, 7, "invalid boolean, expected `true`"),
        ("approval_policy = never\n", 1, 19, 23, "invalid float, expected `nan`"),
        ("a == 1\n", 1, 4, 4, "extra `=`, expected nothing"),
        ("a = [1,,2]\n", 1, 8, 8, "extra comma in array, expected value"),
        ("x = 1\na b = 1\n", 2, 3, 3, "key with no value, expected `=`"),
        ("= 1\n", 1, 1, 1, NO_KEY),
        ("[]\n", 1, 2, 2, NO_KEY),
        ("{\n", 1, 1, 1, "invalid key-value pair, expected key"),
        ('a = "x\n', 1, 7, 7, 'invalid basic string, expected `"`'),
        ("a = 'x\n", 1, 7, 7, "invalid literal string, expected `'`"),
        ('a = """x\n', 1, 10, 10, 'invalid multi-line basic string, expected `"`'),
        ('a = "x" y\n', 1, 9, 9, MORE),
        ("[a\n", 1, 3, 3, "unclosed table, expected `]`"),
        ("a = [1, 2\n", 1, 11, 11, "unclosed array, expected `]`"),
        ('model = "a"\nmodel = "b"\n', 2, 1, 5, "duplicate key"),
        ("[a]\nb = 1\n[a]\nc = 2\n", 3, 2, 2, "duplicate key"),
        ("x = 1\nmodel = 5\n", 2, 9, 9, "invalid type: integer `5`, expected a string"),
        ('personality = "x" # no\n', 1, 15, 17, "unknown variant `x`, expected one of `none`, `friendly`, `pragmatic`"),
        ('[model_providers.q]\nbase_url = "u"\n', 1, 2, 16, "model_providers.q: provider name must not be empty"),
    ],
)
def test_the_part_that_is_wrong(tmp_path: Path, text: str, line: int, column: int, end: int, words: str) -> None:
    error = refused(tmp_path, text)
    assert str(error) == f"{tmp_path / 'config.toml'}:{line}:{column}: {words}"
    assert error.at == (tmp_path / "config.toml", line, column, end)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    error = refused(tmp_path, b'model = "\xff"\n')
    assert str(error).endswith("config.toml: invalid utf-8 sequence of 1 bytes from index 9")
    assert error.at is None


def test_a_mark_before_the_text_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b'\xef\xbb\xbfmodel = "m"\n')
    layer = read_layer("user", tmp_path / "config.toml")
    assert layer is not None and layer.table == {"model": "m"}


def test_the_old_wire_is_gone(tmp_path: Path) -> None:
    error = refused(tmp_path, '[model_providers.q]\nname = "q"\nwire_api = "chat"\n')
    assert '`wire_api = "chat"` is no longer supported.' in str(error)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"profile": "p"}, "config profile `p` not found"),
        ({"model_provider": "p"}, "Model provider `p` not found"),
        ({"model": 5}, "invalid type: integer `5`, expected a string\nin `model`"),
        ({"model": "m", "model.x": 1}, "invalid type: map, expected a string\nin `model`"),
    ],
)
def test_flags_that_work_neither_with_the_files_nor_without(
    tmp_path: Path, flags: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        load_or_default(tmp_path, flags, tmp_path)


def test_flags_may_name_what_is_in_the_files(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[profiles.p]\nmodel = "m"\n')
    assert load_or_default(tmp_path, {"profile": "p"}, tmp_path).model == "m"


def test_the_defaults_stand_in_for_files_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('model = 5\nmodel_provider = "nope"\n')
    config = load_or_default(tmp_path, {"review_model": "r"}, tmp_path)
    assert (config.model, config.review_model, config.provider_id) == (None, "r", "openai")
    (tmp_path / "config.toml").write_text('model = "m"\n')
    assert load_or_default(tmp_path, {}, tmp_path).model == "m"
