"""Patches inside commands: models sometimes call apply_patch through the shell.

Pure. Recognised is a script that does nothing else, so that taking it over changes nothing but who applies the patch
(spec: tools, section 4). Anything this cannot read for certain, expansions above all, stays a command.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import msgspec

from engine.patch.parse import BLANKS, EMPTY, REFUSED, PatchRefused, parse

NAMES = ("apply_patch", "applypatch")
_SHELLS = ("bash", "zsh", "sh")
_FLAGS = ("-lc", "-c")
_IMPLICIT = 'patch detected without explicit call to apply_patch. Rerun as ["apply_patch", "<patch>"]'

# One word of the shell that means itself: bare (with escapes), in single quotes or in double quotes.
_WORD = r"""(?:'[^'\n]*'|"[^"$`\\\n]*"|(?:\\[^\n]|[^\s'"\\$`&|;<>()*?\[\]{}#!])+)"""
_GAP = r"(?:[ \t]|\\\n)*"
_SCRIPT = re.compile(
    rf"""\s*
    (?:cd[ \t]+(?P<folder>{_WORD}){_GAP}&&\s*)?
    (?:{"|".join(NAMES)}){_GAP}
    <<(?P<dash>-?){_GAP}(?P<word>{_WORD})[ \t]*\n
    (?P<rest>.*)""",
    re.VERBOSE | re.DOTALL,
)


class ShellForm(msgspec.Struct, frozen=True):
    """A patch found in a command, and the folder its `cd` names (as written, None without one)."""

    workdir: str | None
    patch: str


def shell_form(command: Sequence[str] | str) -> ShellForm | None:
    """The patch that a command is all about; None for any other command.

    :param command: a script, or an argv: `[apply_patch, patch]` or `[shell, -lc, script]`
    :raises PatchRefused: the command is a bare patch, without apply_patch before it
    """
    if isinstance(command, str):
        return _in_script(command)
    match command:
        case [name, patch] if name in NAMES:
            return ShellForm(None, patch)
        case [only]:
            _refuse_bare(only)
        case [shell, flag, script] if PurePosixPath(shell).name in _SHELLS and flag in _FLAGS:
            return _in_script(script)
    return None


def _in_script(script: str) -> ShellForm | None:
    _refuse_bare(script)
    found = _SCRIPT.fullmatch(script.replace("\r\n", "\n"))
    if found is None:
        return None
    patch = _heredoc(found["rest"], _unquoted(found["word"]), bool(found["dash"]))
    if patch is None:
        return None
    return ShellForm(None if found["folder"] is None else _unquoted(found["folder"]), patch)


def _heredoc(text: str, end: str, tabs: bool) -> str | None:
    """The lines up to `end`, or all if it is missing, as the shell takes it; None if a command follows."""
    lines = text.split("\n")
    if tabs:
        lines = [line.lstrip("\t") for line in lines]
    if end not in lines:
        return "\n".join(lines)
    at = lines.index(end)
    return None if "".join(lines[at + 1 :]).strip(BLANKS) else "\n".join(lines[:at])


def _unquoted(word: str) -> str:
    if word[0] in "'\"":
        return word[1:-1]
    return re.sub(r"\\(.)", r"\1", word)


def _refuse_bare(text: str) -> None:
    try:
        parse(text)
    except PatchRefused as refused:
        if refused.text != EMPTY:
            return
    raise PatchRefused(REFUSED + _IMPLICIT)
