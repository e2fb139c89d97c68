"""The command line of `tools/replay`: what a person asks, answered from the log alone.

Exit code 0: done, or nothing wrong; 1: `--check` found damage or an oddity; 2: a wrong command line, or a rollout that
is not there or cannot be read; 130: interrupted before it was done (`--follow` never is).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import cyclopts
from cyclopts import App, Group, Parameter, validators
from rich.console import Console

from rollouts.log import LogError
from tools.replaying.points import NoSuchPoint
from tools.replaying.program import Program, Refused
from tools.replaying.source import NotFound, open_source

WRONG = 2
"""Exit code when there is nothing to answer from."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

_EXAMPLES = """\
Examples

    rollout-replay ROLLOUT                        what happened, a line each
    rollout-replay ROLLOUT --full --all           every word of it
    rollout-replay ROLLOUT --until 120 --state    what the engine knew after line 120
    rollout-replay ROLLOUT --diff 100 120         what changed in between
    rollout-replay ROLLOUT --check                is it sound? exit code 1 if not

Columns of the timeline: line of the file, time (UTC), what it is, what it says.
"""

_ONE = Group("Instead of the timeline", validator=validators.mutually_exclusive)
_Flag = Parameter(negative="", show_default=False)
_Mode = Parameter(negative="", show_default=False, group=_ONE)


class _Output(Console):
    """A console that leaves a reader who stops reading to `main`."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def replay(
    rollout: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    state: Annotated[bool, _Mode] = False,
    diff: Annotated[tuple[str, str] | None, _Mode] = None,
    check: Annotated[bool, _Mode] = False,
    materialise: Annotated[Path | None, _Mode] = None,
    follow: Annotated[bool, _Mode] = False,
    until: str | None = None,
    json: Annotated[bool, _Flag] = False,
    all: Annotated[bool, _Flag] = False,
    full: Annotated[bool, _Flag] = False,
    home: Path | None = None,
) -> int:
    """Show what happened in a thread.

    A POINT is a line (a number, 0 is the start), a turn id or a time (2026-04-20T10:00:00Z).

    Parameters
    ----------
    rollout
        A rollout file (.jsonl or .jsonl.zst), a thread id, or - for standard input.
    state
        The rebuilt session state as JSON.
    diff
        What changed in the state between two POINTs.
    check
        Whether the file is sound; exit code 1 if it is not.
    materialise
        Write a full copy of a fork by reference to this new file.
    follow
        Go on with what is appended, until interrupted.
    until
        Stop at a POINT: time travel for the timeline, --state and --check.
    json
        JSON for programs: an object a line for the timeline and --diff, one object for --check and --state.
    all
        Show also what only the model needs: contexts, encrypted parts, unknown lines.
    full
        Show texts in full.
    home
        Where thread ids are looked for, instead of CODEX_HOME.
    """
    if until is not None and (diff or materialise or follow):
        raise Refused("--until goes with the timeline, --state and --check")
    source = open_source(rollout, home)
    program = Program(source, _Output(), as_json=json, details=all, full=full)
    try:
        if state:
            return program.state(until)
        if diff is not None:
            return program.diff(*diff)
        if check:
            return program.check(until)
        if materialise is not None:
            return program.materialise(materialise)
        return program.timeline(until, followed=follow)
    finally:
        source.log.close()


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    app = App(
        name="rollout-replay",
        default_command=replay,
        version_flags=[],
        suppress_keyboard_interrupt=False,
        help_epilogue=_EXAMPLES,
        help_format="plaintext",
    )
    if sys.stdout is None:
        sys.exit("rollout-replay: standard output is closed")
    try:
        code = app(
            None if arguments is None else list(arguments),
            exit_on_error=False,
            result_action="return_value",
        )
        sys.stdout.flush()
    except (NotFound, NoSuchPoint, Refused, LogError) as error:
        print(f"rollout-replay: {error}", file=sys.stderr)
        code = WRONG
    except cyclopts.CycloptsError:
        code = WRONG
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        _let_go_of_output()  # nobody reads on, which is fine
        code = 0
    except OSError as error:
        _let_go_of_output()
        print(f"rollout-replay: {error.strerror or error}", file=sys.stderr)
        code = WRONG
    sys.exit(code)


def _let_go_of_output() -> None:
    """Keep the interpreter from trying once more to write what could not be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
