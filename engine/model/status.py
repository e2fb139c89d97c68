"""HTTP error answers of a model endpoint -> `ModelFailure`. A pure table: status, headers and body in,
failure out; the current time is a parameter. The texts are matched by clients (turns 7, models-and-limits 2);
rows not in those pages (Cloudflare blocks, empty bodies, the request id of a 429, 4xx being retried by the
stream) were observed."""

import base64
import http
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Final

import msgspec

from engine.model import rate_limits
from engine.model.errors import (
    BAD_REQUEST,
    CYBER_POLICY,
    INTERNAL_SERVER,
    OVERLOADED,
    OVERLOADED_CODES,
    OVERLOADED_TEXT,
    USAGE_LIMIT,
    USAGE_NOT_INCLUDED_TEXT,
    cyber_text,
)
from engine.turn.replies import OTHER, ErrorInfo, ModelFailure, Retry
from rollouts import events as ev

_BAD_IMAGE: Final = "The image data you provided does not represent a valid image"
_BAD_IMAGE_TEXT: Final = "Invalid image in your last message. Please remove it and try again."
_BLOCKED_TEXT: Final = "Access blocked by Cloudflare. This usually happens when connecting from a restricted region"
_BUSY_TEXT: Final = "We're currently experiencing high demand, which may cause temporary errors."
_BODY_LIMIT: Final = 1000
"""Bytes of a body that an error shows."""
_TEXTS: Final = ("message", "code")
_YEAR_10000: Final = 253_402_214_400
_REQUEST_IDS: Final = ("x-request-id", "x-oai-request-id")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_CREDITS = "isit https://chatgpt.com/codex/settings/usage to purchase more credits"
_PLUS = "Upgrade to Plus to continue using Codex (https://chatgpt.com/explore/plus),"
_ADMIN = "To get more access now, send a request to your admin"
_ADVICE: Final[dict[str, str]] = {
    "free": _PLUS,
    "go": _PLUS,
    "plus": f"Upgrade to Pro (https://chatgpt.com/explore/pro), v{_CREDITS}",
    "pro": f"V{_CREDITS}",
    "prolite": f"V{_CREDITS}",
    "team": _ADMIN,
    "business": _ADMIN,
    "self_serve_business_usage_based": _ADMIN,
    "enterprise_cbp_usage_based": _ADMIN,
}


# As the Rust crate `http` names them, whatever this Python's own list says.
_PHRASES: Final[dict[int, str]] = {
    203: "Non Authoritative Information",
    413: "Payload Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    418: "I'm a teapot",
    422: "Unprocessable Entity",
}


class _Error(msgspec.Struct, frozen=True):
    message: str | None = None
    code: str | None = None


class _Body(msgspec.Struct, frozen=True):
    error: Mapping[str, object] | None = None


class _Limit(msgspec.Struct, frozen=True):
    type: str | None = None
    plan_type: str | None = None
    resets_at: int | None = None


class _LimitBody(msgspec.Struct, frozen=True):
    error: _Limit


def failure(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    url: str,
    *,
    now: datetime,
    zone: tzinfo | None = None,
) -> ModelFailure:
    """The failure that an HTTP answer of `status` means. `headers` has lower-case names. Times in texts are
    local ones, of `zone` if given; `now` (aware) decides whether the date is named."""
    text = body.decode("utf-8", "replace")
    error = _error(body)
    match status:
        case 400:
            return _bad_request(text, error)
        case 429:
            return _too_many(headers, _limit(body), now, zone)
        case 500:
            return ModelFailure(_BUSY_TEXT, INTERNAL_SERVER, kind="http", retry=Retry(), status=status)
        case 503 if error.code in OVERLOADED_CODES:
            return ModelFailure(OVERLOADED_TEXT, OVERLOADED, kind="http", status=status)
        case _:
            message = _unexpected(status, text, error) + f", url: {url}" + _trace(headers)
            return ModelFailure(message, OTHER, kind="http", retry=Retry(), status=status)


def reset_text(resets_at: int, *, now: datetime, zone: tzinfo | None = None) -> str:
    """Local time such as `5:46 PM`, or `Mar 17th, 2030 5:46 PM` on another day. `resets_at` in unix
    seconds."""
    moment = datetime.fromtimestamp(resets_at, now.tzinfo).astimezone(zone)
    clock = f"{moment.hour % 12 or 12}:{moment.minute:02} {'AM' if moment.hour < 12 else 'PM'}"
    if moment.date() == now.astimezone(zone).date():
        return clock
    return f"{_MONTHS[moment.month - 1]} {moment.day}{_ordinal(moment.day)}, {moment.year} {clock}"


def limit_text(
    plan: str | None,
    resets_at: int | None,
    *,
    limit_name: str | None = None,
    promo: str | None = None,
    now: datetime,
    zone: tzinfo | None = None,
) -> str:
    """What a user whose limit is used up reads: advice by plan, promotion or limit (models-and-limits 2)."""
    when = "later" if resets_at is None else f"at {reset_text(resets_at, now=now, zone=zone)}"
    if limit_name and limit_name.lower() != "codex":
        limit = f"You've hit your usage limit for {limit_name}."
        return f"{limit} Switch to another model now, or try again {when}."
    advice = f"{promo}," if promo else _ADVICE.get(plan or "")
    if advice is None:
        return f"You've hit your usage limit. Try again {when}."
    return f"You've hit your usage limit. {advice} or try again {when}."


def _bad_request(text: str, error: _Error) -> ModelFailure:
    if error.code == "cyber_policy":
        return ModelFailure(cyber_text(error.message), CYBER_POLICY, kind="http", status=400)
    if _BAD_IMAGE in text:
        return ModelFailure(_BAD_IMAGE_TEXT, BAD_REQUEST, kind="http", status=400)
    return ModelFailure(text, OTHER, kind="http", status=400)


def _too_many(headers: Mapping[str, str], error: _Limit, now: datetime, zone: tzinfo | None) -> ModelFailure:
    if error.type == "usage_limit_reached":
        snapshot = rate_limits.active(headers)
        text = limit_text(
            error.plan_type,
            _seconds(error.resets_at),
            limit_name=_name(snapshot),
            promo=headers.get("x-codex-promo-message", "").strip() or None,
            now=now,
            zone=zone,
        )
        return ModelFailure(text, USAGE_LIMIT, kind="limit", status=429, rate_limits=snapshot)
    if error.type == "usage_not_included":
        return ModelFailure(USAGE_NOT_INCLUDED_TEXT, USAGE_LIMIT, kind="limit", status=429)
    info = ErrorInfo("response_too_many_failed_attempts", 429)
    request_id = _first(headers, (*_REQUEST_IDS, "cf-ray"))
    trace = f", request id: {request_id}" if request_id else ""
    return ModelFailure(
        f"exceeded retry limit, last status: 429 Too Many Requests{trace}", info, kind="http", status=429
    )


def _unexpected(status: int, text: str, error: _Error) -> str:
    told = phrase(status)
    if status == 403 and "Cloudflare" in text and "blocked" in text:
        return f"{_BLOCKED_TEXT} (status {told})"
    shown = (error.message or "").strip() or _cut(text.strip()) or "Unknown error"
    return f"unexpected status {told}: {shown}"


def _cut(text: str) -> str:
    """A body, but not more of it than anybody wants to read."""
    data = text.encode()
    return text if len(data) <= _BODY_LIMIT else data[:_BODY_LIMIT].decode(errors="ignore") + "..."


def phrase(status: int) -> str:
    """`404 Not Found`, as errors name a status."""
    try:
        return f"{status} {_PHRASES.get(status) or http.HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} <unknown status code>"


def _trace(headers: Mapping[str, str]) -> str:
    """What helps whoever is asked about the answer."""
    found = {
        "cf-ray": headers.get("cf-ray"),
        "request id": _first(headers, _REQUEST_IDS),
        "auth error": headers.get("x-openai-authorization-error"),
        "auth error code": _error_code(headers.get("x-error-json", "")),
    }
    return "".join(f", {name}: {value}" for name, value in found.items() if value is not None)


def _error_code(encoded: str) -> str | None:
    """The code of the error object in a base64 header; None if it is no such thing."""
    try:
        return _error(base64.b64decode(encoded, validate=True)).code
    except ValueError:
        return None


def _first(headers: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((headers[name] for name in names if name in headers), None)


def _error(body: bytes) -> _Error:
    """The error object of a body; members of a wrong type, or a body that is none, say nothing."""
    try:
        error = msgspec.json.decode(body, type=_Body).error or {}
    except (ValueError, RecursionError):
        return _Error()
    texts = {name: value for name in _TEXTS if isinstance(value := error.get(name), str) and value}
    return _Error(**texts)


def _limit(body: bytes) -> _Limit:
    """What a 429 says of a limit; nothing if any of it is not of its type (observed)."""
    try:
        return msgspec.json.decode(body, type=_LimitBody).error
    except (ValueError, RecursionError):
        return _Limit()


def _seconds(value: int | None) -> int | None:
    """Unix seconds a calendar can show; anything else is no time."""
    return value if value is not None and 0 <= value < _YEAR_10000 else None


def _name(snapshot: ev.RateLimitSnapshot) -> str | None:
    return (snapshot.limit_name or "").strip() or None


def _ordinal(day: int) -> str:
    return "th" if 11 <= day % 100 <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
