"""Where the old lines of a chunk stand in a file, and the text that results.

Pure. Patches are written by a model from memory, so lines are sought in four passes, each more forgiving than the
one before (spec: tools, section 4.2). A looser pass is tried only when the stricter one found nothing anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from engine.patch.parse import BLANKS, Chunk

_ODD_CHARACTERS = {
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212",
    "'": "\u2018\u2019\u201a\u201b",
    '"': "\u201c\u201d\u201e\u201f",
    " ": "\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000",
}
_PLAIN = str.maketrans({odd: plain for plain, odds in _ODD_CHARACTERS.items() for odd in odds})

_PASSES: tuple[Callable[[str], str], ...] = (
    lambda line: line,
    lambda line: line.rstrip(BLANKS),
    lambda line: line.strip(BLANKS),
    lambda line: line.strip(BLANKS).translate(_PLAIN),
)


class _Replacement(NamedTuple):
    """Lines `start:end` become `new`. `place` is where the chunk was found, before the context was taken off."""

    start: int
    place: int
    end: int
    new: Sequence[str]


class NotFound(Exception):
    """A chunk does not fit the file.

    :param what: the sentence up to `in <path>`.
    :param lines: the lines that were sought, to be shown below it; empty for a context line.
    """

    def __init__(self, what: str, lines: Sequence[str] = ()) -> None:
        super().__init__(what)
        self.what = what
        self.lines = tuple(lines)

    def describe(self, path: str) -> str:
        """The complaint about this file, as the reference words it."""
        return f"{self.what} in {path}" + (":\n" + "\n".join(self.lines) if self.lines else "")


def patched(text: str, chunks: Sequence[Chunk]) -> str:
    """The text of a file after these chunks; it ends with a newline, unless nothing is left of it.

    :raises NotFound: a chunk does not fit
    """
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    for replacement in reversed(_apart(_replacements(lines, chunks))):
        lines[replacement.start : replacement.end] = replacement.new
    if not lines or lines[-1] != "":
        lines.append("")
    return "\n".join(lines)


class Finder:
    """Finds runs of lines in one file; each forgiving view of the file is made once, when it is first needed."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._views: list[list[str]] = [list(lines)]

    def find(self, wanted: Sequence[str], start: int, at_end: bool = False) -> int | None:
        """Index of the first run equal to `wanted` from `start` on, or only at the end of the file."""
        last = len(self._views[0]) - len(wanted)
        if last < 0:
            return None
        if at_end:
            start = last
        for number, view in enumerate(_PASSES):
            if number == len(self._views):
                self._views.append([view(line) for line in self._views[0]])
            found = _index(self._views[number], [view(line) for line in wanted], start, last)
            if found is not None:
                return found
        return None


def _index(lines: list[str], wanted: list[str], start: int, last: int) -> int | None:
    while start <= last:
        try:
            start = lines.index(wanted[0], start, last + 1)
        except ValueError:
            return None
        if lines[start : start + len(wanted)] == wanted:
            return start
        start += 1
    return None


def _replacements(lines: list[str], chunks: Sequence[Chunk]) -> list[_Replacement]:
    """What each chunk replaces, in the order of the chunks; only added lines may lie inside another replacement."""
    finder = Finder(lines)
    found: list[_Replacement] = []
    at = taken = 0
    for chunk in chunks:
        if chunk.context is not None:
            place = finder.find([chunk.context], at)
            if place is None:
                raise NotFound(f"Failed to find context '{chunk.context}'")
            at = place + 1
        if not chunk.old:
            end = len(lines) - 1 if lines and lines[-1] == "" else len(lines)
            found.append(_Replacement(end, end, end, chunk.new))
            continue
        place, old, new = _place(finder, chunk, at)
        if place is None:
            raise NotFound("Failed to find expected lines", chunk.old)
        at = place + len(old)
        replacement = _trimmed(lines, place, at, new)
        # A chunk at the end of the file may lie before `at`. It may share context with its predecessor, but where
        # both change a line, one change would be lost.
        if replacement.start < taken:
            raise NotFound("Failed to find expected lines", chunk.old)
        taken = replacement.end
        found.append(replacement)
    return found


def _apart(found: list[_Replacement]) -> list[_Replacement]:
    """Replacements by position, chunks at one place in order.

    Lines added "at the end" may fall inside a replacement that spans the last empty line; they follow it.
    """
    apart: list[_Replacement] = []
    taken = 0
    for one in sorted(found, key=lambda replacement: replacement[:2]):
        taken = max(one.end, taken)
        apart.append(one._replace(start=taken if one.start == one.end else one.start, end=taken))
    return apart


def _trimmed(lines: list[str], place: int, end: int, new: Sequence[str]) -> _Replacement:
    """A replacement without the lines around it that stay the same."""
    start, first, last = place, 0, len(new)
    while start < end and first < last and lines[start] == new[first]:
        start, first = start + 1, first + 1
    while start < end and first < last and lines[end - 1] == new[last - 1]:
        end, last = end - 1, last - 1
    return _Replacement(start, place, end, new[first:last])


def _place(finder: Finder, chunk: Chunk, start: int) -> tuple[int | None, Sequence[str], Sequence[str]]:
    """Where the old lines stand; an empty last one is dropped (with its twin in the new ones) if need be."""
    place = finder.find(chunk.old, start, chunk.at_end)
    if place is not None or chunk.old[-1] != "":
        return place, chunk.old, chunk.new
    old = chunk.old[:-1]
    new = chunk.new[:-1] if chunk.new[-1:] == ("",) else chunk.new
    if not old:
        return start, old, new
    return finder.find(old, start, chunk.at_end), old, new
