"""`apply_patch` as a program: what scripts of the model find on their PATH when they do more than apply one patch.

A process of its own, which may write what the command around it may write. Like the tool it applies all of a patch or
nothing; words and exit codes are the reference's.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import BinaryIO

from engine.patch import files
from engine.patch.apply import PatchFailed, apply
from engine.patch.parse import EMPTY, REFUSED, PatchRefused, parse
from engine.patch.plan import Misfit, plan

_USAGE = "Usage: apply_patch 'PATCH'\n       echo 'PATCH' | apply_patch\n"
_HUNK = re.compile(r"invalid hunk at line (\d+), ")


class _Refused(Exception):
    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code


def main(arguments: Sequence[str], stdin: BinaryIO, cwd: str) -> int:
    """Apply the patch that is the one argument, or comes on stdin; the exit code."""
    try:
        print(_applied(_patch(arguments, stdin), cwd), end="", flush=True)
    except _Refused as refused:
        print(refused, end="", file=sys.stderr, flush=True)
        return refused.code
    return 0


def _patch(arguments: Sequence[str], stdin: BinaryIO) -> str:
    if len(arguments) > 1:
        raise _Refused("Error: apply_patch accepts exactly one argument.\n", 2)
    try:
        if arguments:
            return os.fsencode(arguments[0]).decode()
        given = stdin.read().decode()
    except UnicodeDecodeError as error:
        if arguments:
            raise _Refused("Error: apply_patch requires a UTF-8 PATCH argument.\n") from error
        raise _Refused("Error: Failed to read PATCH from stdin.\nstream did not contain valid UTF-8\n") from error
    if not given:
        raise _Refused(_USAGE, 2)
    return given


def _applied(text: str, cwd: str) -> str:
    try:
        return apply(plan(parse(text), cwd, files.read_text), files.read_text)
    except PatchRefused as refused:
        if refused.text == EMPTY:
            raise _Refused("No files were modified.\n") from refused
        reason = refused.text.removeprefix(REFUSED)
        if hunk := _HUNK.match(reason):
            raise _Refused(f"Invalid patch hunk on line {hunk[1]}: {reason[hunk.end() :]}\n") from refused
        raise _Refused(f"Invalid patch: {reason.removeprefix('invalid patch: ')}\n") from refused
    except Misfit as misfit:
        text = str(misfit) if misfit.deleted is None else f"Failed to delete file {misfit.deleted}"
        raise _Refused(f"{text}\n") from misfit
    except PatchFailed as failed:
        raise _Refused(failed.text) from failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdin.buffer, os.getcwd()))
