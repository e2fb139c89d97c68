"""The text of a patch, read into hunks.

Knows the grammar and its leniencies (spec: tools, section 4.1) and nothing of files. Every complaint names the
line as the reference counts it: the first line after `*** Begin Patch` is line 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, TypeAlias

import msgspec

BEGIN = "*** Begin Patch"
END = "*** End Patch"
ADD = "*** Add File: "
DELETE = "*** Delete File: "
UPDATE = "*** Update File: "
MOVE = "*** Move to: "
END_OF_FILE = "*** End of File"

REFUSED = "apply_patch verification failed: "
EMPTY = "patch rejected: empty patch"

# What the reference trims: Unicode white space, without the separators \x1c-\x1f that str.strip also takes.
BLANKS = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"

_HEREDOCS = ("<<EOF", "<<'EOF'", '<<"EOF"')
_HEADERS = "Valid hunk headers: '*** Add File: {path}', '*** Delete File: {path}', '*** Update File: {path}'"
_LINE_RULE = "Every line should start with ' ' (context line), '+' (added line), or '-' (removed line)"
_NO_LINES = "Update hunk does not contain any lines"


class PatchRefused(Exception):
    """The patch is not applied and no file was touched.

    :param text: the whole answer for the model, prefix included.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Chunk(msgspec.Struct, frozen=True):
    """One replacement in a file: `old` lines become `new` lines.

    `context` is a line to find first (the text after `@@ `). `at_end` ties the old lines to the end of the file.
    """

    context: str | None
    old: tuple[str, ...]
    new: tuple[str, ...]
    at_end: bool


class AddHunk(msgspec.Struct, frozen=True):
    """Write a file with this content, whether it exists or not."""

    path: str
    content: str


class DeleteHunk(msgspec.Struct, frozen=True):
    """Delete a file."""

    path: str


class UpdateHunk(msgspec.Struct, frozen=True):
    """Change a file, and move it if `move_path` is given; at least one chunk."""

    path: str
    move_path: str | None
    chunks: tuple[Chunk, ...]


Hunk: TypeAlias = AddHunk | DeleteHunk | UpdateHunk


class Patch(msgspec.Struct, frozen=True):
    """A patch that parsed; paths as written."""

    hunks: tuple[Hunk, ...]


def parse(text: str) -> Patch:
    """Read a complete patch.

    :raises PatchRefused: it does not parse, or has no hunks
    """
    lines = split_lines(text.strip(BLANKS))
    if complaint := _frame_complaint(lines):
        inner = _unwrapped(lines)
        if inner is None:
            raise PatchRefused(f"{REFUSED}invalid patch: {complaint}")
        lines = inner
        if complaint := _frame_complaint(lines):
            raise PatchRefused(f"{REFUSED}invalid patch: {complaint}")
    patch = Patch(_hunks(lines[1:-1]))
    if not patch.hunks:
        raise PatchRefused(EMPTY)
    return patch


def parse_open(text: str) -> Patch | None:
    """Read a patch that is still being written: the end marker may be missing.

    :returns: None while the text so far is no patch, for instance in the middle of a header
    """
    lines = split_lines(text.strip(BLANKS))
    if not lines or lines[0].strip(BLANKS) != BEGIN:
        return None
    ended = len(lines) > 1 and lines[-1].strip(BLANKS) == END
    try:
        return Patch(_hunks(lines[1:-1] if ended else lines[1:]))
    except PatchRefused:
        return None


def split_lines(text: str) -> list[str]:
    r"""Lines without their ends (`\n` or `\r\n`); a last line without an end counts, an empty one does not."""
    *ended, last = text.split("\n")
    return [line.removesuffix("\r") for line in ended] + ([last] if last else [])


def _frame_complaint(lines: Sequence[str]) -> str | None:
    """What is wrong with the first and last line; None if nothing is."""
    if lines and lines[0].strip(BLANKS) != BEGIN:
        return f"The first line of the patch must be '{BEGIN}'"
    if len(lines) < 2 or lines[-1].strip(BLANKS) != END:
        return f"The last line of the patch must be '{END}'"
    return None


def _unwrapped(lines: list[str]) -> list[str] | None:
    """The lines inside `<<EOF` ... `EOF`, which models leave around a patch; None without such a wrapper."""
    if len(lines) >= 4 and lines[0] in _HEREDOCS and lines[-1].endswith("EOF"):
        return lines[1:-1]
    return None


def _refuse(number: int, message: str) -> NoReturn:
    raise PatchRefused(f"{REFUSED}invalid hunk at line {number}, {message}")


def _hunks(lines: list[str]) -> tuple[Hunk, ...]:
    hunks: list[Hunk] = []
    at = 0
    while at < len(lines):
        header = lines[at].strip(BLANKS)
        kind = next((marker for marker in _READERS if header.startswith(marker)), None)
        if kind is None:
            _refuse(at + 2, f"'{header}' is not a valid hunk header. {_HEADERS}")
        hunk, at = _READERS[kind](header.removeprefix(kind), lines, at + 1)
        hunks.append(hunk)
    return tuple(hunks)


def _add(path: str, lines: list[str], at: int) -> tuple[Hunk, int]:
    start = at
    while at < len(lines) and lines[at].startswith("+"):
        at += 1
    return AddHunk(path, "".join(f"{line[1:]}\n" for line in lines[start:at])), at


def _delete(path: str, lines: list[str], at: int) -> tuple[Hunk, int]:
    return DeleteHunk(path), at


def _update(path: str, lines: list[str], at: int) -> tuple[Hunk, int]:
    header_number = at + 1
    move_path = None
    if at < len(lines) and lines[at].startswith(MOVE):
        move_path = lines[at].removeprefix(MOVE)
        at += 1
    chunks: list[Chunk] = []
    while at < len(lines) and not lines[at].startswith("***"):
        if lines[at].strip(BLANKS):
            chunk, at = _chunk(lines, at, first=not chunks)
            chunks.append(chunk)
        else:
            at += 1
    if not chunks:
        _refuse(header_number, f"Update file hunk for path '{path}' is empty")
    return UpdateHunk(path, move_path, tuple(chunks)), at


_READERS: Mapping[str, Callable[[str, list[str], int], tuple[Hunk, int]]] = {
    ADD: _add,
    DELETE: _delete,
    UPDATE: _update,
}


def _chunk(lines: list[str], at: int, first: bool) -> tuple[Chunk, int]:
    """One chunk from line `at` on; only the first chunk of an update may go without its `@@`."""
    # Complaints about the lines of a chunk carry the number of its second line, marker or not.
    number = at + 3
    context = None
    if lines[at] == "@@" or lines[at].startswith("@@ "):
        context = lines[at][3:] if lines[at] != "@@" else None
        at += 1
    elif not first:
        _refuse(at + 2, f"Expected update hunk to start with a @@ context marker, got: '{lines[at]}'")
    start, old, new = at, list[str](), list[str]()
    while at < len(lines) and lines[at] != END_OF_FILE and lines[at][:1] in (" ", "+", "-", ""):
        mark, text = lines[at][:1], lines[at][1:]
        if mark != "+":
            old.append(text)
        if mark != "-":
            new.append(text)
        at += 1
    at_end = at < len(lines) and lines[at] == END_OF_FILE
    if at == start:
        if at == len(lines) or at_end:
            _refuse(number, _NO_LINES)
        _refuse(number, f"Unexpected line found in update hunk: '{lines[at]}'. {_LINE_RULE}")
    return Chunk(context, tuple(old), tuple(new), at_end), at + at_end
