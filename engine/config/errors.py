"""The one error of this package, and where in a TOML file it lies."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

_HEADER = re.compile(r"^\s*\[(?!\[)(?P<keys>[^\]]+)\]")
_SETTING = re.compile(r"""^\s*(?P<keys>[^=\s#'"]+|"[^"]*"|'[^']*')\s*=\s*""")
_VALUE = re.compile(r"""\"(?:[^"\\]|\\.)*\"|'[^']*'|[^#]*?(?=\s*(?:#|$))""")
_KEY = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*'|[^.\s"']+)\s*\.?""")


class Spot(NamedTuple):
    """A part of one line of a file: columns, from 1 like the line, of its first and its last character."""

    file: Path
    line: int
    column: int
    end: int


class ConfigError(Exception):
    """A configuration that cannot be used. `str(error)` names the file and place, or the key.

    Answers to clients put ``failed to load configuration: `` in front (spec: thread-lifecycle, section 2).

    :param at: where the file says it, if a place can be named.
    """

    def __init__(self, text: str, at: Spot | None = None) -> None:
        super().__init__(text if at is None else f"{at.file}:{at.line}:{at.column}: {text}")
        self.at = at


def os_error(error: OSError) -> str:
    """The error in the reference's words: `No such file or directory (os error 2)`."""
    return f"{error.strerror} (os error {error.errno})"


def place(text: str, keys: tuple[str, ...]) -> tuple[int, int, int] | None:
    """Line, first and last column, all from 1, of the value under `keys` in a TOML text, or `None` if not found.

    Looks at headers and at `key = value` lines only: of a table it is its header, or those keys in a longer one,
    inside an inline table or a list the outermost value.
    """
    header: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if found := _HEADER.match(line):
            header = _split(found["keys"])
            if header == keys:
                return number, found.start("keys"), found.end("keys") + 1
            if header[: len(keys)] == keys:
                start = found.start("keys")
                ends = [key.end(1) for key in _KEY.finditer(found["keys"])]
                return number, start + 1, start + ends[len(keys) - 1]
        elif found := _SETTING.match(line):
            here = header + _split(found["keys"])
            if here == keys[: len(here)]:
                value = _VALUE.match(line, found.end())
                return number, found.end() + 1, max(value.end() if value else 0, found.end() + 1)
    return None


def _split(dotted: str) -> tuple[str, ...]:
    return tuple(_bare(key) for key in _KEY.findall(dotted))


def _bare(key: str) -> str:
    if key.startswith('"'):
        try:
            return str(json.loads(key))
        except ValueError:
            return key[1:-1]
    return key[1:-1] if key.startswith("'") else key
