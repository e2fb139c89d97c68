"""Checks that a message is valid under the published schema, for any test that sees one.

`check_notification("turn/started", params)`, `check_response("thread/start", result)` and
`check_server_request("item/tool/call", params)` take plain JSON values or published Structs and raise
`AssertionError` naming the method, the place and the reason. `check_message` takes a whole outgoing message;
the server's tests hang it on every connection. Validators are built once per type.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import msgspec

import tools.protocol

_BOUNDS = {
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint": (0, 2**64 - 1),
    "uint16": (0, 2**16 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}


def check_message(message: Mapping[str, Any], answered: str | None = None) -> None:
    """Check any message of the server; `answered` is the method of the request that a response answers."""
    if "method" in message:
        check = check_server_request if "id" in message else check_notification
        check(message["method"], message.get("params"))
    elif "error" in message:
        error = message["error"]
        shape = {"code": int, "message": str}
        assert all(isinstance(error.get(key), kind) for key, kind in shape.items()), f"bad error {error!r}"
    elif answered is not None:
        check_response(answered, message["result"])


def check_notification(method: str, params: object) -> None:
    """Check the params of a notification."""
    _check(method, _table("notifications").get(method, ()), 0, params)


def check_response(method: str, result: object) -> None:
    """Check the result of a client's request."""
    _check(method, _table("client").get(method, ()), 1, result)


def check_server_request(method: str, params: object) -> None:
    """Check the params of a request from the server."""
    _check(method, _table("server").get(method, ()), 0, params)


def check_server_answer(method: str, result: object) -> None:
    """Check a client's answer to a request from the server."""
    _check(method, _table("server").get(method, ()), 1, result)


def _check(method: str, names: tuple[str, ...], column: int, value: object) -> None:
    assert names, f"{method} is not in the published protocol"
    plain = json.loads(msgspec.json.encode(value))
    for error in _validator(names[column]).iter_errors(plain):
        raise AssertionError(f"{method}: {error.json_path} of {names[column]}: {error.message}")


@cache
def schemas() -> dict[str, Any]:
    """The vendored schemas: definitions and tables of methods."""
    text = Path(tools.protocol.__file__).with_name("schemas.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


@cache
def _table(name: str) -> dict[str, tuple[str, ...]]:
    return {method: tuple(types) for method, *types in schemas()[name]}


@cache
def _validator(name: str) -> jsonschema.Draft7Validator:
    schema = {"$ref": f"#/definitions/{name}", "definitions": schemas()["definitions"]}
    return jsonschema.Draft7Validator(schema, format_checker=_formats())


@cache
def _formats() -> jsonschema.FormatChecker:
    checker = jsonschema.FormatChecker(formats=())
    for name, (low, high) in _BOUNDS.items():
        checker.checks(name)(lambda value, low=low, high=high: not isinstance(value, int) or low <= value <= high)
    return checker
