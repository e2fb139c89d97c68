"""A log as it would be with one more line, for questions about a line before it is written."""

from __future__ import annotations

from collections.abc import Iterator

from projections.window import Window
from projections.window_tail import from_tail
from rollouts import codec
from rollouts import events as ev
from rollouts.log import Log, Record


class _Draft:
    """Reads of a log with a line behind it; offsets go on as if it were written."""

    def __init__(self, log: Log, line: bytes) -> None:
        start = log.end()
        self._log = log
        self._line = Record(start, line, start + len(line) + 1)

    def end(self) -> int:
        return self._line.end

    def read(self, start: int = 0, end: int | None = None, *, limit: int | None = None) -> Iterator[Record]:
        yield from self._log.read(start, self._line.offset, limit=limit)
        yield self._line

    def read_back(self, end: int | None = None, *, limit: int | None = None) -> Iterator[Record]:
        yield self._line
        yield from self._log.read_back(self._line.offset, limit=limit)


def window_after(window: Window, log: Log, body: ev.Body) -> Window:
    """The model's window as this line would leave it; walks back if it must.

    :raises LogError: the log cannot be read.
    """
    left = window.copy()
    left.apply(body)
    if not left.stale:
        return left
    draft = _Draft(log, codec.encode(body, "").rstrip(b"\n"))
    return from_tail(draft).window  # type: ignore[arg-type]  # a draft is never written to
