"""What a server writes on its stdout, as messages: answers that cannot be one are told apart from noise.

The SDK drops lines it cannot read, and whoever waits for the answer in one waits in vain. Here an unreadable answer
fails its request, and noise ends the connection, as it does for the reference (observed).
"""

from __future__ import annotations

from typing import Any

import anyio
import mcp_types
import pydantic
from mcp.shared._stream_protocols import ReadStream
from mcp.shared.message import SessionMessage

from engine.mcp.errors import UNEXPECTED

ODD = "odd_result"
"""Member of an error's data that holds a result which is no object."""


class Incoming:
    """The messages of a server; ends with the first line that is none."""

    def __init__(self, lines: ReadStream[SessionMessage | Exception]) -> None:
        self._lines = lines

    async def receive(self) -> SessionMessage | Exception:
        """The next message.

        :raises anyio.EndOfStream: there is none
        """
        try:
            return await anext(self)
        except StopAsyncIteration:
            raise anyio.EndOfStream from None

    async def aclose(self) -> None:
        """Read no more."""
        await self._lines.aclose()

    def __aiter__(self) -> Incoming:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        while True:
            line = await anext(self._lines)
            if isinstance(line, SessionMessage):
                if isinstance(line.message, mcp_types.JSONRPCError) and line.message.id is None:
                    raise StopAsyncIteration
                return line
            told = _object(line)
            if told is None:
                raise StopAsyncIteration
            if "result" in told and isinstance(told.get("id"), int | str):
                return SessionMessage(_unusable(told["id"], told["result"]))
            if "method" not in told or "id" in told:
                raise StopAsyncIteration

    async def __aenter__(self) -> Incoming:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


def _object(line: Exception) -> dict[str, Any] | None:
    """The JSON-RPC object that the SDK could not read; None if it was none."""
    if not isinstance(line, pydantic.ValidationError):
        return None
    given = (error["input"] for error in line.errors(include_url=False, include_context=False))
    return next((each for each in given if isinstance(each, dict) and each.get("jsonrpc") == "2.0"), None)


def _unusable(ident: int | str, result: object) -> mcp_types.JSONRPCError:
    error = mcp_types.ErrorData(code=mcp_types.INTERNAL_ERROR, message=UNEXPECTED, data={ODD: result})
    return mcp_types.JSONRPCError(jsonrpc="2.0", id=ident, error=error)
