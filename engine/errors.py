"""The errors of the engine: types with fields, raised by commands and mapped to wire codes by the adapter alone.

A command that cannot be served raises an :class:`EngineError`; anything else that leaves a command is a bug.
A turn that fails raises or carries a :class:`TurnError`, which becomes an ``error`` notification and a failed
turn while its thread lives on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from rollouts.errors import LogError


class EngineError(Exception):
    """A command was refused or failed; ``message`` is shown to the client as it is."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadRequest(EngineError):
    """The request cannot be served: bad id, wrong state, refused option (JSON-RPC -32600).

    :param data: machine-readable details; None for none.
    """

    def __init__(self, message: str, data: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.data = data


class BadValue(EngineError):
    """A value of the request is out of range (JSON-RPC -32602).

    :param data: machine-readable details, for instance ``{"input_error_code": "input_too_large"}``; None for none.
    """

    def __init__(self, message: str, data: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.data = data


class Internal(EngineError):
    """The request was fine but the work failed: I/O and the like (JSON-RPC -32603)."""


class Overloaded(EngineError):
    """Too many requests are open on this connection (JSON-RPC -32001)."""

    def __init__(self) -> None:
        super().__init__("Server overloaded; retry later.")


class StartupError(EngineError):
    """The process cannot start as asked: bad flags, unreadable secrets, an address in use (exit code 1)."""


def os_reason(error: OSError) -> str:
    """What the system said, as the reference words it: `No such file or directory (os error 2)`."""
    if error.errno is None:
        return str(error)  # Python's own: the path of a socket is too long
    return f"{os.strerror(error.errno)} (os error {error.errno})"


def of_the_disk(error: Exception) -> Internal | None:
    """What a client is told when a file or a folder failed under a command, by its name; None for any other error."""
    if isinstance(error, LogError):
        return Internal(str(error))
    if isinstance(error, OSError) and error.filename is not None:
        return Internal(f"{os.fspath(error.filename)}: {os_reason(error)}")
    return None


class TurnError(Exception):
    """Why a turn failed, or is about to be retried.

    :param message: one line for people.
    :param info: the published ``codexErrorInfo`` value: a name or a one-member object, None for other errors.
    :param details: more text (the body of an HTTP error), None for none.
    :param will_retry: True when the engine goes on trying by itself.
    """

    def __init__(self, message: str, info: object = None, details: str | None = None, will_retry: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.info = info
        self.details = details
        self.will_retry = will_retry
