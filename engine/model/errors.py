"""What goes wrong between us and a model, told by what a stream says: constructors of `ModelFailure` (the
type is the turn's, `engine.turn.replies`) and the table of codes that a `response.failed` may carry. It never
talks to a network, never waits and never decides to retry (it only says whether and when a retry makes sense;
the turn decides). HTTP statuses become failures in `engine.model.status`.

The texts are those that clients of the protocol match on (models-and-limits 2, turns 7)."""

import re
from typing import Final

from engine.turn.replies import OTHER, ErrorInfo, Kind, ModelFailure, Retry

BAD_REQUEST: Final = ErrorInfo("bad_request")
CONTEXT_WINDOW: Final = ErrorInfo("context_window_exceeded")
CYBER_POLICY: Final = ErrorInfo("cyber_policy")
INTERNAL_SERVER: Final = ErrorInfo("internal_server_error")
OVERLOADED: Final = ErrorInfo("server_overloaded")
USAGE_LIMIT: Final = ErrorInfo("usage_limit_exceeded")

CYBER_TEXT: Final = "This request has been flagged for possible cybersecurity risk."
OVERLOADED_CODES: Final = frozenset({"server_is_overloaded", "slow_down"})
OVERLOADED_TEXT: Final = "Selected model is at capacity. Please try a different model."
USAGE_NOT_INCLUDED_TEXT: Final = (
    "To use Codex with your ChatGPT plan, upgrade to Plus: https://chatgpt.com/explore/plus."
)

_FULL = (
    "Codex ran out of room in the model's context window. Start a new thread or clear earlier history before retrying."
)
_FATAL: Final[dict[str, tuple[str | None, ErrorInfo, Kind]]] = {
    "context_length_exceeded": (_FULL, CONTEXT_WINDOW, "context_window"),
    "insufficient_quota": ("Quota exceeded. Check your plan and billing details.", USAGE_LIMIT, "limit"),
    "usage_not_included": (USAGE_NOT_INCLUDED_TEXT, USAGE_LIMIT, "limit"),
    "invalid_prompt": (None, OTHER, "stream"),
    "cyber_policy": (None, CYBER_POLICY, "stream"),
    **dict.fromkeys(OVERLOADED_CODES, (OVERLOADED_TEXT, OVERLOADED, "stream")),
}
_TRY_AGAIN: Final = re.compile(r"try again in\s*(\d+(?:\.\d+)?)\s*(ms|s|seconds?)\b", re.IGNORECASE)


def disconnected(cause: str, *, kind: Kind = "stream", delay: float | None = None) -> ModelFailure:
    """The stream or connection broke off; worth another attempt."""
    return ModelFailure(f"stream disconnected before completion: {cause}", OTHER, kind=kind, retry=Retry(delay))


def response_failed(code: str | None, message: str | None) -> ModelFailure:
    """What a `response.failed` with this error code and message means (turns 7)."""
    if code in _FATAL:
        text, info, kind = _FATAL[code]
        return ModelFailure(text or _told(code, message), info, kind=kind)
    delay = try_again_in(message or "") if code == "rate_limit_exceeded" else None
    return disconnected(message or "", delay=delay)


def cyber_text(message: str | None) -> str:
    """What a refusal over cyber security says; a blank text says nothing."""
    return message if message and message.strip() else CYBER_TEXT


def response_incomplete(reason: str | None) -> ModelFailure:
    """What a `response.incomplete` means: retried like a broken stream."""
    return disconnected(f"Incomplete response returned, reason: {'unknown' if reason is None else reason}")


def try_again_in(message: str) -> float | None:
    """Seconds named by a text such as `Please try again in 300ms`."""
    found = _TRY_AGAIN.search(message)
    if found is None:
        return None
    return float(found[1]) / (1000 if found[2].lower() == "ms" else 1)


def backoff(attempt: int, jitter: float) -> float:
    """Seconds to wait before retry number `attempt` (from 1): 0.2 * 2^(n-1), times `jitter` from 0.9 to
    1.1."""
    return float(0.2 * 2 ** (max(attempt, 1) - 1) * jitter)


def _told(code: str, message: str | None) -> str:
    if code == "cyber_policy":
        return cyber_text(message)
    return "Invalid request." if message is None else message
