"""The JSON-RPC envelope as this protocol writes it: no ``jsonrpc`` member, ids echoed untouched (wire.md, 1).

Params stay undecoded bytes here; they are decoded once, straight into the type of their method.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

RequestId = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | str


class Incoming(msgspec.Struct):
    """Any message of a client; which members are there says what it is."""

    id: RequestId | UnsetType = UNSET
    method: str | UnsetType = UNSET
    params: Raw = Raw()
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


class _Result(msgspec.Struct):
    id: RequestId
    result: object


class _ErrorBody(msgspec.Struct, omit_defaults=True):
    code: int
    data: object | UnsetType = UNSET
    message: str = ""


class _Failure(msgspec.Struct):
    error: _ErrorBody
    id: RequestId


class _Note(msgspec.Struct):
    method: str
    params: object


class _Request(msgspec.Struct):
    method: str
    id: int
    params: object


_decoder = msgspec.json.Decoder(Incoming)
_encoder = msgspec.json.Encoder()


def decode(raw: bytes | str) -> Incoming | None:
    """The message in one line or frame, or None when it is none: such input is dropped without an answer.

    JSON that is nested absurdly deep counts as none, as in the reference.
    """
    try:
        return _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def result(request_id: RequestId, value: object) -> bytes:
    """An answer."""
    return _encoder.encode(_Result(request_id, value))


def failure(request_id: RequestId, code: int, message: str, data: object | UnsetType = UNSET) -> bytes:
    """An error answer; ``data`` stands before ``message`` as in the reference."""
    return _encoder.encode(_Failure(_ErrorBody(code, data, message), request_id))


def notification(method: str, params: object) -> bytes:
    """A notification."""
    return _encoder.encode(_Note(method, params))


def request(question_id: int, method: str, params: object) -> bytes:
    """A request of the server."""
    return _encoder.encode(_Request(method, question_id, params))
