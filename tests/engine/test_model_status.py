"""HTTP error answers: the texts, codes and retries of turns 7 and models-and-limits 2."""

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine.model import status
from engine.turn.replies import ModelFailure

URL = "http://127.0.0.1:1/v1/responses"
NOW = datetime(2026, 11, 22, 10, 48, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
MANY = {"responseTooManyFailedAttempts": {"httpStatusCode": 429}}
BUSY = "We're currently experiencing high demand, which may cause temporary errors."
CYBER = "This request has been flagged for possible cybersecurity risk."
FULL = "Selected model is at capacity. Please try a different model."
BLOCKED = (
    "Access blocked by Cloudflare. This usually happens when connecting from a restricted region (status 403 Forbidden)"
)
PLUS = "To use Codex with your ChatGPT plan, upgrade to Plus: https://chatgpt.com/explore/plus."
IMAGE = "The image data you provided does not represent a valid image. Try another."


def failure(code: int, body: Any = "", headers: dict[str, str] | None = None) -> ModelFailure:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return status.failure(code, headers or {}, data, URL, now=NOW, zone=NEW_YORK)


@pytest.mark.parametrize(
    ("code", "body", "headers", "message", "info", "retried"),
    [
        (400, {"error": {"message": "m"}}, {}, '{"error": {"message": "m"}}', "other", False),
        (400, "", {}, "", "other", False),
        (400, {"error": {"code": "cyber_policy", "message": "no"}}, {}, "no", "cyberPolicy", False),
        (
            400,
            {"error": {"code": "cyber_policy"}},
            {},
            "This request has been flagged for possible cybersecurity risk.",
            "cyberPolicy",
            False,
        ),
        (
            400,
            {"error": {"message": IMAGE}},
            {},
            "Invalid image in your last message. Please remove it and try again.",
            "badRequest",
            False,
        ),
        (
            401,
            {"error": {"message": "no auth"}},
            {},
            f"unexpected status 401 Unauthorized: no auth, url: {URL}",
            "other",
            True,
        ),
        (401, "", {}, f"unexpected status 401 Unauthorized: Unknown error, url: {URL}", "other", True),
        (
            402,
            {"detail": "xx"},
            {},
            f'unexpected status 402 Payment Required: {{"detail": "xx"}}, url: {URL}',
            "other",
            True,
        ),
        (
            403,
            "<html>Cloudflare: you are blocked</html>",
            {"cf-ray": "r"},
            f"{BLOCKED}, url: {URL}, cf-ray: r",
            "other",
            True,
        ),
        (
            404,
            "plain text",
            {"cf-ray": "ray1", "x-request-id": "rid1"},
            f"unexpected status 404 Not Found: plain text, url: {URL}, cf-ray: ray1, request id: rid1",
            "other",
            True,
        ),
        (
            404,
            "x" * 2000,
            {"x-oai-request-id": "oai"},
            f"unexpected status 404 Not Found: {'x' * 1000}..., url: {URL}, request id: oai",
            "other",
            True,
        ),
        (413, "big", {}, f"unexpected status 413 Payload Too Large: big, url: {URL}", "other", True),
        (
            401,
            {"error": {"message": f"  {'m' * 1200} "}},
            {"x-openai-authorization-error": "expired", "x-error-json": "eyJlcnJvciI6eyJjb2RlIjoiYyJ9fQ=="},
            f"unexpected status 401 Unauthorized: {'m' * 1200}, url: {URL}, auth error: expired, auth error code: c",
            "other",
            True,
        ),
        (400, {"error": {"code": "cyber_policy", "message": " "}}, {}, CYBER, "cyberPolicy", False),
        (
            429,
            "x",
            {"cf-ray": "r"},
            "exceeded retry limit, last status: 429 Too Many Requests, request id: r",
            MANY,
            False,
        ),
        (429, "x", {}, "exceeded retry limit, last status: 429 Too Many Requests", MANY, False),
        (
            429,
            {"error": {"message": "slow down"}},
            {"x-request-id": "rq"},
            "exceeded retry limit, last status: 429 Too Many Requests, request id: rq",
            MANY,
            False,
        ),
        (429, {"error": {"type": "usage_not_included"}}, {}, PLUS, "usageLimitExceeded", False),
        (500, "boom", {}, BUSY, "internalServerError", True),
        (502, "bad gw", {}, f"unexpected status 502 Bad Gateway: bad gw, url: {URL}", "other", True),
        (503, {"error": {"code": "server_is_overloaded"}}, {}, FULL, "serverOverloaded", False),
        (503, {"error": {"code": "slow_down"}}, {}, FULL, "serverOverloaded", False),
        (503, "out", {}, f"unexpected status 503 Service Unavailable: out, url: {URL}", "other", True),
        (599, "odd", {}, f"unexpected status 599 <unknown status code>: odd, url: {URL}", "other", True),
    ],
)
def test_answers(code: int, body: Any, headers: dict[str, str], message: str, info: Any, retried: bool) -> None:
    told = failure(code, body, headers)
    assert (told.message, told.info.wire(), told.retry is not None) == (message, info, retried)
    assert told.status == code


@pytest.mark.parametrize("body", ["[]", "null", '{"error": null}', '{"error": "x"}', '{"error": {"code": []}}', "\x00"])
@pytest.mark.parametrize("code", [400, 401, 429, 500, 503])
def test_strange_bodies_are_told_like_any_other(code: int, body: str) -> None:
    assert failure(code, body).status == code


@pytest.mark.parametrize("code", [400, 401, 429, 500, 503])
def test_bodies_that_are_no_text_too(code: int) -> None:
    body = b'{"error": {"message": "\xff"}}'
    assert status.failure(code, {}, body, "http://m", now=datetime.now(UTC)).status == code


@pytest.mark.parametrize(("code", "named"), [(401, 401), (502, 502), (500, None)])
def test_the_notice_of_a_retry_names_the_status_but_for_500(code: int, named: int | None) -> None:
    info = failure(code, "x").reconnect_info
    assert info.wire() == {"responseStreamDisconnected": {"httpStatusCode": named}}
    assert info.file() == {"response_stream_disconnected": {"http_status_code": named}}


CREDITS = "isit https://chatgpt.com/codex/settings/usage to purchase more credits or try again"
ADMIN = "To get more access now, send a request to your admin or try again"
UPGRADE = "Upgrade to Plus to continue using Codex (https://chatgpt.com/explore/plus), or try again"


@pytest.mark.parametrize(
    ("plan", "advice"),
    [
        ("free", UPGRADE),
        ("go", UPGRADE),
        ("plus", f"Upgrade to Pro (https://chatgpt.com/explore/pro), v{CREDITS}"),
        ("pro", f"V{CREDITS}"),
        ("prolite", f"V{CREDITS}"),
        ("team", ADMIN),
        ("business", ADMIN),
        ("self_serve_business_usage_based", ADMIN),
        ("enterprise_cbp_usage_based", ADMIN),
        ("enterprise", "Try again"),
        ("edu", "Try again"),
        ("some_future_plan", "Try again"),
        (None, "Try again"),
    ],
)
def test_a_used_up_plan(plan: object, advice: str) -> None:
    error = {"type": "usage_limit_reached", "plan_type": plan}
    later = failure(429, {"error": error})
    assert later.message == f"You've hit your usage limit. {advice} later."
    assert (later.info.wire(), later.retry, later.kind) == ("usageLimitExceeded", None, "limit")
    timed = failure(429, {"error": {**error, "resets_at": 1900000000}})
    assert timed.message == f"You've hit your usage limit. {advice} at Mar 17th, 2030 1:46 PM."


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (datetime(2026, 11, 22, 11, 48, tzinfo=UTC), "6:48 AM"),
        (datetime(2026, 11, 23, 4, 59, tzinfo=UTC), "11:59 PM"),
        (datetime(2026, 11, 23, 5, 0, tzinfo=UTC), "Nov 23rd, 2026 12:00 AM"),
        (datetime(2026, 12, 1, 17, 5, tzinfo=UTC), "Dec 1st, 2026 12:05 PM"),
        (datetime(2026, 12, 2, 17, 5, tzinfo=UTC), "Dec 2nd, 2026 12:05 PM"),
        (datetime(2027, 1, 11, 18, 5, tzinfo=UTC), "Jan 11th, 2027 1:05 PM"),
        (datetime(2027, 1, 12, 18, 5, tzinfo=UTC), "Jan 12th, 2027 1:05 PM"),
        (datetime(2027, 1, 13, 18, 5, tzinfo=UTC), "Jan 13th, 2027 1:05 PM"),
        (datetime(2030, 5, 14, 15, 0, tzinfo=UTC), "May 14th, 2030 11:00 AM"),
    ],
)
def test_local_times(moment: datetime, shown: str) -> None:
    assert status.reset_text(int(moment.timestamp()), now=NOW, zone=NEW_YORK) == shown


@pytest.mark.parametrize("odd", [{"resets_at": "soon"}, {"resets_at": 12.5}, {"resets_at": []}, {"plan_type": 7}])
def test_a_limit_told_in_wrong_types_is_any_429(odd: dict[str, object]) -> None:
    told = failure(429, {"error": {"type": "usage_limit_reached", **odd}})
    assert told.message == "exceeded retry limit, last status: 429 Too Many Requests"


@pytest.mark.parametrize("resets_at", [-5, 10**15, None])
def test_an_unusable_time_is_later(resets_at: object) -> None:
    told = failure(429, {"error": {"type": "usage_limit_reached", "resets_at": resets_at}})
    assert told.message == "You've hit your usage limit. Try again later."


def test_the_active_limit_names_itself_and_its_snapshot() -> None:
    headers = {
        "x-codex-active-limit": "codex_other",
        "x-codex-other-primary-used-percent": "100",
        "x-codex-other-limit-name": "gpt-sonic",
        "x-codex-primary-used-percent": "12.5",
        "x-codex-promo-message": "Buy!",
    }
    told = failure(429, {"error": {"type": "usage_limit_reached", "plan_type": "plus"}}, headers)
    assert told.message == (
        "You've hit your usage limit for gpt-sonic. Switch to another model now, or try again later."
    )
    assert told.rate_limits is not None
    assert (told.rate_limits.limit_id, told.rate_limits.limit_name) == ("codex_other", "gpt-sonic")


def test_a_promotion_goes_before_the_plan() -> None:
    headers = {"x-codex-promo-message": "  Buy more!  ", "x-codex-limit-name": "Codex"}
    told = failure(429, {"error": {"type": "usage_limit_reached", "plan_type": "plus"}}, headers)
    assert told.message == "You've hit your usage limit. Buy more!, or try again later."
    assert told.rate_limits is not None and told.rate_limits.limit_id == "codex"
