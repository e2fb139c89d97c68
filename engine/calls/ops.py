"""Operations of the tools: what a call script may ask the runner to do with processes and files."""

from __future__ import annotations

import msgspec

from engine.patch.plan import Verified
from engine.turn.ops import Op


class Exec(Op, frozen=True, kw_only=True):
    """Run a command and take its output until it ends or the time to yield has come.

    Result: `Executed`. The item of the command is shown by the operation, as its process may outlive the turn; there is
    none for one that the sandbox stopped at once. Error: `CallFailed`.
    """

    turn_id: str
    call_id: str
    argv: tuple[str, ...]
    cwd: str
    tty: bool
    yield_ms: int
    sandboxed: bool


class Executed(msgspec.Struct, frozen=True):
    """What a look at a command gave; `exit_code` is None while it runs, `number` its session id.

    `crowd` is how many commands run when those are too many, else 0; `denied`: it ended at once, and the sandbox is the
    likely cause.
    """

    text: str
    seconds: float
    exit_code: int | None
    number: int
    crowd: int = 0
    denied: bool = False


class RunShell(Op, frozen=True, kw_only=True):
    """Run a command to its end, or until the time is over. Progress: `bytes` of output. Result: `Ended`.

    Error: `CallFailed`.
    """

    argv: tuple[str, ...]
    cwd: str
    timeout_ms: int | None
    sandboxed: bool
    by_user: bool = False
    """Whether it is a command of the user, which no policy is about."""


class Type(Op, frozen=True):
    """Write to the stdin of a running command, or just look at it. Result: `Executed`. Error: `CallFailed`."""

    number: int
    chars: str
    yield_ms: int


class AllowPrefix(Op, frozen=True):
    """Keep a rule: commands that begin so need no approval any more. Result: None. Error: `CallFailed`."""

    words: tuple[str, ...]


class VerifyPatch(Op, frozen=True):
    """Check a patch against the files. Result: `Verified`. Error: `CallFailed`."""

    text: str
    cwd: str


class ApplyPatch(Op, frozen=True):
    """Write a verified patch; inside the writable places only when `sandboxed`. Result: `Applied`."""

    turn_id: str
    verified: Verified
    sandboxed: bool


class Applied(msgspec.Struct, frozen=True):
    """What became of a patch: the text for the model, whether it worked, and the diff of the whole turn."""

    text: str
    success: bool
    diff: str | None
    seconds: float
    unwritten: bool = False
    """It failed because a file could not be written, as when a sandbox does not let it."""


class ReadImage(Op, frozen=True):
    """Read an image file, in its `original` size or made to fit. Result: its data URL. Error: `CallFailed`."""

    path: str
    original: bool = False
