"""`initialize`: who the client is and what it may use."""

from __future__ import annotations

from engine.appserver.connection import ClientInfo
from engine.appserver.dispatch import Context, Handler, Reply
from engine.errors import BadRequest
from engine.headers import header_value
from projections import protocol as p


async def initialize(ctx: Context, params: p.InitializeParams) -> Reply:
    """Answer with the server's identity; from then on the connection may send requests and hears notifications,
    start-up notices first.

    :raises BadRequest: when the connection is initialized already, or the name is no HTTP header value (it becomes
        the `originator` header of model requests).
    """
    connection, client = ctx.connection, params.client_info
    if connection.initialized:
        raise BadRequest("Already initialized")
    if not header_value(client.name):
        raise BadRequest(f"Invalid clientInfo.name: '{client.name}'. Must be a valid HTTP header value.")
    user_agent = ctx.engine.introduce(client.name, client.version)
    capabilities = params.capabilities or p.InitializeCapabilities()
    connection.client_info = ClientInfo(client.name, client.version, client.title)
    connection.experimental = capabilities.experimental_api
    connection.muted = frozenset(capabilities.opt_out_notification_methods or ())
    return Reply(
        p.InitializeResponse(
            user_agent=user_agent,
            codex_home=str(ctx.engine.home),
            platform_family="unix",
            platform_os="linux",
        ),
        lambda: ctx.engine.client_ready(connection.id),
    )


HANDLERS: dict[str, Handler] = {"initialize": initialize}
