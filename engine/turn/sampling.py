"""One model reply: ask for it, turn its stream into events, ask again when the connection breaks.

A retried request starts from the recorded history: items completed before the break stay, a half-streamed
message is not recorded and its item never completes (spec turns 7).
"""

from __future__ import annotations

from engine.turn.call import run_calls
from engine.turn.machine import Run, Script, Turn
from engine.turn.ops import FallBack, Sample, Wait
from engine.turn.replies import ModelFailure, TurnFailed
from engine.turn.setup import TurnSetup
from engine.turn.stream import Reply
from projections import usage
from rollouts import events as ev

FIRST_RETRY_SECONDS = 0.2


def sample(turn: Turn, setup: TurnSetup) -> Script:
    """Get one complete reply; returns the text of its last assistant message, if any."""
    retries, metadata = 0, turn.client_metadata
    while True:
        reply = Reply(turn, setup)
        try:
            yield Run(Sample(turn.id, metadata, turn.turn_state), reply.take)
            yield from reply.settled()
        except ModelFailure as failure:
            yield from reply.settled()
            if failure.kind == "context_window" and setup.context_window is not None:
                turn.count(usage.after_context_exceeded(turn.usage, setup.context_window))
            if failure.rate_limits is not None:
                turn.count(usage.after_headers(turn.usage, failure.rate_limits))
            yield from run_calls(turn)
            retries = yield from again(turn, setup, failure, retries)
        else:
            return reply.last_message


def again(turn: Turn, setup: TurnSetup, failure: ModelFailure, retries: int) -> Script:
    """See to another attempt after `retries` retries; the result is the new count of them.

    When they are used up and websockets were tried, HTTP gets its chance, with retries of its own.

    :raises TurnFailed: another attempt is pointless, or there were enough.
    """
    limit = setup.stream_max_retries
    if failure.retry is None or (retries == limit and not failure.fallback):
        raise TurnFailed(failure.message, failure.info) from failure
    if retries == limit:
        turn.emit(ev.Warning(message=f"Falling back from WebSockets to HTTPS transport. {failure.message}"))
        yield Run(FallBack())
        return 0
    retries += 1
    if retries > 1 or not failure.fallback:  # connections go stale between turns: nobody needs to know
        turn.emit(_reconnecting(failure, retries, limit))
    yield Run(Wait(failure.retry.delay or FIRST_RETRY_SECONDS * 2 ** (retries - 1) * next(turn.jitter)))
    return retries


def _reconnecting(failure: ModelFailure, attempt: int, limit: int) -> ev.StreamError:
    """What clients hear before another attempt."""
    return ev.StreamError(
        message=f"Reconnecting... {attempt}/{limit}",
        codex_error_info=failure.reconnect_info.file(),
        additional_details=failure.message,
    )
