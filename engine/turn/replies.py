"""The model's reply as the turn sees it: stream events in, failures out, and the errors scripts may raise.

The model client (`engine.model`) produces these; the turn consumes them and knows nothing of HTTP or websockets.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from rollouts import events as ev

Kind = Literal["http", "limit", "stream", "transport", "context_window", "config"]


class Headers(msgspec.Struct, frozen=True):
    """The reply began. `turn_state` is to be echoed by later requests of the turn, `model` is who really answers,
    `reasoning_included` means the server counts reasoning tokens itself, `models_etag` names its catalog."""

    rate_limits: tuple[ev.RateLimitSnapshot, ...]
    turn_state: str | None = None
    model: str | None = None
    reasoning_included: bool = False
    models_etag: str | None = None


class Created(msgspec.Struct, frozen=True):
    """`response.created`."""

    response_id: str | None


class ItemAdded(msgspec.Struct, frozen=True):
    """An item begins; `item` is mostly empty still. `id` is the model's own item id."""

    item: ev.ResponseItem
    id: str | None


class ItemDone(msgspec.Struct, frozen=True):
    """An item is complete. `id` is the model's own item id."""

    item: ev.ResponseItem
    id: str | None


class TextDelta(msgspec.Struct, frozen=True):
    """A piece of the item that began last, whatever the model says it belongs to; so are the three below."""

    delta: str


class SummaryPartAdded(msgspec.Struct, frozen=True):
    """A new part of a reasoning summary begins."""

    summary_index: int


class SummaryTextDelta(msgspec.Struct, frozen=True):
    """A piece of a reasoning summary part."""

    delta: str
    summary_index: int


class ReasoningTextDelta(msgspec.Struct, frozen=True):
    """A piece of raw reasoning."""

    delta: str
    content_index: int


class CustomInputDelta(msgspec.Struct, frozen=True):
    """A piece of a custom tool call's input, such as a patch. At least one of the ids is set."""

    delta: str
    item_id: str | None
    call_id: str | None


class RateLimits(msgspec.Struct, frozen=True):
    """`codex.rate_limits`: counts on the websocket transport only, where replies have no headers."""

    snapshot: ev.RateLimitSnapshot


class ServedBy(msgspec.Struct, frozen=True):
    """An event named the model that really answers."""

    model: str


class Completed(msgspec.Struct, frozen=True):
    """The reply is whole; nothing follows. `usage` is None if the model told none."""

    response_id: str
    usage: ev.TokenUsage | None


StreamEvent: TypeAlias = (
    Headers
    | Created
    | ItemAdded
    | ItemDone
    | TextDelta
    | SummaryPartAdded
    | SummaryTextDelta
    | ReasoningTextDelta
    | CustomInputDelta
    | RateLimits
    | ServedBy
    | Completed
)


class ErrorInfo(msgspec.Struct, frozen=True):
    """A `codexErrorInfo`: a code in snake_case and, for the codes that carry one, an HTTP status (or None)."""

    code: str
    http_status_code: int | UnsetType | None = UNSET

    def file(self) -> ev.ErrorInfo:
        """The form of rollout lines: `"other"` or `{"response_stream_disconnected": {"http_status_code": null}}`."""
        if self.http_status_code is UNSET:
            return self.code
        return {self.code: {"http_status_code": self.http_status_code}}

    def wire(self) -> ev.ErrorInfo:
        """The form clients see: the same in camelCase."""
        code = _camel(self.code)
        if self.http_status_code is UNSET:
            return code
        return {code: {"httpStatusCode": self.http_status_code}}


class Retry(msgspec.Struct, frozen=True):
    """The attempt may be made again. `delay` in seconds when the server named one, else None: use `backoff`."""

    delay: float | None = None


class ModelFailure(Exception):
    """One attempt to sample a model failed.

    `message` is the text for the user, `info` its code, `retry` None when another attempt is pointless. `kind` says
    where it failed: an HTTP answer, a usage limit, inside the stream, the connection, a full context window, our own
    configuration. `status` is the HTTP status when there was one; 401 is the cue to refresh a login. `rate_limits` is
    the snapshot to publish before the error (usage limits only). `fallback` is set while another transport is still
    to be tried: the first retry is made without notice, and in place of giving up the sampler falls back."""

    def __init__(
        self,
        message: str,
        info: ErrorInfo,
        *,
        kind: Kind,
        retry: Retry | None = None,
        status: int | None = None,
        rate_limits: ev.RateLimitSnapshot | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.info = info
        self.kind: Kind = kind
        self.retry = retry
        self.status = status
        self.rate_limits = rate_limits
        self.fallback = False

    @property
    def reconnect_info(self) -> ErrorInfo:
        """The info of the `Reconnecting... n/m` notice that announces the next attempt.

        It names the status of an unexpected answer, but not that of a plain 500 (observed)."""
        status = self.status if self.info == OTHER else None
        return ErrorInfo("response_stream_disconnected", status)


OTHER = ErrorInfo("other")


class TurnFailed(Exception):
    """The turn cannot go on: final `error`, failed turn, the thread lives."""

    def __init__(self, message: str, info: ErrorInfo = OTHER) -> None:
        super().__init__(message)
        self.message = message
        self.info = info


class CallFailed(Exception):
    """A tool call that gives the model a text instead of a result."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def _camel(code: str) -> str:
    return re.sub(r"_(.)", lambda match: match[1].upper(), code)
