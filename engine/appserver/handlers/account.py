"""`account/read`: who is signed in, as far as the stored credentials say."""

from __future__ import annotations

from engine.appserver.dispatch import Context, Handler, Reply
from projections import protocol as p


async def read(ctx: Context, params: p.GetAccountParams) -> Reply:
    """The account of this home."""
    return Reply(ctx.engine.catalogs.account())


HANDLERS: dict[str, Handler] = {"account/read": read}
