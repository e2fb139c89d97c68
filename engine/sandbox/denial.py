"""Did the sandbox stop this command? A guess from how it ended, for the approval policy `on-failure`."""

from __future__ import annotations

import signal

_SIGNS = (
    "operation not permitted",
    "permission denied",
    "read-only file system",
    "seccomp",
    "sandbox",
    "landlock",
    "failed to write file",
)
_KILLED_BY_FILTER = 128 + signal.SIGSYS


def likely_denied(exit_code: int, output: str) -> bool:
    """Does a failed command look as if the sandbox had refused something?"""
    if exit_code == 0:
        return False
    lowered = output.lower()
    return exit_code == _KILLED_BY_FILTER or any(sign in lowered for sign in _SIGNS)
