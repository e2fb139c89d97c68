"""Just enough of TypeScript to read the reference's generated bindings.

The JSON Schemas sort members by name. The bindings list them as they are written on the wire, mark the members
that are left out when unset (`name?: T`), and know three old methods that the schemas lack. A file is one
`export type Name = ...;`; this module parses that into the small tree below and knows nothing about schemas.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple, TypeAlias

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
_TOKEN = re.compile(r'"[^"]*"|[A-Za-z_$][\w$]*|[{}()\[\]<>|&:;,?=]|-?\d+')
_EXPORT = re.compile(r"export type (\w+) = ", re.S)


class Name(NamedTuple):
    """A type by name with its arguments: `Array<string>` is `Name("Array", (Name("string", ()),))`."""

    name: str
    args: tuple[Type, ...] = ()


class Const(NamedTuple):
    """A string literal as a type."""

    value: str


class Member(NamedTuple):
    """One member of an object; `optional` is the `?` behind its name."""

    key: str
    optional: bool
    type: Type


class Object(NamedTuple):
    """An object type; `rest` is the value type of an index signature."""

    members: tuple[Member, ...]
    rest: Type | None = None


class Union(NamedTuple):
    """Alternatives, in source order."""

    options: tuple[Type, ...]


class Both(NamedTuple):
    """An intersection."""

    parts: tuple[Type, ...]


Type: TypeAlias = "Name | Const | Object | Union | Both"


def options(type_: Type) -> tuple[Type, ...]:
    """The alternatives of a union; any other type is its own only one."""
    return type_.options if isinstance(type_, Union) else (type_,)


def load(folder: Path) -> dict[str, Type]:
    """All types of the files directly in `folder`, by name."""
    found: dict[str, Type] = {}
    for path in sorted(folder.glob("*.ts")):
        text = _COMMENT.sub(" ", path.read_text())
        if match := _EXPORT.search(text):
            found[match[1]] = _Parser(_TOKEN.findall(text[match.end() :])).union()
    return found


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def _peek(self) -> str:
        return self._tokens[self._at]

    def _take(self, *expected: str) -> str:
        token = self._tokens[self._at]
        if expected and token not in expected:
            raise ValueError(f"expected {expected}, found {token!r} at token {self._at}")
        self._at += 1
        return token

    def _skip(self, *tokens: str) -> bool:
        if self._peek() in tokens:
            self._at += 1
            return True
        return False

    def union(self) -> Type:
        self._skip("|")
        options = [self._both()]
        while self._skip("|"):
            options.append(self._both())
        return options[0] if len(options) == 1 else Union(tuple(options))

    def _both(self) -> Type:
        parts = [self._list()]
        while self._skip("&"):
            parts.append(self._list())
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def _list(self) -> Type:
        item = self._single()
        while self._at < len(self._tokens) and self._skip("["):
            self._take("]")
            item = Name("Array", (item,))
        return item

    def _single(self) -> Type:
        token = self._take()
        if token.startswith('"'):
            return Const(token[1:-1])
        if token == "(":
            inner = self.union()
            self._take(")")
            return inner
        if token == "{":
            return self._object()
        if not self._skip("<"):
            return Name(token)
        args = [self.union()]
        while self._skip(","):
            args.append(self.union())
        self._take(">")
        return Name(token, tuple(args))

    def _object(self) -> Object:
        members: list[Member] = []
        rest: Type | None = None
        while not self._skip("}"):
            if self._skip("["):
                self._take()
                self._take("in", ":")
                self._take()
                self._take("]")
                self._skip("?")
                self._take(":")
                rest = self.union()
            else:
                key = self._take().strip('"')
                optional = self._skip("?")
                self._take(":")
                members.append(Member(key, optional, self.union()))
            self._skip(",", ";")
        return Object(tuple(members), rest)
