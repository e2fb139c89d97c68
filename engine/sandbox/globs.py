"""Which files a deny-read pattern hides at this moment (spec: sandbox, section 4). Reads folders, nothing else."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

_SPECIAL = frozenset("*?[]")


def masked_files(pattern: str, cwd: str, max_depth: int | None) -> list[str]:
    """The files that a pattern matches, the outermost first, and the targets of links that it matches.

    :param max_depth: how many levels below the fixed beginning of the pattern are searched; None for all.
    :raises OSError: a folder cannot be listed, so nobody knows what would have to be hidden.
    """
    absolute = os.path.normpath(os.path.join(cwd, pattern))
    parts = absolute.split("/")
    fixed = next((at for at, part in enumerate(parts) if _SPECIAL & set(part)), None)
    if fixed is None:
        return []
    base = "/".join(parts[:fixed]) or "/"
    matches = re.compile("/".join(parts[fixed:]) and _translated(parts[fixed:]))
    found = set()
    for path in _files(base, max_depth):
        if matches.fullmatch(os.path.relpath(path, base)):
            found.add(os.path.realpath(path) if os.path.islink(path) else path)
    return sorted((path for path in found if os.path.isfile(path)), key=lambda path: (path.count("/"), path))


def _files(folder: str, max_depth: int | None) -> Iterator[str]:
    """All files and links below a folder; links are not followed. A folder that is gone has none."""
    if max_depth == 0:
        return
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path, None if max_depth is None else max_depth - 1)
        else:
            yield entry.path


def _translated(parts: list[str]) -> str:
    """A regular expression for path components with wildcards: `**` stands for any number of folders."""
    pieces = []
    for at, part in enumerate(parts):
        last = at == len(parts) - 1
        if part == "**":
            pieces.append(".*" if last else "(?:[^/]+/)*")
        else:
            pieces.append(_component(part) + ("" if last else "/"))
    return "".join(pieces)


def _component(part: str) -> str:
    """One path component; `[` without its `]` stands for itself."""
    pieces, at = [], 0
    while at < len(part):
        char = part[at]
        end = part.find("]", at + 2) if char == "[" else -1
        if end > 0:
            inner = part[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            negated = inner[0] in "!^"
            pieces.append(f"[^/{inner[1:]}]" if negated else f"[{inner}]")
            at = end + 1
            continue
        while part[at : at + 2] == "**":
            at += 1
        pieces.append({"*": "[^/]*", "?": "[^/]"}.get(char) or re.escape(char))
        at += 1
    return "".join(pieces)
