"""HTTP error answers of a model endpoint -> `ModelFailure`. A pure table: status, headers and body in,
failure out; the current time is a parameter. The texts are matched by clients (turns 7, models-and-limits 2);
rows not in those pages (Cloudflare blocks, empty bodies, the request id of a 429, 4xx being retried by the
stream) were observed."""

import http
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Final

import msgspec

from engine.model import rate_limits
from engine.model.errors import (
    BAD_REQUEST,
    CYBER_POLICY,
    CYBER_TEXT,
    INTERNAL_SERVER,
    OVERLOADED,
    OVERLOADED_CODES,
    OVERLOADED_TEXT,
    USAGE_LIMIT,
    USAGE_NOT_INCLUDED_TEXT,
)
from engine.turn.replies import OTHER, ErrorInfo, ModelFailure, Retry
from rollouts import events as ev

_BAD_IMAGE: Final = "The image data you provided does not represent a valid image"
_BAD_IMAGE_TEXT: Final = "Invalid image in your last message. Please remove it and try again."
_BLOCKED_TEXT: Final = "Access blocked by Cloudflare. This usually happens when connecting from a restricted region"
_BUSY_TEXT: Final = "We're currently experiencing high demand, which may cause temporary errors."
_BODY_LIMIT: Final = 1000
_TEXTS: Final = ("message", "code", "type", "plan_type")
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


class _Error(msgspec.Struct, frozen=True):
    message: str | None = None
    code: str | None = None
    type: str | None = None
    plan_type: str | None = None
    resets_at: int | None = None


class _Body(msgspec.Struct, frozen=True):
    error: Mapping[str, object] | None = None


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
            return _too_many(headers, error, now, zone)
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
        return ModelFailure(error.message or CYBER_TEXT, CYBER_POLICY, kind="http", status=400)
    if _BAD_IMAGE in text:
        return ModelFailure(_BAD_IMAGE_TEXT, BAD_REQUEST, kind="http", status=400)
    return ModelFailure(text, OTHER, kind="http", status=400)


def _too_many(headers: Mapping[str, str], error: _Error, now: datetime, zone: tzinfo | None) -> ModelFailure:
    if error.type == "usage_limit_reached":
        snapshot = rate_limits.active(headers)
        text = limit_text(
            error.plan_type,
            error.resets_at,
            limit_name=_name(snapshot),
            promo=headers.get("x-codex-promo-message", "").strip() or None,
            now=now,
            zone=zone,
        )
        return ModelFailure(text, USAGE_LIMIT, kind="limit", status=429, rate_limits=snapshot)
    if error.type == "usage_not_included":
        return ModelFailure(USAGE_NOT_INCLUDED_TEXT, USAGE_LIMIT, kind="limit", status=429)
    info = ErrorInfo("response_too_many_failed_attempts", 429)
    request_id = _first(headers, _REQUEST_IDS)
    trace = f", request id: {request_id}" if request_id else ""
    return ModelFailure(
        f"exceeded retry limit, last status: 429 Too Many Requests{trace}", info, kind="http", status=429
    )


def _unexpected(status: int, text: str, error: _Error) -> str:
    told = phrase(status)
    if status == 403 and "Cloudflare" in text and "blocked" in text:
        return f"{_BLOCKED_TEXT} (status {told})"
    shown = error.message or text.strip()
    if len(shown) > _BODY_LIMIT:
        shown = shown[:_BODY_LIMIT] + "..."
    return f"unexpected status {told}: {shown or 'Unknown error'}"


def phrase(status: int) -> str:
    """`404 Not Found`, as errors name a status."""
    try:
        return f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} <unknown status code>"


def _trace(headers: Mapping[str, str]) -> str:
    ray, request_id = headers.get("cf-ray"), _first(headers, _REQUEST_IDS)
    return (f", cf-ray: {ray}" if ray else "") + (f", request id: {request_id}" if request_id else "")


def _first(headers: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((headers[name] for name in names if name in headers), None)


def _error(body: bytes) -> _Error:
    """The error object of a body; members of a wrong type, or a body that is none, say nothing."""
    try:
        error = msgspec.json.decode(body, type=_Body).error or {}
    except (msgspec.DecodeError, RecursionError):
        return _Error()
    texts = {name: value for name in _TEXTS if isinstance(value := error.get(name), str) and value}
    return _Error(**texts, resets_at=_seconds(error.get("resets_at")))


def _seconds(value: object) -> int | None:
    """Unix seconds a calendar can show; anything else is no time."""
    return value if type(value) is int and 0 <= value < _YEAR_10000 else None


def _name(snapshot: ev.RateLimitSnapshot) -> str | None:
    return (snapshot.limit_name or "").strip() or None


def _ordinal(day: int) -> str:
    return "th" if 11 <= day % 100 <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
