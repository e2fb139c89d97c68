"""The one error of this package, and where in a TOML file it lies."""

from __future__ import annotations

import json
import re

_HEADER = re.compile(r"^\s*\[(?!\[)(?P<keys>[^\]]+)\]")
_SETTING = re.compile(r"""^\s*(?P<keys>[^=\s#'"]+|"[^"]*"|'[^']*')\s*=\s*""")
_KEY = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*'|[^.\s"']+)\s*\.?""")


class ConfigError(Exception):
    """A configuration that cannot be used. `str(error)` names the file and place, or the key.

    Answers to clients put ``failed to load configuration: `` in front (spec: thread-lifecycle, section 2).
    """


def os_error(error: OSError) -> str:
    """The error in the reference's words: `No such file or directory (os error 2)`."""
    return f"{error.strerror} (os error {error.errno})"


def place(text: str, keys: tuple[str, ...]) -> tuple[int, int] | None:
    """Line and column, both from 1, of the value under `keys` in a TOML text, or `None` if not found.

    Looks at headers and at `key = value` lines only: of a table it is the first header, inside an inline
    table or a list the outermost value.
    """
    header: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if found := _HEADER.match(line):
            header = _split(found["keys"])
            if header[: len(keys)] == keys:
                return number, found.start("keys") + 1
        elif found := _SETTING.match(line):
            here = header + _split(found["keys"])
            if here == keys[: len(here)]:
                return number, found.end() + 1
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
