"""Token usage and rate limits: the accounting of a turn, what is restored, and the published form.

The durable state is the last `token_count` line whose info is not null; rate limits live with the session only
(token-usage.md). Accounting functions make the next line's content from the state before; who writes the line is up to
the turn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import get_args

import msgspec

from projections import protocol as p
from projections.turn_rows import TurnRow
from projections.turns import Owner
from rollouts import events as ev

ZERO = ev.TokenUsage(
    input_tokens=0,
    cached_input_tokens=0,
    output_tokens=0,
    reasoning_output_tokens=0,
    total_tokens=0,
)
_PLANS: Mapping[str | None, p.PlanType] = {plan: plan for plan in get_args(p.PlanType)}
_REASONS: Mapping[str | None, p.RateLimitReachedType] = {reason: reason for reason in get_args(p.RateLimitReachedType)}


class Usage(msgspec.Struct, frozen=True):
    """What is known of a session's usage: `info` is durable, `rate_limits` are those last heard of."""

    info: ev.TokenUsageInfo | None = None
    rate_limits: ev.RateLimitSnapshot | None = None

    def apply(self, line: ev.TokenCount) -> Usage:
        """The state after a `token_count` line. A null info does not clear what was known (token-usage.md 3)."""
        return Usage(
            info=self.info if line.info is None else line.info,
            rate_limits=self.rate_limits if line.rate_limits is None else line.rate_limits,
        )

    def restored(self) -> Usage:
        """What a resume starts with: usage without rate limits, which are asked for anew."""
        return Usage(info=self.info)

    def line(self) -> ev.TokenCount:
        """The `token_count` line that says this."""
        return ev.TokenCount(info=self.info, rate_limits=self.rate_limits)

    @property
    def context_tokens(self) -> int:
        """Tokens the history had at the last reply, 0 before the first."""
        return 0 if self.info is None else self.info.last_token_usage.total_tokens


def after_headers(usage: Usage, limits: ev.RateLimitSnapshot) -> Usage:
    """Reply headers came: the same usage, fresh limits. Credits and plan stay when the new ones do not say."""
    return Usage(usage.info, merge_limits(usage.rate_limits, limits))


def after_reply(usage: Usage, reply: ev.TokenUsage | None, window: int | None) -> Usage:
    """A reply completed; without usage of its own nothing changes. `window` is the model's, in tokens."""
    if reply is None:
        return usage
    total = reply if usage.info is None else add(usage.info.total_token_usage, reply)
    return _with_info(usage, ev.TokenUsageInfo(total, reply, window))


def after_context_exceeded(usage: Usage, window: int) -> Usage:
    """The history did not fit: the total reads as a full window, the last reply as what was missing to it."""
    before = 0 if usage.info is None else usage.info.total_token_usage.total_tokens
    total = msgspec.structs.replace(ZERO, total_tokens=window)
    last = msgspec.structs.replace(ZERO, total_tokens=max(window - before, 0))
    return _with_info(usage, ev.TokenUsageInfo(total, last, window))


def after_estimate(usage: Usage, tokens: int, window: int | None) -> Usage:
    """A compaction or rollback made a new history of so many estimated tokens; the total stays."""
    total = ZERO if usage.info is None else usage.info.total_token_usage
    last = msgspec.structs.replace(ZERO, total_tokens=tokens)
    return _with_info(usage, ev.TokenUsageInfo(total, last, window))


def _with_info(usage: Usage, info: ev.TokenUsageInfo) -> Usage:
    return Usage(info, usage.rate_limits)


def add(one: ev.TokenUsage, other: ev.TokenUsage) -> ev.TokenUsage:
    """Two usages added field by field."""
    names = ev.TokenUsage.__struct_fields__
    return ev.TokenUsage(**{name: getattr(one, name) + getattr(other, name) for name in names})


def merge_limits(before: ev.RateLimitSnapshot | None, fresh: ev.RateLimitSnapshot) -> ev.RateLimitSnapshot:
    """A fresh snapshot over the one before: windows and names are replaced, credits and plan are kept if not given."""
    if before is None:
        return fresh
    return msgspec.structs.replace(
        fresh,
        credits=before.credits if fresh.credits is None else fresh.credits,
        plan_type=before.plan_type if fresh.plan_type is None else fresh.plan_type,
    )


def replay_turn_id(owner: Owner | None, rows: Sequence[TurnRow | p.Turn]) -> str:
    """The turn a replayed usage is reported for (token-usage.md 4, rules 2 to 4).

    `owner` is `TurnTable.owner`, `rows` all turns of the finished rebuild, oldest first.
    """
    if owner is not None:
        if any(row.id == owner.turn_id for row in rows):
            return owner.turn_id
        if owner.position < len(rows):
            return rows[owner.position].id
    ended = (row.id for row in reversed(rows) if row.status in ("completed", "failed"))
    return next(ended, rows[-1].id if rows else "")


def thread_usage(info: ev.TokenUsageInfo) -> p.ThreadTokenUsage:
    """Usage as clients see it."""
    return p.ThreadTokenUsage(
        total=_breakdown(info.total_token_usage),
        last=_breakdown(info.last_token_usage),
        model_context_window=info.model_context_window,
    )


def _breakdown(usage: ev.TokenUsage) -> p.TokenUsageBreakdown:
    return p.TokenUsageBreakdown(
        total_tokens=usage.total_tokens,
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_output_tokens=usage.reasoning_output_tokens,
    )


def rate_limits(snapshot: ev.RateLimitSnapshot) -> p.RateLimitSnapshot:
    """Rate limits as clients see them: whole percents, plans this version does not know as `unknown`."""
    plan = snapshot.plan_type
    credits = snapshot.credits
    return p.RateLimitSnapshot(
        limit_id=snapshot.limit_id,
        limit_name=snapshot.limit_name,
        primary=_window(snapshot.primary),
        secondary=_window(snapshot.secondary),
        credits=None
        if credits is None
        else p.CreditsSnapshot(has_credits=credits.has_credits, unlimited=credits.unlimited, balance=credits.balance),
        plan_type=None if plan is None else _PLANS.get(plan, "unknown"),
        rate_limit_reached_type=_REASONS.get(snapshot.rate_limit_reached_type),
    )


def _window(window: ev.RateLimitWindow | None) -> p.RateLimitWindow | None:
    if window is None:
        return None
    return p.RateLimitWindow(
        used_percent=percent(window.used_percent),
        window_duration_mins=window.window_minutes,
        resets_at=window.resets_at,
    )


def percent(share: float) -> int:
    """A share in percent as a whole number, halves away from zero."""
    whole = math.floor(abs(share))
    return int(math.copysign(whole + (abs(share) - whole >= 0.5), share))
