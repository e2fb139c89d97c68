"""TOML that does not parse, in the words of the reference: what is wrong, and which part of the text shows it.

The parser says where it gave up; the reference often names more than that place: a whole word, or the key that is there
twice. Texts were taken from the reference's answers. Cold path only.
"""

from __future__ import annotations

import re
import tomllib
from typing import NamedTuple

_PLACE = re.compile(r"(?P<text>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL)
_WORD = re.compile(r"[^\s,\]}#=]*")
_KEY_OF_LINE = re.compile(r"\s*\[*\s*(?P<key>[^\s=\]]+)")

_NO_KEY = "unquoted keys cannot be empty, expected letters, numbers, `-`, `_`"
_TWICE = "duplicate key"

#: What the parser says, at its beginning -> what the reference says.
_WORDS = {
    "Expected '=' after a key": "key with no value, expected `=`",
    "Expected newline or end of document": "unexpected key or value, expected newline, `#`",
    "Expected ']' at the end of a table": "unclosed table, expected `]`",
    "Expected ']]' at the end of an array": "unclosed array table, expected `]`",
    "Unclosed array": "unclosed array, expected `]`",
    "Unclosed inline table": "unclosed inline table, expected `}`",
    "Unterminated string": 'invalid multi-line basic string, expected `"`',
    'Expected "\'"': "invalid literal string, expected `'`",
    "Illegal character '\\n'": 'invalid basic string, expected `"`',
    "Invalid initial character for a key part": _NO_KEY,
    "Cannot overwrite a value": _TWICE,
    "Cannot declare": _TWICE,
    "Cannot mutate": _TWICE,
    "Duplicate inline table key": _TWICE,
}

#: First character of a value that is none -> what the reference took it for.
_VALUES = {
    "=": "extra `=`, expected nothing",
    "}": "missing inline table opening, expected `{`",
    ",": "extra comma in array, expected value",
    "t": "invalid boolean, expected `true`",
    "f": "invalid boolean, expected `false`",
    "n": "invalid float, expected `nan`",
    "i": "invalid float, expected `inf`",
}
_NO_VALUE = "string values must be quoted, expected literal string"


class Broken(NamedTuple):
    """What is wrong, and the line and columns, all from 1, of the first and the last character that show it."""

    text: str
    line: int
    column: int
    end: int


def explain(document: str, error: tomllib.TOMLDecodeError) -> Broken:
    """What the reference says of a document that does not parse."""
    found = _PLACE.fullmatch(str(error))
    said = found["text"] if found else str(error)
    lines = document.split("\n")
    if found and found["line"]:
        line, column = int(found["line"]), int(found["column"])
    else:  # behind a last line end one is still on the line that it ends
        line = max(document.removesuffix("\n").count("\n") + 1, 1)
        column = len(lines[line - 1]) + 1 + ("'" not in said and document.endswith("\n"))
    rest = lines[line - 1][column - 1 :]
    if said == "Invalid value":
        word = _WORD.match(rest)
        length = len(word[0]) if word else 0
        return Broken(_VALUES.get(rest[:1], _NO_VALUE), line, column, column + max(length - 1, 0))
    if said == "Invalid statement":
        return Broken(_NO_KEY if rest.startswith("=") else "invalid key-value pair, expected key", line, column, column)
    text = next((ours for theirs, ours in _WORDS.items() if said.startswith(theirs)), said)
    if text == _TWICE and (key := _KEY_OF_LINE.match(lines[line - 1])):
        return Broken(text, line, key.start("key") + 1, key.end("key"))
    return Broken(text, line, column, column)
