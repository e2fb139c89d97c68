"""Unified diffs of two texts, in the form of `diff -u` and git: hunks only, headers are the caller's.

Pure. Items show one line of context, the diff of a turn three (spec: tools, section 4.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from engine.patch.edits import Change, changes

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_UNENDED = "\n\\ No newline at end of file\n"


def unified(old: str, new: str, context: int) -> str:
    """Hunks that turn `old` into `new`; empty if they are equal.

    :param context: how many kept lines to show around a change
    """
    old_lines, new_lines = _LINE.findall(old), _LINE.findall(new)
    groups = _groups(changes(old_lines, new_lines), context)
    return "".join(_hunk(group, old_lines, new_lines, context) for group in groups)


def _groups(found: Sequence[Change], context: int) -> Iterator[list[Change]]:
    """Changes that share a hunk because their context lines touch."""
    group: list[Change] = []
    for change in found:
        if group and change.old_start - group[-1].old_end > 2 * context:
            yield group
            group = []
        group.append(change)
    if group:
        yield group


def _hunk(group: list[Change], old: list[str], new: list[str], context: int) -> str:
    before = min(context, group[0].old_start)
    after = min(context, len(old) - group[-1].old_end)
    old_range = _range(group[0].old_start - before, group[-1].old_end + after)
    new_range = _range(group[0].new_start - before, group[-1].new_end + after)
    parts = [f"@@ -{old_range} +{new_range} @@\n"]
    at = group[0].old_start - before
    for change in group:
        parts += (_line(" ", line) for line in old[at : change.old_start])
        parts += (_line("-", line) for line in old[change.old_start : change.old_end])
        parts += (_line("+", line) for line in new[change.new_start : change.new_end])
        at = change.old_end
    parts += (_line(" ", line) for line in old[at : at + after])
    return "".join(parts)


def _line(mark: str, line: str) -> str:
    return f"{mark}{line}" if line[-1] in "\r\n" else f"{mark}{line}{_UNENDED}"


def _range(start: int, end: int) -> str:
    """Lines `start:end`, counted from 1; an empty range names the line before it."""
    if end - start == 1:
        return str(start + 1)
    return f"{start + (end > start)},{end - start}"
