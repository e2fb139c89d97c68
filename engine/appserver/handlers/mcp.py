"""`mcpServerStatus/list`, `mcpServer/*` and `config/mcpServer/reload`: MCP servers, asked by clients."""

from __future__ import annotations

from engine.appserver.dispatch import Context, Handler, Reply
from projections import protocol as p


async def status_list(ctx: Context, params: p.ListMcpServerStatusParams) -> Reply:
    """A page of servers with their tools and resources."""
    return Reply(await ctx.engine.mcp.status(params))


async def resource_read(ctx: Context, params: p.McpResourceReadParams) -> Reply:
    """A resource of a server."""
    return Reply(await ctx.engine.mcp.read(params))


async def tool_call(ctx: Context, params: p.McpServerToolCallParams) -> Reply:
    """A single call of a tool."""
    return Reply(await ctx.engine.mcp.call(params))


async def reload(ctx: Context, params: None) -> Reply:
    """Servers anew for all loaded threads."""
    ctx.engine.mcp.reload()
    return Reply({})


async def oauth_login(ctx: Context, params: p.McpServerOauthLoginParams) -> Reply:
    """The start of a login."""
    return Reply(await ctx.engine.mcp.login(params))


HANDLERS: dict[str, Handler] = {
    "mcpServerStatus/list": status_list,
    "mcpServer/resource/read": resource_read,
    "mcpServer/tool/call": tool_call,
    "config/mcpServer/reload": reload,
    "mcpServer/oauth/login": oauth_login,
}
