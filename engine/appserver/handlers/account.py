"""`account/read` and `account/rateLimits/read`: who is signed in, as far as the stored credentials say, and how much is
left to them."""

from __future__ import annotations

from engine.appserver.dispatch import Context, Handler, Reply
from projections import protocol as p


async def read(ctx: Context, params: p.GetAccountParams) -> Reply:
    """The account of this home."""
    return Reply(ctx.engine.catalogs.account())


async def read_rate_limits(ctx: Context, params: None) -> Reply:
    """The rate limits of this account, fresh from its backend."""
    return Reply(await ctx.engine.catalogs.rate_limits())


HANDLERS: dict[str, Handler] = {"account/read": read, "account/rateLimits/read": read_rate_limits}
