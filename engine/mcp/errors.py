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


def seconds(value: float) -> str:
    """A length of time as the reference prints it: `2s`, `1.5s`, `500ms`."""
    return f"{value:g}s" if value >= 1 else f"{value * 1000:g}ms"


def cause(error: BaseException) -> BaseException:
    """The first plain error of a group; task groups wrap what they carry out."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
