"""The kinds of value a configuration key may have, and what is said when a value is of another kind.

A kind only looks: values stay the plain Python values that TOML or JSON gave. It must never read files or
know a key's name; the table of keys is `schema`. Messages follow the wording of the reference's decoder, as
clients show them (`invalid type: integer `5`, expected a string`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

Path = tuple[str, ...]


class Mismatch(Exception):
    """A value of the wrong kind: `at` are the keys that lead to it, `text` says what was expected."""

    def __init__(self, at: Path, text: str) -> None:
        super().__init__(text)
        self.at = at
        self.text = text


class Kind(Protocol):
    """What a value must be like."""

    def check(self, value: object, at: Path) -> None:
        """Look at `value`, found under the keys `at`.

        :raises Mismatch: if it is of another kind
        """


def described(value: object) -> str:
    """The value in the reference's words, as in ``integer `5` ``."""
    if isinstance(value, bool):
        return f"boolean `{str(value).lower()}`"
    if isinstance(value, int):
        return f"integer `{value}`"
    if isinstance(value, float):
        return f"floating point `{value}`"
    if isinstance(value, str):
        return f'string "{value}"'
    return "map" if isinstance(value, Mapping) else "sequence"


def listed(names: tuple[str, ...]) -> str:
    """Names of variants in the reference's words: ``one of `a`, `b`, `c` `` or `` `a` or `b` ``."""
    quoted = [f"`{name}`" for name in names]
    return " or ".join(quoted) if len(quoted) < 3 else "one of " + ", ".join(quoted)


def _wrong_type(value: object, at: Path, expected: str) -> Mismatch:
    return Mismatch(at, f"invalid type: {described(value)}, expected {expected}")


class Text(msgspec.Struct, frozen=True):
    """A string; with `file`, a path that is read relative to the folder of its layer."""

    file: bool = False

    def check(self, value: object, at: Path) -> None:
        """:raises Mismatch: if it is no string"""
        if not isinstance(value, str):
            raise _wrong_type(value, at, "path string" if self.file else "a string")


class Whole(msgspec.Struct, frozen=True):
    """An integer of one of the reference's types: `i64`, or an unsigned one, where a negative is refused."""

    name: str = "i64"

    def check(self, value: object, at: Path) -> None:
        """:raises Mismatch: if it is no integer, or one that the type does not hold"""
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong_type(value, at, self.name)
        if (value < 0 and self.name.startswith("u")) or (value >= 1 << 16 and self.name == "u16"):
            raise Mismatch(at, f"invalid value: integer `{value}`, expected {self.name}")


class Flag(msgspec.Struct, frozen=True):
    """A boolean."""

    def check(self, value: object, at: Path) -> None:
        """:raises Mismatch: if it is no boolean"""
        if not isinstance(value, bool):
            raise _wrong_type(value, at, "a boolean")


class Choice(msgspec.Struct, frozen=True):
    """One of some names; `also` are older spellings, `tables` variants written as a table with one key, `gone` names
    that are no more, with what is said of them."""

    names: tuple[str, ...]
    also: tuple[str, ...] = ()
    tables: tuple[tuple[str, Kind], ...] = ()
    gone: tuple[tuple[str, str], ...] = ()

    def check(self, value: object, at: Path) -> None:
        """:raises Mismatch: if it is none of the variants"""
        if isinstance(value, str):
            if value in dict(self.gone):
                raise Mismatch(at, dict(self.gone)[value])
            if value not in self.names and value not in self.also:
                raise Mismatch(at, f"unknown variant `{value}`, expected {listed(self.names)}")
            return
        kinds = dict(self.tables)
        if not isinstance(value, Mapping):
            raise Mismatch(at, "wanted string or table")
        if len(value) != 1:
            raise Mismatch(at, f"wanted exactly 1 element, {'more than 1 element' if value else 'found 0 elements'}")
        for name, inner in value.items():
            if name not in kinds:
                raise Mismatch(at, f"unknown variant `{name}`, expected {listed(self.names)}")
            kinds[name].check(inner, (*at, name))


class ListOf(msgspec.Struct, frozen=True):
    """A list of values of one kind."""

    kind: Kind

    def check(self, value: object, at: Path) -> None:
        """:raises Mismatch: if it is no list, or for its first bad entry"""
        if not isinstance(value, list | tuple):
            raise _wrong_type(value, at, "a sequence")
        for entry in value:
            self.kind.check(entry, at)


class Section(msgspec.Struct, frozen=True):
    """A table with known keys; others are let through, as newer versions may have written them."""

    keys: dict[str, Kind]
    required: tuple[str, ...] = ()
    called: str = "a map"

    def check(self, value: object, at: Path) -> None:
        """:raises Mismatch: if it is no table, lacks a required key, or for its first bad value"""
        if not isinstance(value, Mapping):
            raise _wrong_type(value, at, self.called)
        for key in self.required:
            if key not in value:
                raise Mismatch(at, f"missing field `{key}`")
        for key, inner in value.items():
            if key in self.keys:
                self.keys[key].check(inner, (*at, key))


class TableOf(msgspec.Struct, frozen=True):
    """A table with free keys and values of one kind."""

    kind: Kind

    def check(self, value: object, at: Path) -> None:
        """:raises Mismatch: if it is no table, or for its first bad value"""
        if not isinstance(value, Mapping):
            raise _wrong_type(value, at, "a map")
        for key, inner in value.items():
            self.kind.check(inner, (*at, key))
