"""`command/exec` and what belongs to it: commands of a client, without a thread."""

from __future__ import annotations

from engine.appserver.dispatch import Context, Handler, Reply
from projections import protocol as p


async def run(ctx: Context, params: p.CommandExecParams) -> Reply:
    """Run a command; the answer comes when it has ended."""
    return Reply(await ctx.engine.commands.run(ctx.connection.id, params, ctx.connection.notify))


async def write(ctx: Context, params: p.CommandExecWriteParams) -> Reply:
    """Input for a running command."""
    await ctx.engine.commands.write(ctx.connection.id, params)
    return Reply({})


async def resize(ctx: Context, params: p.CommandExecResizeParams) -> Reply:
    """Another size for its terminal."""
    ctx.engine.commands.resize(ctx.connection.id, params)
    return Reply({})


async def terminate(ctx: Context, params: p.CommandExecTerminateParams) -> Reply:
    """Its end."""
    ctx.engine.commands.terminate(ctx.connection.id, params)
    return Reply({})


HANDLERS: dict[str, Handler] = {
    "command/exec": run,
    "command/exec/write": write,
    "command/exec/resize": resize,
    "command/exec/terminate": terminate,
}
