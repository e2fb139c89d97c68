"""Usage and limits as a turn counts them (spec token-usage 2, models-and-limits 2).

Starts from the thread's durable usage; every change is a `token_count` event that carries the new totals, so the
log never needs arithmetic to be read.
"""

from __future__ import annotations

import msgspec

from rollouts import events as ev

NOTHING = ev.TokenUsage(
    input_tokens=0, cached_input_tokens=0, output_tokens=0, reasoning_output_tokens=0, total_tokens=0
)


class Meter:
    """Counts for one turn."""

    def __init__(self, info: ev.TokenUsageInfo | None, limits: ev.RateLimitSnapshot | None) -> None:
        self.info = info
        self.latest = limits

    def limits(self, snapshot: ev.RateLimitSnapshot) -> ev.TokenCount:
        """A reply's headers said this: credits and plan are carried over when it says nothing of them."""
        before = self.latest
        if before is not None:
            snapshot = msgspec.structs.replace(
                snapshot,
                credits=snapshot.credits if snapshot.credits is not None else before.credits,
                plan_type=snapshot.plan_type if snapshot.plan_type is not None else before.plan_type,
            )
        self.latest = snapshot
        return self.count()

    def reply(self, usage: ev.TokenUsage | None, window: int | None) -> ev.TokenCount:
        """A reply is complete; one without usage repeats the old numbers."""
        if usage is not None:
            total = plus(self.info.total_token_usage, usage) if self.info is not None else usage
            self.info = ev.TokenUsageInfo(
                total_token_usage=total, last_token_usage=usage, model_context_window=window
            )
        return self.count()

    def overflow(self, window: int) -> ev.TokenCount:
        """The context window is exceeded: the total becomes the window, the last usage what was missing to it."""
        before = self.info.total_token_usage.total_tokens if self.info is not None else 0
        self.info = ev.TokenUsageInfo(
            total_token_usage=msgspec.structs.replace(NOTHING, total_tokens=window),
            last_token_usage=msgspec.structs.replace(NOTHING, total_tokens=max(0, window - before)),
            model_context_window=window,
        )
        return self.count()

    def count(self) -> ev.TokenCount:
        """The counts as they are now."""
        return ev.TokenCount(info=self.info, rate_limits=self.latest)


def plus(one: ev.TokenUsage, other: ev.TokenUsage) -> ev.TokenUsage:
    """Field by field."""
    return ev.TokenUsage(
        **{name: getattr(one, name) + getattr(other, name) for name in one.__struct_fields__}
    )
