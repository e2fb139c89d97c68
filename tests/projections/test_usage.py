"""Usage: accounting, restoring and whose turn a replay names (token-usage.md 2 to 5)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from projections.session import rebuild
from projections.turns import build_turns
from projections.usage import (
    Usage,
    after_context_exceeded,
    after_estimate,
    after_headers,
    after_reply,
    merge_limits,
    percent,
    rate_limits,
    replay_turn_id,
    thread_usage,
)
from rollouts import events as ev
from tests.projections.logs import Maker, decoded, memory_log, usage, written


def tokens(total: int, **more: int) -> ev.TokenUsage:
    fields = dict.fromkeys(ev.TokenUsage.__struct_fields__, 0)
    return ev.TokenUsage(**{**fields, "total_tokens": total, **more})


FIRST = tokens(120, input_tokens=100, cached_input_tokens=10, output_tokens=20, reasoning_output_tokens=5)
LIMITS = ev.RateLimitSnapshot(limit_id="codex", primary=ev.RateLimitWindow(12.5, 300, 1776679210))


def test_headers_give_new_limits_and_the_old_usage() -> None:
    state = after_headers(Usage(), LIMITS)
    assert state.line() == ev.TokenCount(info=None, rate_limits=LIMITS)


def test_a_reply_is_the_last_usage_and_adds_to_the_total_field_by_field() -> None:
    state = after_reply(after_reply(Usage(), FIRST, 258400), FIRST, 1900)
    assert state.info == ev.TokenUsageInfo(
        tokens(240, input_tokens=200, cached_input_tokens=20, output_tokens=40, reasoning_output_tokens=10), FIRST, 1900
    )


def test_a_reply_without_usage_repeats_what_was_known() -> None:
    state = Usage(usage(7, 7), LIMITS)
    assert after_reply(state, None, 1) == state


def test_an_exceeded_context_fills_the_total_and_later_replies_add_to_it() -> None:
    state = after_context_exceeded(after_reply(Usage(), FIRST, 1000), 1000)
    assert state.info == ev.TokenUsageInfo(tokens(1000), tokens(880), 1000)
    assert after_context_exceeded(Usage(usage(5000, 1)), 1000).context_tokens == 0
    later = after_reply(state, FIRST, 1000).info
    assert later is not None and later.total_token_usage.total_tokens == 1120


def test_an_estimate_replaces_the_last_usage_and_leaves_the_total() -> None:
    state = after_estimate(after_reply(Usage(), FIRST, 1000), 55, 1000)
    assert state.info == ev.TokenUsageInfo(FIRST, tokens(55), 1000)
    assert after_estimate(Usage(), 55, None).info == ev.TokenUsageInfo(tokens(0), tokens(55), None)


def test_credits_and_plan_stay_until_they_are_replaced_but_windows_do_not() -> None:
    credits = ev.CreditsSnapshot(True, False, "3.5")
    before = msgspec.structs.replace(LIMITS, credits=credits, plan_type="pro", limit_name="old")
    merged = merge_limits(before, ev.RateLimitSnapshot(limit_id="codex"))
    assert merged == ev.RateLimitSnapshot(limit_id="codex", credits=credits, plan_type="pro")
    assert merge_limits(before, msgspec.structs.replace(LIMITS, plan_type="plus")).plan_type == "plus"


@pytest.mark.parametrize(
    ("share", "shown"), [(12.5, 13), (12.4999, 12), (0.49999999999999994, 0), (99.5, 100), (-0.5, -1)]
)
def test_percents_are_rounded_half_up(share: float, shown: int) -> None:
    assert percent(share) == shown


def test_limits_as_published() -> None:
    strange = msgspec.structs.replace(LIMITS, plan_type="galaxy_brain", rate_limit_reached_type="who_knows")
    assert msgspec.to_builtins(rate_limits(strange)) == {
        "limitId": "codex",
        "limitName": None,
        "primary": {"usedPercent": 13, "windowDurationMins": 300, "resetsAt": 1776679210},
        "secondary": None,
        "credits": None,
        "planType": "unknown",
        "rateLimitReachedType": None,
    }


def test_usage_as_published_in_its_order() -> None:
    published = msgspec.to_builtins(thread_usage(ev.TokenUsageInfo(FIRST, tokens(9), None)))
    assert published["total"] == {
        "totalTokens": 120,
        "inputTokens": 100,
        "cachedInputTokens": 10,
        "outputTokens": 20,
        "reasoningOutputTokens": 5,
    }
    assert list(published["total"]) == [
        "totalTokens", "inputTokens", "cachedInputTokens", "outputTokens", "reasoningOutputTokens",
    ]  # fmt: skip
    assert published["modelContextWindow"] is None


def test_a_null_info_does_not_clear_what_was_known() -> None:
    deeds: list[Callable[[Maker], None]] = [lambda m: m.tokens(True, 5), lambda m: m.tokens(False, 0)]
    assert rebuild(memory_log(written(deeds))).usage.info == usage(5, 5)


def test_limits_are_not_restored() -> None:
    assert Usage(usage(1, 1), LIMITS).restored() == Usage(usage(1, 1), None)


def turn(how: str = "completed", counts: str = "") -> Callable[[Maker], None]:
    """A turn with token_count lines: u with usage, n with null info."""

    def make(maker: Maker) -> None:
        maker.start(False, "m")
        maker.user()
        for count in counts:
            maker.tokens(count == "u", 5)
        maker.finish(how)

    return make


def count(maker: Maker) -> None:
    maker.tokens(True, 5)


def back(turns: int) -> Callable[[Maker], None]:
    return lambda maker: maker.roll_back(turns)


@pytest.mark.parametrize(
    ("deeds", "expected"),
    [
        ([turn(counts="u"), turn(counts="u")], "turn-2"),
        ([turn(), count], "turn-1"),
        ([count, turn(), turn("interrupted")], "turn-1"),
        ([count, turn("interrupted")], "turn-1"),
        ([turn(counts="u"), turn(counts="u"), back(1)], "turn-1"),
        ([turn(counts="u"), turn(counts="u"), back(1), turn()], "turn-3"),
        ([turn(counts="u"), back(9)], ""),
        ([turn(), turn(counts="u"), turn()], "turn-2"),
        ([turn(counts="u"), turn(counts="n")], "turn-2"),
        ([turn(), turn("open", "u")], "turn-2"),
        ([lambda m: m.user(), count], "rollout-2"),
        ([lambda m: m.write(ev.Compacted(message="s")), count], "rollout-1"),
    ],
)
def test_the_turn_a_replayed_usage_names(deeds: list[Callable[[Maker], None]], expected: str) -> None:
    lines = written(deeds)
    state = rebuild(memory_log(lines))
    assert state.turns is not None
    assert replay_turn_id(state.turns.owner, state.turns.all_rows()) == expected
    assert replay_turn_id(state.turns.owner, build_turns(decoded(lines))) == expected
