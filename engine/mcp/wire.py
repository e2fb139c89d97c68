"""What a server's answers may look like: checked as the reference checks them, members in its order. Pure.

The reference reads every answer into its own types and passes on what they hold: unknown members are gone, members
that are null are absent, and one entry that is not as it should be makes the whole answer unusable (observed).
"""

from __future__ import annotations

from collections.abc import Mapping
from ctypes import c_float
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from engine.mcp.errors import UNEXPECTED, McpFailed
from projections.protocol.base import I64


class _Form(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Members that are None are left out."""


Object = dict[str, Any]


class _Annotations(_Form, frozen=True, kw_only=True):
    audience: list[Literal["user", "assistant"]] | None = None
    priority: float | None = None
    last_modified: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class _Icon(_Form, frozen=True, kw_only=True):
    src: str
    mime_type: str | None = None
    sizes: list[str] | None = None


class _Text(_Form, frozen=True, kw_only=True, tag_field="type", tag="text"):
    text: str
    meta: Object | None = msgspec.field(name="_meta", default=None)
    annotations: _Annotations | None = None


class _Image(_Form, frozen=True, kw_only=True, tag_field="type", tag="image"):
    data: str
    mime_type: str
    meta: Object | None = msgspec.field(name="_meta", default=None)
    annotations: _Annotations | None = None


class _Audio(_Form, frozen=True, kw_only=True, tag_field="type", tag="audio"):
    data: str
    mime_type: str
    annotations: _Annotations | None = None


class _Contents(_Form, frozen=True, kw_only=True):
    uri: str
    mime_type: str | None = None
    text: str | None = None
    blob: str | None = None
    meta: Object | None = msgspec.field(name="_meta", default=None)

    def __post_init__(self) -> None:
        if self.text is None and self.blob is None:
            raise ValueError("neither text nor blob")
        if self.text is not None and self.blob is not None:
            msgspec.structs.force_setattr(self, "blob", None)


class _Embedded(_Form, frozen=True, kw_only=True, tag_field="type", tag="resource"):
    meta: Object | None = msgspec.field(name="_meta", default=None)
    resource: _Contents
    annotations: _Annotations | None = None


class _Resource(_Form, frozen=True, kw_only=True):
    uri: str
    name: str
    title: str | None = None
    description: str | None = None
    mime_type: str | None = None
    size: I64 | None = None
    icons: list[_Icon] | None = None
    meta: Object | None = msgspec.field(name="_meta", default=None)
    annotations: _Annotations | None = None


class _Link(_Resource, frozen=True, kw_only=True, tag_field="type", tag="resource_link"):
    """A resource as content."""


class _Template(_Form, frozen=True, kw_only=True):
    uri_template: str
    name: str
    title: str | None = None
    description: str | None = None
    mime_type: str | None = None
    icons: list[_Icon] | None = None
    annotations: _Annotations | None = None


class _Hints(_Form, frozen=True, kw_only=True):
    title: str | None = None
    read_only_hint: bool | None = None
    destructive_hint: bool | None = None
    idempotent_hint: bool | None = None
    open_world_hint: bool | None = None


class _Tool(_Form, frozen=True, kw_only=True):
    name: str
    title: str | None = None
    description: str | None = None
    input_schema: Object
    output_schema: Object | None = None
    annotations: _Hints | None = None
    icons: list[_Icon] | None = None
    meta: Object | None = msgspec.field(name="_meta", default=None)


class _Page(_Form, frozen=True, kw_only=True):
    next_cursor: str | None = None


class _Tools(_Page, frozen=True, kw_only=True):
    tools: list[_Tool]


class _Resources(_Page, frozen=True, kw_only=True):
    resources: list[_Resource]


class _Templates(_Page, frozen=True, kw_only=True):
    resource_templates: list[_Template]


class _Read(_Form, frozen=True, kw_only=True):
    contents: list[_Contents]


class _Result(_Form, frozen=True, kw_only=True):
    content: list[_Text | _Image | _Audio | _Embedded | _Link] | None = None
    structured_content: Any = None
    is_error: bool | None = None
    meta: Object | None = msgspec.field(name="_meta", default=None)


class _About(_Form, frozen=True, kw_only=True):
    name: str
    version: str


class _Introduction(_Form, frozen=True, kw_only=True):
    protocol_version: str
    capabilities: Object
    server_info: _About
    instructions: str | None = None


_ANSWERS: Mapping[str, type[_Form]] = {
    "tools/list": _Tools,
    "tools/call": _Result,
    "resources/list": _Resources,
    "resources/templates/list": _Templates,
    "resources/read": _Read,
}

T = TypeVar("T", bound=_Form)


def answer(method: str, given: Object) -> Object:
    """The answer to a request, in order and without what the protocol does not know.

    :raises McpFailed: it is no answer to that
    """
    kind = _ANSWERS.get(method)
    if kind is None:
        return given
    read = _typed(given, kind)
    if not isinstance(read, _Result):
        return _plain(read)
    if not read.content and read.structured_content is None:
        raise McpFailed(UNEXPECTED)
    found = _plain(read)
    for each in found.setdefault("content", []):
        _shorten(each.get("annotations"))
    return found


def introduction(given: Object) -> Object:
    """What a server says of itself at the start.

    :raises McpFailed: in the words of the reference, which show what came instead
    """
    try:
        return _plain(msgspec.convert(given, _Introduction))
    except msgspec.ValidationError:
        raise McpFailed(strange_start(given)) from None


def strange_start(given: object) -> str:
    """Why something is no introduction."""
    shown = "EmptyResult(EmptyObject)" if given == {} else f"CustomResult(CustomResult({_debug(given)}))"
    return f"expect initialized result, but received: Some({shown})"


def _typed(given: Object, kind: type[T]) -> T:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError:
        raise McpFailed(UNEXPECTED) from None


def _plain(read: _Form) -> Object:
    plain: Object = msgspec.to_builtins(read)
    return plain


def _shorten(annotations: Object | None) -> None:
    """A priority in content loses what a float of 32 bits does not hold; one that is too large is null in JSON."""
    if annotations is not None and "priority" in annotations:
        annotations["priority"] = c_float(annotations["priority"]).value


def _debug(value: object) -> str:
    """A JSON value as the reference's error texts print it."""
    match value:
        case None:
            return "Null"
        case bool():
            return f"Bool({str(value).lower()})"
        case str():
            return f"String({msgspec.json.encode(value).decode()})"
        case dict():
            return f"Object {{{', '.join(f'{_debug(key)[7:-1]}: {_debug(each)}' for key, each in value.items())}}}"
        case list():
            return f"Array [{', '.join(map(_debug, value))}]"
    return f"Number({value})"
