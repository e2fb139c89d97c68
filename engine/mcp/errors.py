"""What goes wrong with an MCP server, in the words of the reference."""

from __future__ import annotations


class McpFailed(Exception):
    """A request to a server failed, or the server did not start.

    :param text: for people and the model.
    :param late: the server did not answer the handshake in time.
    :param login: the server wants a login that nobody has made.
    :param lost: the server has forgotten the session; a new one may be begun.
    """

    def __init__(self, text: str, *, late: bool = False, login: bool = False, lost: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.late = late
        self.login = login
        self.lost = lost


CLOSED = "Transport closed"
UNEXPECTED = "Unexpected response type"
"""An answer that is none to what was asked."""
_UNITS = ((10**9, "s"), (10**6, "ms"), (10**3, "\u00b5s"), (1, "ns"))


def seconds(value: float) -> str:
    """A length of time as the reference prints it: `2s`, `1.5s`, `500ms`, `0ns`."""
    nanoseconds = round(value * 10**9)
    size, unit = next((each for each in _UNITS if nanoseconds >= each[0]), _UNITS[-1])
    whole, rest = divmod(nanoseconds, size)
    digits = f"{rest:0{len(str(size)) - 1}d}".rstrip("0") if rest else ""
    return f"{whole}.{digits}{unit}" if digits else f"{whole}{unit}"


def cause(error: BaseException) -> BaseException:
    """The first plain error of a group; task groups wrap what they carry out."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
