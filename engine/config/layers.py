"""The layers of a configuration: system, user, trusted project folders, flags; read, checked and merged.

A file is checked before it is merged, so that a bad value is named with its file and place; the merged table
is checked again for what flags brought in (spec: permissions section 9, hooks, models-and-limits section 1).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine.config.errors import ConfigError, Spot, os_error, place
from engine.config.mcp_servers import complete
from engine.config.schema import TOP_LEVEL, Table, absolute
from engine.config.syntax import explain
from engine.config.values import Mismatch

SYSTEM_FILE = Path("/etc/codex/config.toml")

LayerKind = Literal["system", "user", "project", "flags"]


class Layer(msgspec.Struct, frozen=True):
    """One source of settings. `folder` is where relative paths in it start; `file` is absent for flags."""

    kind: LayerKind
    table: Table
    folder: Path
    file: Path | None = None


def read_layer(kind: LayerKind, file: Path) -> Layer | None:
    """The layer of a config file, or `None` if there is no such file.

    :raises ConfigError: `<file>:<line>:<column>: <what is wrong>` for bad syntax or a bad value
    """
    try:
        text = file.read_text(encoding="utf-8").removeprefix("\ufeff")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = os_error(error) if isinstance(error, OSError) else _not_utf8(error)
        raise ConfigError(f"Failed to read config file {file}: {reason}") from error
    try:
        table = tomllib.loads(text)
        TOP_LEVEL.check(table, ())
    except tomllib.TOMLDecodeError as error:
        broken, *spot = explain(text, error)
        raise ConfigError(broken, Spot(file, *spot)) from error
    except RecursionError as error:
        raise ConfigError(f"{file}: cannot recurse further; max recursion depth met") from error
    except Mismatch as error:
        if at := place(text, error.at):
            raise ConfigError(error.text, Spot(file, *at)) from error
        raise ConfigError(f"{file}: {error.text}\nin `{error.at[0] if error.at else ''}`\n") from error
    return Layer(kind, absolute(table, file.parent), file.parent, file)


def _not_utf8(error: UnicodeDecodeError) -> str:
    if error.reason == "unexpected end of data":
        return f"incomplete utf-8 byte sequence from index {error.start}"
    return f"invalid utf-8 sequence of {error.end - error.start} bytes from index {error.start}"


def flag_layer(overrides: Mapping[str, object], folder: Path) -> Layer:
    """The layer of `-c` flags and of the `config` object of a request: dotted keys and their values.

    A null leaves the key alone, a table takes the place of a value, paths are relative to the folder. Not checked here:
    the merged table is.
    """
    table: Table = {}
    for dotted, value in overrides.items():
        if value is None:
            continue
        inner = table
        *way, last = dotted.split(".")
        for key in way:
            if not isinstance(inner.get(key), dict):
                inner[key] = {}
            inner = inner[key]
        merge(inner, {last: value})
    return Layer("flags", absolute(table, folder), folder)


def parse_flag(text: str) -> tuple[str, object]:
    """`key=value` of the command line. The value is TOML if it parses, else the string itself.

    :raises ConfigError: without `=` or with an empty key
    """
    key, separator, raw = text.partition("=")
    if not separator:
        raise ConfigError(f"Invalid override (missing '='): {text}")
    if not key.strip():
        raise ConfigError(f"Empty key in override: {text}")
    raw = raw.strip()
    try:
        return key.strip(), tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), raw.strip("\"'")


def merge(into: dict[str, Any], over: Mapping[str, Any]) -> None:
    """Lay `over` on `into`, in place: tables are merged, everything else is replaced."""
    for key, value in over.items():
        below = into.get(key)
        if isinstance(value, Mapping):
            fresh = dict(below) if isinstance(below, Mapping) else {}
            merge(fresh, value)
            into[key] = fresh
        else:
            into[key] = value


def merged(layers: Iterable[Layer]) -> Table:
    """All layers in one checked table, later ones on top.

    :raises ConfigError: naming the key, for a bad value that a flag brought in
    """
    table: Table = {}
    for layer in layers:
        merge(table, layer.table)
    check(table)
    return table


def check(table: Mapping[str, Any]) -> None:
    """Check a merged table.

    :raises ConfigError: naming the key
    """
    try:
        TOP_LEVEL.check(table, ())
        complete(table)
    except Mismatch as error:
        raise keyed(error) from error


def keyed(error: Mismatch) -> ConfigError:
    """The error of a value that has no file, in the reference's form: mostly, only the outermost key is named."""
    named = error.at if error.at[:1] == ("mcp_servers",) else error.at[:1]
    return ConfigError(f"{error.text}\nin `{'.'.join(named)}`\n")
