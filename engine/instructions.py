"""AGENTS.md: which files speak to the model, and the text made of them (spec: instruction-sources).

Read when a thread is started, resumed or forked, trusted or not. It only reads; a file that cannot be read is
as good as absent, and so is one of the user's own that is not UTF-8.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.config import Config, project_root

NAMES = ("AGENTS.override.md", "AGENTS.md")
SEPARATOR = "\n\n--- project-doc ---\n\n"
CHILD_FILES = """\
There may be more AGENTS.md files than those shown here: any folder can have one, inside a repository or outside of it.
Such a file speaks for the folder it is in and for everything below. Before you change a file, look for the AGENTS.md
files of the folders above it and do what they ask; what they say about style holds for the files below them only. Where
two of them disagree, follow the one in the deeper folder. What the user, the developer or the system tells you directly
comes before all of them.
"""
"""What the model is told about such files in folders nobody has looked into, with the feature `child_agents_md`."""


class Instructions(msgspec.Struct, frozen=True):
    """The files found, absolute, in reading order (also blank ones and those cut away), and their text."""

    sources: tuple[str, ...] = ()
    text: str | None = None


def discover(config: Config, cwd: Path) -> Instructions:
    """The instructions for a thread in `cwd`."""
    common = _global(config.home)
    names = (*NAMES, *config.project_doc_fallback_filenames)
    files = _project_files(_real(cwd), config.project_root_markers, names) if config.project_doc_max_bytes else []
    project = "\n\n".join(_within(files, config.project_doc_max_bytes))
    text = SEPARATOR.join(part for part in (common[1] if common else "", project) if part)
    if config.feature("child_agents_md"):
        text = "\n\n".join(part for part in (text, CHILD_FILES) if part)
    sources = ([str(common[0])] if common else []) + [os.path.normpath(file) for file in files]
    return Instructions(tuple(sources), text or None)


def _real(folder: Path) -> Path:
    """The folder that a path with links stands for; as it is where there is none."""
    try:
        return folder.resolve(strict=True)
    except (OSError, RuntimeError):
        return folder


def _global(home: Path) -> tuple[Path, str] | None:
    """The user's own file and its trimmed text; a blank override does not hide the file behind it."""
    for name in NAMES:
        try:
            text = _read(home / name).decode().strip()
        except UnicodeDecodeError:
            continue
        if text:
            return home / name, text
    return None


def _project_files(cwd: Path, markers: Sequence[str], names: Sequence[str]) -> list[Path]:
    """At most one file per folder, from the project root down to `cwd`."""
    root = project_root(cwd, markers)
    way = [folder for folder in (cwd, *cwd.parents) if folder == root or root in folder.parents]
    found = [next((folder / name for name in names if os.path.isfile(folder / name)), None) for folder in reversed(way)]
    return [file for file in found if file]


def _within(files: Sequence[Path], budget: int) -> list[str]:
    """The texts that are not blank, the last one cut where the bytes of the budget end."""
    texts = []
    for file in files:
        if budget <= 0:
            break
        data = _read(file)[:budget]
        text = data.decode(errors="replace")
        if text.strip():
            texts.append(text)
            budget -= len(data)
    return texts


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
