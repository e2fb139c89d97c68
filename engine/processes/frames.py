"""What the model reads of a command: its output shortened, in the frame of the tool that ran it.

Pure. Frames and numbers are those of the reference (spec tools 2, 3, 9 and 10).
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Sequence

import msgspec

from engine.model.info import Truncation
from engine.processes.spawn import SpawnError
from projections.quoting import join
from projections.truncate import BYTES_PER_TOKEN, text_tokens, truncate_bytes, truncate_tokens

DEFAULT_OUTPUT_TOKENS = 10_000
"""Budget of `exec_command` and `write_stdin` when neither the call nor the model says less."""
HISTORY_FACTOR = 1.2
"""How much more than an output may have, any text of a tool may have in a request: room for its frame."""
OUTPUT_CAP = 1024 * 1024
_ERROR_KINDS = {
    errno.ENOENT: "NotFound",
    errno.EACCES: "PermissionDenied",
    errno.EPERM: "PermissionDenied",
    errno.ENOTDIR: "NotADirectory",
    errno.EISDIR: "IsADirectory",
    errno.E2BIG: "ArgumentListTooLong",
    errno.ETXTBSY: "ExecutableFileBusy",
    errno.ENAMETOOLONG: "InvalidFilename",
    errno.ENOMEM: "OutOfMemory",
    errno.EAGAIN: "WouldBlock",
}


class Ended(msgspec.Struct, frozen=True):
    """A command of the `shell` tools, or of the user, that is over."""

    output: str
    exit_code: int
    seconds: float
    timed_out: bool = False
    failed: bool = False
    """Whether it could not start, or a signal ended it; `output` says so then."""


def shorten(text: str, policy: Truncation) -> str:
    """Keep both ends of a text, half of the budget each, and say what is missing."""
    return (truncate_bytes if policy.mode == "bytes" else truncate_tokens)(text, policy.limit)


def shorten_counted(text: str, policy: Truncation) -> str:
    """The same; a text that was cut begins with the number of lines it had."""
    if len(text.encode()) <= _bytes(policy):
        return text
    return f"Total output lines: {lines(text)}\n\n{shorten(text, policy)}"


def shorten_for_history(text: str, policy: Truncation) -> str:
    """The output of any tool as requests repeat it; only texts that are long in spite of their frames are cut."""
    return shorten(text, Truncation(policy.mode, math.ceil(policy.limit * HISTORY_FACTOR)))


def lines(text: str) -> int:
    """Number of lines, the last one counted whether or not it has an end."""
    return text.count("\n") + (not text.endswith("\n") and text != "")


def exec_budget(wanted: int | None, policy: Truncation) -> int:
    """Tokens that an `exec_command` may answer with: what it asks for, at most what the model's policy allows."""
    return min(DEFAULT_OUTPUT_TOKENS if wanted is None else wanted, _bytes(policy) // BYTES_PER_TOKEN)


def exec_command(
    text: str,
    *,
    chunk_id: str,
    seconds: float,
    exit_code: int | None,
    session_id: int,
    max_tokens: int,
) -> str:
    """The answer of `exec_command` and `write_stdin`.

    :param chunk_id: six hex digits.
    :param exit_code: None while it runs; then `session_id` is named.
    :param max_tokens: see `exec_budget`.
    """
    state = (
        f"Process running with session ID {session_id}"
        if exit_code is None
        else f"Process exited with code {exit_code}"
    )
    return "\n".join(
        [
            f"Chunk ID: {chunk_id}",
            f"Wall time: {seconds:.4f} seconds",
            state,
            f"Original token count: {text_tokens(text)}",
            "Output:",
            shorten_counted(text, Truncation("tokens", max_tokens)),
        ]
    )


def shell_command(ended: Ended, policy: Truncation) -> str:
    """The answer of `shell_command`."""
    whole = _told(ended)
    text = shorten(whole, policy)
    counted = [] if lines(whole) == lines(text) else [f"Total output lines: {lines(whole)}"]
    seconds = f"{_tenths(ended.seconds):.1f}".removesuffix(".0")
    head = [f"Exit code: {ended.exit_code}", f"Wall time: {seconds} seconds", *counted, "Output:"]
    return "\n".join([*head, text])


def shell(ended: Ended, policy: Truncation) -> str:
    """The answer of `shell`: JSON."""
    metadata = {"exit_code": ended.exit_code, "duration_seconds": _tenths(ended.seconds)}
    return msgspec.json.encode({"output": formatted(ended, policy), "metadata": metadata}).decode()


def user_shell_command(command: str, ended: Ended, policy: Truncation) -> str:
    """The message by which the model hears of a command of the user."""
    return "\n".join(
        [
            "<user_shell_command>",
            "<command>",
            command,
            "</command>",
            "<result>",
            f"Exit code: {ended.exit_code}",
            f"Duration: {ended.seconds:.4f} seconds",
            "Output:",
            formatted(ended, policy),
            "</result>",
            "</user_shell_command>",
        ]
    )


def formatted(ended: Ended, policy: Truncation) -> str:
    """The output alone, shortened: `formatted_output` of `exec_command_end`."""
    return shorten_counted(_told(ended), policy)


def exec_failed(argv: Sequence[str], reason: str) -> str:
    """What `exec_command` answers when there is no process; `reason` says why, such as `rejected by user`."""
    return (
        f"exec_command failed for `{join(argv)}`: CreateProcess {{ message: {_debug(f'Rejected({_debug(reason)})')} }}"
    )


def exec_not_started(argv: Sequence[str], error: SpawnError) -> str:
    """The same, because the system could not start it."""
    return exec_failed(argv, f"Failed to create unified exec process: {error}")


def shell_not_started(error: SpawnError) -> str:
    """What the `shell` tools answer, and clients see, when the system could not start the command."""
    if error.code is None:
        return f"execution error: Io(Error {{ kind: InvalidInput, message: {_debug(str(error))} }})"
    kind = _ERROR_KINDS.get(error.code, "Uncategorized")
    message = _debug(os.strerror(error.code))
    return f"execution error: Io(Os {{ code: {error.code}, kind: {kind}, message: {message} }})"


def shell_killed(signal: int) -> str:
    """What the `shell` tools answer when a signal ended the command; its output is dropped, its exit code is -1."""
    return f"execution error: Sandbox(Signal({signal}))"


def _debug(text: str) -> str:
    """A text as the reference prints it inside of others: quoted, with escapes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def join_streams(stdout: bytes, stderr: bytes, cap: int = OUTPUT_CAP) -> bytes:
    """Both streams as one, stdout first. Over the cap stdout keeps a third of it, or what stderr leaves."""
    if len(stdout) + len(stderr) <= cap:
        return stdout + stderr
    third = min(len(stdout), cap // 3)
    from_stderr = min(len(stderr), cap - third)
    return stdout[: cap - from_stderr] + stderr[:from_stderr]


def _bytes(policy: Truncation) -> int:
    return policy.limit if policy.mode == "bytes" else policy.limit * BYTES_PER_TOKEN


def _told(ended: Ended) -> str:
    if not ended.timed_out:
        return ended.output
    return f"command timed out after {int(ended.seconds * 1000)} milliseconds\n{ended.output}"


def _tenths(seconds: float) -> float:
    return math.floor(seconds * 10 + 0.5) / 10
