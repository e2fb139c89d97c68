"""Clients on websockets, one JSON message per text frame; probes and refusals of the HTTP side (wire.md, section 6).

A client that does not read is cut off when its outbox overflows; the others never notice.
"""

from __future__ import annotations

import http
import ipaddress
import socket
import sys

import anyio
from anyio.abc import TaskStatus
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from engine.appserver.connection import Connection
from engine.appserver.errors import log
from engine.appserver.server import Server
from engine.appserver.transports.auth import Guard
from engine.errors import StartupError, os_reason

MAX_MESSAGE = 64 << 20
PROBES = ("/readyz", "/healthz")
GOODBYE = 2.0


class Websocket:
    """The websocket listener.

    :param host: an IP address.
    :param port: 0 for any free port; the banner names it.
    :param guard: decides who may connect.
    :raises StartupError: when the address cannot be bound.
    """

    def __init__(self, host: str, port: int, guard: Guard) -> None:
        self._guard = guard
        self._loopback = ipaddress.ip_address(host).is_loopback
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family, backlog=128)
        except OSError as error:
            raise StartupError(os_reason(error)) from None

    @property
    def port(self) -> int:
        """The port it is bound to."""
        return int(self._socket.getsockname()[1])

    async def __call__(self, server: Server, *, task_status: TaskStatus[None]) -> None:
        """See :class:`engine.appserver.server.Listener`."""

        async def client(socket: ServerConnection) -> None:
            await _serve_client(server, socket)

        listener = await serve(
            client,
            sock=self._socket,
            process_request=self._admit,
            compression=None,
            max_size=MAX_MESSAGE,
            ping_interval=None,
            close_timeout=1,
            server_header=None,
        )
        try:
            self._print_banner()
            task_status.started()
            await anyio.sleep_forever()
        finally:
            with anyio.move_on_after(GOODBYE, shield=True):
                listener.close()
                await listener.wait_closed()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """The answer to a request that is no acceptable upgrade, or None to go on with the handshake."""
        if "Origin" in request.headers:
            return _response(http.HTTPStatus.FORBIDDEN)
        if request.path.partition("?")[0] in PROBES:
            return _response(http.HTTPStatus.OK)
        if fault := _not_an_upgrade(request.headers):
            return _response(http.HTTPStatus.BAD_REQUEST, fault)
        if refusal := self._guard(request.headers.get("Authorization")):
            return _response(http.HTTPStatus.UNAUTHORIZED, refusal)
        return None

    def _print_banner(self) -> None:
        host, port = self._socket.getsockname()[:2]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        note = "binds localhost only (use SSH port-forwarding for remote access)"
        if not self._loopback:
            note = "websocket auth is opt-in; configure `--ws-auth ...` before real remote use"
        print(
            f"codex app-server (WebSockets)\n  listening on: ws://{address}\n  readyz: http://{address}/readyz\n"
            f"  healthz: http://{address}/healthz\n  note: {note}",
            file=sys.stderr,
            flush=True,
        )


#: Header of an upgrade, what it must contain, and the text of the refusal.
_UPGRADE_RULES = (
    ("Connection", "upgrade", "Connection header did not include 'upgrade'"),
    ("Upgrade", "websocket", "`Upgrade` header did not include 'websocket'"),
    ("Sec-WebSocket-Key", "", "`Sec-WebSocket-Key` header missing"),
    ("Sec-WebSocket-Version", "13", "`Sec-WebSocket-Version` header did not include '13'"),
)


def _not_an_upgrade(headers: Headers) -> str | None:
    for name, wanted, fault in _UPGRADE_RULES:
        values = headers.get_all(name)
        if not values or not any(wanted in value.lower() for value in values):
            return fault
    return None


def _response(status: http.HTTPStatus, text: str = "") -> Response:
    body = text.encode()
    headers = Headers({"Content-Length": str(len(body)), "Connection": "close"})
    if text:
        headers["Content-Type"] = "text/plain; charset=utf-8"
    return Response(status.value, status.phrase, headers, body)


async def _serve_client(server: Server, client: ServerConnection) -> None:
    connection = server.connect(local=False)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_write, connection, client)
            tasks.start_soon(_cut_off_when_slow, connection, client)
            try:
                async for message in client:
                    if isinstance(message, str):
                        await server.receive(connection, message)
            except ConnectionClosed:
                pass  # a client may leave without a word
            tasks.cancel_scope.cancel()
    finally:
        server.disconnect(connection)


async def _write(connection: Connection, client: ServerConnection) -> None:
    try:
        while batch := await connection.outbox.take():
            while batch:  # what was sent is not held while waiting for more
                await client.send(batch.pop(0), text=True)
    except ConnectionClosed:
        connection.outbox.abandon()


async def _cut_off_when_slow(connection: Connection, client: ServerConnection) -> None:
    """End a connection whose outbox overflowed. Its socket is full, so there is no room for a close frame."""
    await connection.outbox.overflow.wait()
    log.warning("connection %d does not read its messages; closed", connection.id)
    client.transport.abort()
