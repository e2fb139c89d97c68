"""Compaction: the history is summed up by the model and replaced (spec compaction).

The same script serves a turn of its own, the start of a regular turn and the place between two replies. The machine
holds no history: what the new one is, is worked out by an operation and comes back as the `compacted` line.
"""

from __future__ import annotations

import msgspec

from engine.turn.ending import abort, complete, fail
from engine.turn.machine import Interrupted, Run, Script, Turn
from engine.turn.ops import Op
from engine.turn.replies import ModelFailure, TurnFailed
from engine.turn.sampling import again
from engine.turn.setup import TurnSetup, open_turn
from engine.turn.stream import Summary
from projections import usage
from rollouts import events as ev

LONG_THREADS = (
    "Heads up: Long threads and multiple compactions can cause the model to be less accurate. Start a new thread when "
    "possible to keep threads small and targeted."
)


class Summarise(Op, frozen=True):
    """Ask a model for a summary of the history without its oldest `drop` items. Progress: stream events.

    Error: `ModelFailure`, or `TooLong` if it is worth dropping another one.
    """

    turn_id: str
    model: str
    drop: int
    client_metadata: dict[str, str] | None = None


class TooLong(Exception):
    """The history does not fit the model's window, and there is still something in it that can be left out."""


class CompactRemotely(Op, frozen=True):
    """Let the provider compact the history; mid-turn it carries the context itself.

    Result: `Rewritten`. Error: `ModelFailure`.
    """

    turn_id: str
    model: str
    mid_turn: bool


class Rewrite(Op, frozen=True):
    """Work out the history that a summary leaves; mid-turn it carries the context itself. Result: `Rewritten`."""

    summary: str
    mid_turn: bool


class Measure(Op, frozen=True):
    """How large the context is by now. Result: tokens, an estimate where the model has not counted."""


class Rewritten(msgspec.Struct, frozen=True):
    """The line that replaces the history, and the estimated tokens of the new one."""

    line: ev.Compacted
    tokens: int


def compact_turn(turn: Turn, setup: TurnSetup) -> Script:
    """A turn that only compacts."""
    open_turn(turn, setup)
    try:
        yield from compact(turn, setup, mid_turn=False)
    except Interrupted as interruption:
        abort(turn, interruption.reason)
    except TurnFailed as failure:
        fail(turn, failure)
    else:
        turn.first_token_ms = None
        complete(turn, None)


def compact(turn: Turn, setup: TurnSetup, *, mid_turn: bool) -> Script:
    """Replace the history.

    :raises TurnFailed: the model gives no summary; the history stays as it is.
    """
    item = ev.ContextCompactionItem(id=next(turn.ids))
    turn.emit(ev.ItemStarted(thread_id=setup.thread_id, turn_id=turn.id, item=item))
    if setup.remote_compaction:
        rewritten = yield from _remote(turn, setup, mid_turn)
    else:
        summary = yield from _summary(turn, setup)
        rewritten = yield Run(Rewrite(summary, mid_turn))
    turn.emit(rewritten.line)
    if mid_turn:
        turn.emit(setup.context)
    turn.count(usage.after_estimate(turn.usage, rewritten.tokens, setup.context_window))
    turn.emit(ev.ItemCompleted(thread_id=setup.thread_id, turn_id=turn.id, item=item))
    turn.emit(ev.ContextCompacted())
    if not setup.remote_compaction:
        turn.emit(ev.Warning(message=LONG_THREADS))


def _summary(turn: Turn, setup: TurnSetup) -> Script:
    """The model's summary; if the history is too long even for that, without its oldest items."""
    drop = retries = 0
    while True:
        reply = Summary(turn, setup)
        try:
            yield Run(Summarise(turn.id, setup.model, drop, turn.client_metadata), reply.take)
        except TooLong:
            drop, retries = drop + 1, 0
        except ModelFailure as failure:
            if failure.kind == "context_window" and setup.context_window is not None:
                turn.count(usage.after_context_exceeded(turn.usage, setup.context_window))
            retries = yield from again(turn, setup, failure, retries)
        else:
            return reply.text


def _remote(turn: Turn, setup: TurnSetup, mid_turn: bool) -> Script:
    try:
        return (yield Run(CompactRemotely(turn.id, setup.model, mid_turn)))
    except ModelFailure as failure:
        raise TurnFailed(f"Error running remote compact task: {failure.message}", failure.info) from failure
