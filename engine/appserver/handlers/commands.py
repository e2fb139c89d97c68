"""`command/exec` and what belongs to it: commands of a client, without a thread."""

from __future__ import annotations

import anyio

from engine.appserver.connection import Connection
from engine.appserver.dispatch import Context, Handler, Reply
from projections import protocol as p

BEHIND = 8 << 20
"""Bytes that may wait for a client before its commands have to wait too."""


class _Client:
    """A connection as the engine's commands see it."""

    def __init__(self, connection: Connection) -> None:
        self.id = connection.id
        self.notify = connection.notify
        self._outbox = connection.outbox

    @property
    def gone(self) -> bool:
        """Whether the connection was closed."""
        return self._outbox.closed

    async def caught_up(self) -> None:
        """Wait until little of what was queued is left. A connection that is gone never gets there."""
        while self._outbox.size > BEHIND:
            await anyio.sleep(0.01)


async def run(ctx: Context, params: p.CommandExecParams) -> Reply:
    """Run a command; the answer comes when it has ended."""
    return Reply(await ctx.engine.commands.run(_Client(ctx.connection), params))


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
