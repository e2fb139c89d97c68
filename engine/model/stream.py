"""What a model's reply stream says, as frozen values. `decode` turns one event payload (HTTP: a `data` field,
websocket: a text frame) into a `StreamEvent`, or None for what is unknown or does not parse (turns 6);
`reply_headers` does the same for the reply's HTTP headers. Pure: no clock, no network, no state. A payload
that says the reply failed raises `ModelFailure`; everything else that is odd is ignored, as newer models may
send events we do not know yet."""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from engine.model import rate_limits
from engine.model.errors import disconnected, response_failed, response_incomplete
from engine.turn.replies import (
    Completed,
    Created,
    CustomInputDelta,
    Headers,
    ItemAdded,
    ItemDone,
    RateLimits,
    ReasoningTextDelta,
    ServedBy,
    StreamEvent,
    SummaryPartAdded,
    SummaryTextDelta,
    TextDelta,
)
from engine.wording import fault
from rollouts import codec
from rollouts import events as ev

_T = TypeVar("_T")
_MODEL_HEADERS: Final = frozenset({"openai-model", "x-openai-model"})


class _Event(msgspec.Struct, frozen=True):
    type: str
    response: Raw | UnsetType = UNSET
    headers: Raw | UnsetType = UNSET
    item: Raw | UnsetType = UNSET
    delta: str | None = None
    item_id: str | None = None
    call_id: str | None = None
    summary_index: int | None = None
    content_index: int | None = None


class _Id(msgspec.Struct, frozen=True):
    id: str | None = None


class _WithHeaders(msgspec.Struct, frozen=True):
    headers: Raw | UnsetType = UNSET


class _Error(msgspec.Struct, frozen=True):
    code: str | None = None
    message: str | None = None


class _Failed(msgspec.Struct, frozen=True):
    error: _Error | None = None


class _Details(msgspec.Struct, frozen=True):
    reason: str | None = None


class _Incomplete(msgspec.Struct, frozen=True):
    incomplete_details: _Details | None = None


# The names below are told to users when a `response.completed` does not fit.


class ResponseCompletedInputTokensDetails(msgspec.Struct, frozen=True):
    """How many of the tokens were cached."""

    cached_tokens: int


class ResponseCompletedOutputTokensDetails(msgspec.Struct, frozen=True):
    """How many of the tokens were reasoning."""

    reasoning_tokens: int


class ResponseCompletedUsage(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of one reply."""

    input_tokens: int
    input_tokens_details: ResponseCompletedInputTokensDetails | None = None
    output_tokens: int
    output_tokens_details: ResponseCompletedOutputTokensDetails | None = None
    total_tokens: int


class ResponseCompleted(msgspec.Struct, frozen=True):
    """The `response` of a `response.completed`."""

    id: str
    usage: ResponseCompletedUsage | None = None


class _Window(msgspec.Struct, frozen=True):
    used_percent: float
    window_minutes: int | None = None
    reset_at: int | None = None


class _Windows(msgspec.Struct, frozen=True):
    primary: _Window | None = None
    secondary: _Window | None = None


class _Credits(msgspec.Struct, frozen=True):
    has_credits: bool
    unlimited: bool
    balance: str | None = None


class _Limits(msgspec.Struct, frozen=True):
    plan_type: str | None = None
    rate_limits: _Windows | None = None
    credits: _Credits | None = None
    metered_limit_name: str | None = None
    limit_name: str | None = None


def decode(payload: bytes | str) -> StreamEvent | None:
    """The event in one payload, or None if it says nothing to us. Raises `ModelFailure` if it says the reply
    failed or is a `response.completed` we cannot read (its usage would be lost)."""
    try:
        event = msgspec.json.decode(payload, type=_Event)
        return _READERS.get(event.type, _served)(event, payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def reply_headers(headers: Mapping[str, str]) -> Headers:
    """What a reply's headers (lower-case names) say; always with a `codex` rate-limit snapshot."""
    return Headers(
        rate_limits=rate_limits.snapshots(headers),
        turn_state=headers.get("x-codex-turn-state"),
        model=headers.get("openai-model"),
        reasoning_included="x-reasoning-included" in headers,
        models_etag=headers.get("x-models-etag"),
    )


def decode_item(raw: Raw) -> ev.ResponseItem | None:
    """A response item; None if it is of no known type or does not decode.

    A message of an unknown phase keeps its text and loses the phase (the reference loses the message)."""
    item = codec.decode_item(raw)
    if isinstance(item, ev.Unknown) and item.subtype == "message":
        item = codec.decode_item(_without_phase(raw))
    return item if isinstance(item, ev.ResponseItem) else None


def _created(event: _Event, _: object) -> StreamEvent | None:
    response = _given(event.response)
    if response is None:
        return None
    return _served(event, None) or Created(_lenient(response, _Id).id)


def _served(event: _Event, _: object) -> StreamEvent | None:
    """Headers that an event brings along may name the model that really answers."""
    response = _given(event.response)
    inner = _lenient(response, _WithHeaders).headers if response is not None else UNSET
    for raw in (_given(inner), _given(event.headers)):
        headers = _lenient(raw, dict[str, object]) if raw is not None else {}
        for name, value in headers.items():
            first = value[0] if isinstance(value, list) and value else value
            if name.lower() in _MODEL_HEADERS and isinstance(first, str):
                return ServedBy(first)
    return None


def _added(event: _Event, _: object) -> StreamEvent | None:
    raw = _given(event.item)
    item = decode_item(raw) if raw is not None else None
    return ItemAdded(item, _lenient(raw, _Id).id) if item is not None else None


def _item_done(event: _Event, _: object) -> StreamEvent | None:
    raw = _given(event.item)
    item = decode_item(raw) if raw is not None else None
    return ItemDone(item, _lenient(raw, _Id).id) if item is not None else None


def _text(event: _Event, _: object) -> StreamEvent | None:
    return TextDelta(event.delta) if event.delta is not None else None


def _summary_part(event: _Event, _: object) -> StreamEvent | None:
    return SummaryPartAdded(event.summary_index) if event.summary_index is not None else None


def _summary_text(event: _Event, _: object) -> StreamEvent | None:
    if event.delta is None or event.summary_index is None:
        return None
    return SummaryTextDelta(event.delta, event.summary_index)


def _reasoning_text(event: _Event, _: object) -> StreamEvent | None:
    if event.delta is None or event.content_index is None:
        return None
    return ReasoningTextDelta(event.delta, event.content_index)


def _custom_input(event: _Event, _: object) -> StreamEvent | None:
    if event.delta is None or (event.item_id is None and event.call_id is None):
        return None
    return CustomInputDelta(event.delta, event.item_id, event.call_id)


def _completed(event: _Event, _: object) -> StreamEvent | None:
    response = _given(event.response)
    if response is None:
        return None
    try:
        done = msgspec.json.decode(response, type=ResponseCompleted)
    except msgspec.ValidationError as error:
        wrong = fault(ResponseCompleted, msgspec.json.decode(response))
        why = wrong.message if wrong is not None else str(error)
        raise disconnected(f"failed to parse ResponseCompleted: {why}") from None
    return Completed(done.id, _usage(done.usage))


def _failed(event: _Event, _: object) -> StreamEvent | None:
    error = _lenient(_given(event.response), _Failed).error
    if error is None:
        raise disconnected("response.failed event received")
    raise response_failed(error.code, error.message)


def _incomplete(event: _Event, _: object) -> StreamEvent | None:
    details = _lenient(_given(event.response), _Incomplete).incomplete_details
    raise response_incomplete(details.reason if details else None)


def _limits(_: _Event, payload: bytes | str) -> StreamEvent | None:
    limits = msgspec.json.decode(payload, type=_Limits)
    windows = limits.rate_limits or _Windows()
    name = (limits.metered_limit_name or limits.limit_name or rate_limits.DEFAULT_LIMIT).strip().lower()
    return RateLimits(
        ev.RateLimitSnapshot(
            limit_id=name.replace("-", "_"),
            limit_name=None,
            primary=_window(windows.primary),
            secondary=_window(windows.secondary),
            credits=_credits(limits.credits),
            plan_type=limits.plan_type,
            rate_limit_reached_type=None,
        )
    )


_READERS: Final[dict[str, Callable[[_Event, bytes | str], StreamEvent | None]]] = {
    "response.created": _created,
    "response.output_item.added": _added,
    "response.output_item.done": _item_done,
    "response.output_text.delta": _text,
    "response.reasoning_summary_part.added": _summary_part,
    "response.reasoning_summary_text.delta": _summary_text,
    "response.reasoning_text.delta": _reasoning_text,
    "response.custom_tool_call_input.delta": _custom_input,
    "response.completed": _completed,
    "response.failed": _failed,
    "response.incomplete": _incomplete,
    "codex.rate_limits": _limits,
}


def _window(window: _Window | None) -> ev.RateLimitWindow | None:
    if window is None:
        return None
    return ev.RateLimitWindow(
        used_percent=window.used_percent, window_minutes=window.window_minutes, resets_at=window.reset_at
    )


def _credits(credits: _Credits | None) -> ev.CreditsSnapshot | None:
    if credits is None:
        return None
    return ev.CreditsSnapshot(has_credits=credits.has_credits, unlimited=credits.unlimited, balance=credits.balance)


def _usage(usage: ResponseCompletedUsage | None) -> ev.TokenUsage | None:
    if usage is None:
        return None
    cached, reasoning = usage.input_tokens_details, usage.output_tokens_details
    return ev.TokenUsage(
        input_tokens=usage.input_tokens,
        cached_input_tokens=cached.cached_tokens if cached else 0,
        output_tokens=usage.output_tokens,
        reasoning_output_tokens=reasoning.reasoning_tokens if reasoning else 0,
        total_tokens=usage.total_tokens,
    )


def _without_phase(raw: Raw) -> bytes:
    fields = msgspec.json.decode(raw, type=dict[str, Raw])
    return msgspec.json.encode({name: value for name, value in fields.items() if name != "phase"})


def _given(raw: Raw | UnsetType) -> Raw | None:
    return None if isinstance(raw, UnsetType) or bytes(raw) == b"null" else raw


def _lenient(raw: Raw | None, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(raw, type=kind) if raw is not None else kind()
    except msgspec.ValidationError:
        return kind()
