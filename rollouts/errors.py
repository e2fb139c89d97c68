"""Errors of the log.

Each is a type with fields, so that the engine can choose code and wording by method; the message says what is
wrong, where, and what to do. Nothing in here knows JSON-RPC.
"""

from __future__ import annotations

from pathlib import Path


class LogError(Exception):
    """A log cannot be read or written.

    `path` names the file or store, `line` is 1-based and `offset` in the log's own positions (bytes of
    uncompressed text for a file); both are None when they are not known. `reason` is a phrase without a
    final full stop.
    """

    def __init__(
        self, path: Path | str | None, reason: str, *, line: int | None = None, offset: int | None = None
    ) -> None:
        self.path = path
        self.reason = reason
        self.line = line
        self.offset = offset
        super().__init__(path, reason, line, offset)

    def __str__(self) -> str:
        where = [str(self.path)] if self.path is not None else []
        if self.line is not None:
            where.append(f"line {self.line}")
        if self.offset is not None:
            where.append(f"offset {self.offset}")
        return f"{', '.join(where)}: {self.reason}" if where else self.reason


class Moved(LogError):
    """The file is gone from its path, or another one is in its place: find the thread again and reopen."""

    def __init__(self, path: Path | str | None, what: str = "the file was moved or deleted") -> None:
        super().__init__(path, f"{what}; open the thread again")


class Conflict(Exception):
    """The log does not end where the writer thinks: another writer was there (design, rule 11).

    `expected` and `actual` are positions. Fold `read(expected, actual)` and try again; when `actual` is the
    smaller one the log was cut, and everything derived from it is stale.
    """

    def __init__(self, expected: int, actual: int) -> None:
        self.expected = expected
        self.actual = actual
        super().__init__(expected, actual)

    def __str__(self) -> str:
        return f"the log ends at {self.actual}, not at {self.expected}: it was changed by another writer"
