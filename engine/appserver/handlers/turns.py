"""`turn/start`, `turn/steer`, `turn/interrupt`."""

from __future__ import annotations

from engine.appserver.dispatch import Context, Deferred, Handler, Reply
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


HANDLERS: dict[str, Handler] = {
    "turn/start": start,
    "turn/steer": steer,
    "turn/interrupt": interrupt,
    "thread/compact/start": compact,
}
