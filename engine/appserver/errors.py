"""From exceptions to JSON-RPC errors: the one table of codes (wire.md, section 1).

Errors of the engine carry their text, those of the disk say what failed; everything else is a bug of ours, answered
without details and logged whole.
"""

from __future__ import annotations

import logging

import msgspec
from msgspec import UNSET, UnsetType

from engine.errors import BadRequest, BadValue, EngineError, Internal, Overloaded, of_the_disk

log = logging.getLogger("engine.appserver")

INVALID_REQUEST = -32600
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
OVERLOADED = -32001

_CODES: dict[type[EngineError], int] = {
    BadRequest: INVALID_REQUEST,
    BadValue: INVALID_PARAMS,
    Internal: INTERNAL_ERROR,
    Overloaded: OVERLOADED,
}


class RpcError(msgspec.Struct, frozen=True):
    """The error member of an answer; ``data`` is left out when unset."""

    code: int
    message: str
    data: object | UnsetType = UNSET


def rpc_error(error: Exception) -> RpcError:
    """What the client is told about an exception of a handler; bugs are logged with their traceback."""
    if isinstance(error, EngineError):
        code = next((_CODES[t] for t in type(error).__mro__ if t in _CODES), INTERNAL_ERROR)
        data = UNSET if not isinstance(error, BadRequest | BadValue) or error.data is None else error.data
        return RpcError(code, error.message, data)
    if (failed := of_the_disk(error)) is not None:
        log.warning("a request failed: %s", failed.message)
        return RpcError(INTERNAL_ERROR, failed.message)
    log.error("bug: a request failed with an unforeseen error", exc_info=error)
    return RpcError(INTERNAL_ERROR, "internal error")
