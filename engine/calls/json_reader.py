"""JSON text as serde_json reads it: where each value lies, or where and in which words it is no JSON.

Only for explaining a refusal; decoding is msgspec's. Positions are byte offsets. The texts are those the reference gave
for some two hundred broken arguments.
"""

from __future__ import annotations

import re

import msgspec

DEPTH_LIMIT = 128
_DIGITS = frozenset(b"0123456789")
_ESCAPED = frozenset(b'"\\/bfnrt')
_HEX = re.compile(rb"[0-9a-fA-F]{4}")
_IDENTS = {ord("n"): b"null", ord("t"): b"true", ord("f"): b"false"}


class NotJson(Exception):
    """The text is no JSON; `at` is how many bytes had been read when that was noticed."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.message = message
        self.at = at


class Node(msgspec.Struct):
    """A value, where it begins and ends, and what is in it by member name or index."""

    begin: int
    end: int
    compound: bool = False
    """Whether it is a list or an object."""
    children: dict[str | int, Node] = {}
    keys: dict[str, int] = {}
    """Where the names of members end."""


def read(data: bytes) -> Node:
    """Read a text that holds one value.

    :raises NotJson: it does not.
    """
    reader = _Reader(data)
    node = reader.value(DEPTH_LIMIT)
    if reader.peek() is not None:
        raise reader.ahead("trailing characters")
    return node


def position(data: bytes, offset: int) -> str:
    """An offset as texts name it: line from 1, column in bytes read of it."""
    before = data[:offset]
    return f"line {before.count(10) + 1} column {offset - (before.rfind(10) + 1)}"


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def peek(self) -> int | None:
        """The next byte that is no space; None at the end."""
        while self._at < len(self._data) and self._data[self._at] in b" \n\t\r":
            self._at += 1
        return self._data[self._at] if self._at < len(self._data) else None

    def ahead(self, message: str) -> NotJson:
        """What is wrong with the next byte."""
        return NotJson(message, min(self._at + 1, len(self._data)))

    def value(self, depth: int) -> Node:
        first, begin = self.peek(), self._at
        if first is None:
            raise NotJson("EOF while parsing a value", self._at)
        if first in b"[{" and depth == 1:
            raise self.ahead("recursion limit exceeded")
        if first == ord("{"):
            return self._object(begin, depth)
        if first == ord("["):
            return self._list(begin, depth)
        if first == ord('"'):
            self._at += 1
            self._string()
        elif first in _IDENTS:
            self._ident(_IDENTS[first])
        elif first in _DIGITS or first == ord("-"):
            self._number()
        else:
            raise self.ahead("expected value")
        return Node(begin, self._at)

    def _object(self, begin: int, depth: int) -> Node:
        node = Node(begin, begin, compound=True)
        self._at += 1
        while self._more(ord("}"), first=not node.keys, kind="an object", expected="expected `,` or `}`"):
            if self.peek() != ord('"'):
                raise self.ahead("key must be a string")
            start = self._at
            self._at += 1
            self._string()
            name = str(msgspec.json.decode(self._data[start : self._at]))
            node.keys[name] = self._at
            if self.peek() != ord(":"):
                eof = self._at == len(self._data)
                raise self.ahead("EOF while parsing an object" if eof else "expected `:`")
            self._at += 1
            node.children[name] = self.value(depth - 1)
        node.end = self._at
        return node

    def _list(self, begin: int, depth: int) -> Node:
        node = Node(begin, begin, compound=True)
        self._at += 1
        while self._more(ord("]"), first=not node.children, kind="a list", expected="expected `,` or `]`"):
            node.children[len(node.children)] = self.value(depth - 1)
        node.end = self._at
        return node

    def _more(self, close: int, *, first: bool, kind: str, expected: str) -> bool:
        """Whether another member follows; steps over the comma or the closing bracket."""
        found = self.peek()
        if found is None:
            raise NotJson(f"EOF while parsing {kind}", self._at)
        if found == close:
            self._at += 1
            return False
        if first:
            return True
        if found != ord(","):
            raise self.ahead(expected)
        self._at += 1
        found = self.peek()
        if found is None:
            raise NotJson("EOF while parsing a value", self._at)
        if found == close:
            raise self.ahead("trailing comma")
        return True

    def _next(self, kind: str) -> int:
        if self._at == len(self._data):
            raise NotJson(f"EOF while parsing a {kind}", self._at)
        self._at += 1
        return self._data[self._at - 1]

    def _ident(self, word: bytes) -> None:
        for letter in word:
            if self._next("value") != letter:
                raise NotJson("expected ident", self._at)

    def _number(self) -> None:
        begin = self._at
        if self._data[self._at] == ord("-"):
            self._at += 1
        leading = self._next("value")
        if leading not in _DIGITS:
            raise NotJson("invalid number", self._at)
        if leading != ord("0"):
            self._digits()
        elif self._at < len(self._data) and self._data[self._at] in _DIGITS:
            raise self.ahead("invalid number")
        if self._data[self._at : self._at + 1] == b".":
            self._at += 1
            if not self._digits():
                eof = self._at == len(self._data)
                raise self.ahead("EOF while parsing a value" if eof else "invalid number")
        if self._data[self._at : self._at + 1] in (b"e", b"E"):
            self._at += 1
            if self._data[self._at : self._at + 1] in (b"+", b"-"):
                self._at += 1
            if self._next("value") not in _DIGITS:
                raise NotJson("invalid number", self._at)
            self._digits()
        if float(self._data[begin : self._at]) in (float("inf"), float("-inf")):
            raise NotJson("number out of range", self._at)

    def _digits(self) -> int:
        """Step over digits; how many there were."""
        begin = self._at
        while self._at < len(self._data) and self._data[self._at] in _DIGITS:
            self._at += 1
        return self._at - begin

    def _string(self) -> None:
        """Step over the rest of a string whose first quote is behind us."""
        while (found := self._next("string")) != ord('"'):
            if found == ord("\\"):
                self._escape()
            elif found < 0x20:
                raise NotJson("control character (\\u0000-\\u001F) found while parsing a string", self._at)

    def _escape(self) -> None:
        found = self._next("string")
        if found != ord("u"):
            if found not in _ESCAPED:
                raise NotJson("invalid escape", self._at)
            return
        unit = self._hex()
        if 0xD800 <= unit < 0xDC00:
            if self._next("string") != ord("\\") or self._next("string") != ord("u"):
                raise NotJson("unexpected end of hex escape", self._at)
            if not 0xDC00 <= self._hex() < 0xE000:
                raise NotJson("lone leading surrogate in hex escape", self._at)
        elif 0xDC00 <= unit < 0xE000:
            raise NotJson("lone leading surrogate in hex escape", self._at)

    def _hex(self) -> int:
        digits = self._data[self._at : self._at + 4]
        if len(digits) < 4:
            raise NotJson("EOF while parsing a string", len(self._data))
        self._at += 4
        if not _HEX.fullmatch(digits):
            raise NotJson("invalid escape", self._at)
        return int(digits, 16)
