"""What the account's backend says of its rate limits: one GET, its answer as the snapshots clients see. Nothing is
kept: every call asks anew. Limits that come with a model's reply are read by `engine.model.rate_limits`.

Rules: models-and-limits 3, account (`account/rateLimits/read`)."""

from __future__ import annotations

from typing import Final

import httpx2
import msgspec

from engine.calls.arguments import explain
from engine.errors import Internal
from engine.model.endpoint import Credentials
from engine.model.rate_limits import DEFAULT_LIMIT
from engine.model.status import phrase
from projections import protocol as p
from projections.protocol.base import I64
from projections.usage import rate_limits
from rollouts import events as ev

_TIMEOUT: Final = 30.0  # seconds to connect, and without a byte of the answer


class Window(msgspec.Struct, frozen=True):
    """A window: share used in percent, length in seconds, end as epoch seconds."""

    used_percent: float
    limit_window_seconds: I64
    reset_at: I64


class Limit(msgspec.Struct, frozen=True):
    """`rate_limit`."""

    primary_window: Window | None = None
    secondary_window: Window | None = None


class AdditionalLimit(msgspec.Struct, frozen=True):
    """One of `additional_rate_limits`: that of a feature besides the main one."""

    limit_name: str
    metered_feature: str
    rate_limit: Limit | None = None


class Reached(msgspec.Struct, frozen=True):
    """`rate_limit_reached_type`."""

    type: str


class Usage(msgspec.Struct, frozen=True):
    """The backend's answer, as far as it is used. Plans and reasons may be ones this version does not know."""

    plan_type: str
    rate_limit: Limit | None = None
    credits: ev.CreditsSnapshot | None = None
    additional_rate_limits: list[AdditionalLimit] | None = None
    rate_limit_reached_type: Reached | None = None


async def read(base: str, credentials: Credentials, user_agent: str) -> p.GetAccountRateLimitsResponse:
    """Ask the backend.

    :param base: `chatgpt_base_url`, without a slash at its end.
    :raises Internal: it cannot be reached, refuses, or answers with something else.
    """
    url = f"{base}/wham/usage" if "/backend-api" in base else f"{base}/api/codex/usage"
    sent = {**credentials.headers, "authorization": f"Bearer {credentials.bearer}", "user-agent": user_agent}
    try:
        async with httpx2.AsyncClient(timeout=_TIMEOUT) as client:
            response = await client.get(url, headers={name.encode(): value.encode() for name, value in sent.items()})
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise _failed(f"error sending request for url ({url})") from error
    body = response.text
    context = f"content-type={response.headers.get('content-type', '')}; body={body}"
    if not response.is_success:
        raise _failed(f"GET {url} failed: {phrase(response.status_code)}; {context}")
    try:
        usage = msgspec.json.decode(body, type=Usage)
    except (msgspec.DecodeError, RecursionError) as error:
        reason = explain(body.encode(), Usage) or str(error)
        raise _failed(f"Decode error for {url}: {reason}; {context}") from error
    by_id = {identity: rate_limits(snapshot) for identity, snapshot in snapshots(usage).items()}
    return p.GetAccountRateLimitsResponse(rate_limits=by_id[DEFAULT_LIMIT], rate_limits_by_limit_id=by_id)


def snapshots(usage: Usage) -> dict[str, ev.RateLimitSnapshot]:
    """By limit id: those of further limits, and the main one, `codex`, which alone has credits and a reason."""
    main = msgspec.structs.replace(
        _snapshot(usage, usage.rate_limit, DEFAULT_LIMIT),
        credits=usage.credits,
        rate_limit_reached_type=usage.rate_limit_reached_type and usage.rate_limit_reached_type.type,
    )
    others = usage.additional_rate_limits or ()
    further = {o.metered_feature: _snapshot(usage, o.rate_limit, o.metered_feature, o.limit_name) for o in others}
    return {**further, DEFAULT_LIMIT: main}


def _snapshot(usage: Usage, limit: Limit | None, identity: str, name: str | None = None) -> ev.RateLimitSnapshot:
    windows = limit or Limit()
    return ev.RateLimitSnapshot(
        limit_id=identity,
        limit_name=name,
        primary=_window(windows.primary_window),
        secondary=_window(windows.secondary_window),
        plan_type=usage.plan_type,
    )


def _window(window: Window | None) -> ev.RateLimitWindow | None:
    if window is None:
        return None
    minutes = -(-window.limit_window_seconds // 60) if window.limit_window_seconds > 0 else None
    return ev.RateLimitWindow(used_percent=window.used_percent, window_minutes=minutes, resets_at=window.reset_at)


def _failed(reason: str) -> Internal:
    return Internal(f"failed to fetch codex rate limits: {reason}")
