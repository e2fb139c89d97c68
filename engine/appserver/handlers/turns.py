"""`turn/start`, `turn/steer`, `turn/interrupt`."""

from __future__ import annotations

from engine.appserver.dispatch import Context, Deferred, Handler, Reply
from engine.appserver.handlers.threads import client
from projections import protocol as p


async def start(ctx: Context, params: p.TurnStartParams) -> Reply:
    """A turn; it begins when the answer is out."""
    turn_id, begin = ctx.engine.turns.start(params)
    turn = p.Turn(id=turn_id, items=[], status="inProgress")
    return Reply(p.TurnStartResponse(turn=turn), begin)


async def steer(ctx: Context, params: p.TurnSteerParams) -> Reply:
    """More input for the running turn."""
    return Reply(p.TurnSteerResponse(turn_id=await ctx.engine.turns.steer(params)))


async def interrupt(ctx: Context, params: p.TurnInterruptParams) -> Deferred:
    """End the running turn; the answer comes when it has ended."""
    responder = ctx.responder
    ctx.engine.turns.interrupt(params, lambda: responder.reply({}))
    return Deferred()


async def compact(ctx: Context, params: p.ThreadCompactStartParams) -> Reply:
    """Sum up the history and go on with the summary."""
    return Reply({}, ctx.engine.turns.compact(params))


async def shell(ctx: Context, params: p.ThreadShellCommandParams) -> Reply:
    """Run a command of the user."""
    return Reply({}, ctx.engine.turns.shell(params))


async def clean_terminals(ctx: Context, params: p.ThreadBackgroundTerminalsCleanParams) -> Reply:
    """End the background commands of a thread."""
    return Reply({}, ctx.engine.turns.clean_terminals(params))


async def review(ctx: Context, params: p.ReviewStartParams) -> Reply:
    """A review, on this thread or on a fork of it."""
    review = await ctx.engine.reviews.start(params, client(ctx))
    if review.forked is not None:
        ctx.subscribe(review.response.review_thread_id)
        ctx.engine.sink.publish(review.forked)
    return Reply(review.response, review.begin)


HANDLERS: dict[str, Handler] = {
    "turn/start": start,
    "turn/steer": steer,
    "turn/interrupt": interrupt,
    "thread/compact/start": compact,
    "thread/shellCommand": shell,
    "review/start": review,
    "thread/backgroundTerminals/clean": clean_terminals,
}
