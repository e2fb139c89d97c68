"""Patches and little trees of files for the patch tests."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from hypothesis import strategies as st


def framed(*lines: str) -> str:
    """A patch of these lines."""
    return "\n".join(["*** Begin Patch", *lines, "*** End Patch"])


def write_tree(root: Path, files: Mapping[str, str]) -> None:
    """Write files by relative path, line ends as they are."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


def read_tree(root: Path) -> dict[str, tuple[int, str]]:
    """Mode and text of every file, where links point to, and every folder."""
    found: dict[str, tuple[int, str]] = {}
    for path in sorted(root.rglob("*")):
        if ".git" in path.relative_to(root).parts:
            continue
        mode = path.lstat().st_mode
        text = os.readlink(path) if path.is_symlink() else path.read_bytes().decode() if path.is_file() else ""
        found[str(path.relative_to(root))] = (mode, text)
    return found


NAMES = ("a.txt", "b.txt", "d/c.txt", "d/e/f.txt")
LINES = st.sampled_from(["", "one", "two", " two", "three", "{", "}", "\u2013 x", "- x", "*** x", "@@", "+"])
TEXTS = st.lists(LINES, max_size=12).map(lambda lines: "".join(f"{line}\n" for line in lines))
TREES = st.dictionaries(st.sampled_from(NAMES), TEXTS, min_size=1)


@st.composite
def update_lines(draw: st.DrawFn, text: str) -> list[str]:
    """Chunks for a file with this text: mostly its own lines, in order, some of them removed and others added."""
    lines = text.split("\n")[:-1]
    found: list[str] = []
    at = 0
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(at, max(at, len(lines) - 1)))
        at = min(len(lines), start + draw(st.integers(1, 4)))
        marks = draw(st.lists(st.sampled_from("  --"), min_size=4, max_size=4))
        found.append(draw(st.sampled_from(["@@", "@@", "@@", "@@ one", "@@ {"])))
        found += [f"{mark}{line}" for mark, line in zip(marks, lines[start:at], strict=False)]
        found += [f"+{line}" for line in draw(st.lists(LINES, max_size=2))]
        if draw(st.integers(0, 5)) == 0:
            found.append("*** End of File")
    return found


@st.composite
def patch_lines(draw: st.DrawFn, tree: Mapping[str, str]) -> list[str]:
    """Hunks for a tree; most of them fit, some of them meet in one file."""
    found: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(NAMES))
        kind = draw(st.sampled_from(["add", "delete", "update", "update", "update", "move"]))
        if kind == "add":
            found += [f"*** Add File: {name}", *(f"+{line}" for line in draw(st.lists(LINES, max_size=3)))]
        elif kind == "delete":
            found.append(f"*** Delete File: {name}")
        else:
            found.append(f"*** Update File: {name}")
            if kind == "move":
                found.append(f"*** Move to: {draw(st.sampled_from([*NAMES, 'new/g.txt']))}")
            found += draw(update_lines(tree.get(name, "one\n")))
    return found
