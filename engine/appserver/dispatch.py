"""From a request to its handler and back to one answer.

Order of checks: decode, initialized, capability, handler (wire.md, section 1). A handler is
``async def h(ctx: Context, params: P) -> Reply | Deferred``. It runs without interruption up to its first await, and
handlers begin in the order their requests arrived. The adapter translates; what a request means is decided in the
engine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from engine.appserver import messages, wording
from engine.appserver.connection import Connection
from engine.appserver.errors import log, rpc_error
from engine.appserver.subscriptions import Clients
from engine.errors import BadRequest
from engine.wording import unknown_variant

if TYPE_CHECKING:
    from engine.host import Host

After = Callable[[], None]


class Reply(msgspec.Struct, frozen=True):
    """The answer of a handler: a published type or a plain object.

    ``after`` runs as soon as the answer is queued, with nothing in between: what it sends follows the answer.
    """

    result: object
    after: After | None = None


class Deferred(msgspec.Struct, frozen=True):
    """The handler returns, the answer comes later through its ``ctx.responder``."""


class Responder:
    """The one answer of one request, queued at the moment it is given."""

    def __init__(self, connection: Connection, request_id: messages.RequestId, done: Callable[[], None]) -> None:
        self._connection = connection
        self._request_id = request_id
        self._done = done
        self.answered = False

    def reply(self, result: object, after: After | None = None) -> None:
        """Answer with a result, then run ``after``.

        :raises RuntimeError: when the request was answered before.
        """
        self._send(messages.result(self._request_id, result))
        try:
            if after:
                after()
        finally:
            self._done()

    def fail(self, error: Exception) -> None:
        """Answer with an error.

        :raises RuntimeError: when the request was answered before.
        """
        told = rpc_error(error)
        self._send(messages.failure(self._request_id, told.code, told.message, told.data))
        self._done()

    def _send(self, message: bytes) -> None:
        if self.answered:
            raise RuntimeError(f"request {self._request_id!r} was answered twice")
        self.answered = True
        self._connection.send(message)


class Context:
    """What a handler sees besides its params: the asking connection, the engine and its subscriptions."""

    def __init__(self, engine: Any, clients: Clients, connection: Connection, request_id: messages.RequestId) -> None:
        self.engine: Host = engine
        self.connection = connection
        self._clients = clients
        self._joined: list[str] = []
        connection.open_requests += 1
        self.responder = Responder(connection, request_id, self._finish)

    def subscribe(self, thread_id: str) -> None:
        """Let this connection follow a thread. Its open questions are sent once the request is answered."""
        self._clients.subscribe(self.connection, thread_id)
        self._joined.append(thread_id)

    def unsubscribe(self, thread_id: str) -> bool:
        """End it; False when this connection did not follow the thread."""
        return self._clients.unsubscribe(self.connection, thread_id)

    def forget(self, thread_id: str) -> None:
        """The thread was unloaded: no connection follows it any more."""
        self._clients.forget(thread_id)

    def _finish(self) -> None:
        self.connection.open_requests -= 1
        for thread_id in self._joined:
            self._clients.repeat_questions(self.connection, thread_id)


Handler = Callable[[Context, Any], Awaitable[Reply | Deferred]]


class Method(msgspec.Struct, frozen=True):
    """One method of the protocol.

    :param params: the published type of its params, a Struct or a union of them; None when it takes none.
    :param handler: None while the server does not offer the method.
    :param experimental: the whole method needs the capability.
    :param gated_fields: fields that need it: attribute of the params -> the name errors call it by.
    :param gated_types: values that need it wherever they occur: their type -> the name errors call them by.
    :param aliases: other spellings of params members, translated before decoding: received -> published.
    """

    name: str
    params: Any
    handler: Handler | None
    experimental: bool = False
    gated_fields: Mapping[str, str] = {}
    gated_types: Mapping[type, str] = {}
    aliases: Mapping[str, str] = {}

    def decode(self, raw: msgspec.Raw) -> msgspec.Struct | None:
        """The typed params of a request.

        :raises BadRequest: in the reference's words.
        """
        text = bytes(raw)
        if self.params is None:
            wording.check_unit(text)
            return None
        if not text or text == b"null":
            raise BadRequest("Invalid request: missing field `params`")
        if text.startswith(b"[") and isinstance(self.params, type):
            text = wording.by_name(text, self.params)
        if self.aliases:
            text = _translate(text, self.aliases)
        try:
            params: msgspec.Struct = _decoder(self.params).decode(text)
            return params
        except ValueError as error:  # bytes that are no text too
            raise BadRequest(f"Invalid request: {wording.explain(text, self.params, error)}") from None

    def check_capability(self, params: msgspec.Struct | None, connection: Connection) -> None:
        """Refuse what needs the experimental capability on a connection without it.

        :raises BadRequest: naming the method or the field. An empty value counts as use, null and false do not.
        """
        if connection.experimental:
            return
        if needed := self._gated(params):
            raise BadRequest(f"{needed} requires experimentalApi capability")

    def _gated(self, params: msgspec.Struct | None) -> str | None:
        if self.experimental:
            return self.name
        if params is None:
            return None
        for attribute, descriptor in self.gated_fields.items():
            if getattr(params, attribute) not in _UNUSED:
                return f"{self.name}.{descriptor}"
        values = [params, *(getattr(params, name) for name in params.__struct_fields__)]
        return next((self.gated_types[type(v)] for v in values if type(v) in self.gated_types), None)


_UNUSED = (None, False, msgspec.UNSET)


@cache
def _decoder(params: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(params)


def _translate(text: bytes, aliases: Mapping[str, str]) -> bytes:
    """Params with aliased members under their published names; a published name that is there wins."""
    if not any(f'"{alias}"'.encode() in text for alias in aliases):
        return text
    try:
        members = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except ValueError:
        return text
    for alias, name in aliases.items():
        if alias in members:
            members.setdefault(name, members.pop(alias))
    return msgspec.json.encode(members)


class Dispatcher:
    """Serves the requests of all connections.

    :param methods: by name, in the protocol's order; aliases map to the method they stand for.
    """

    def __init__(self, methods: Mapping[str, Method], clients: Clients, engine: Any) -> None:
        self._methods = methods
        self._clients = clients
        self._engine = engine

    def begin(self, connection: Connection, request_id: messages.RequestId) -> Context:
        """Register a request as open; :meth:`serve` answers it."""
        return Context(self._engine, self._clients, connection, request_id)

    async def serve(self, ctx: Context, request: messages.Incoming) -> None:
        """Serve one request to the end; never raises for the request's sake."""
        try:
            outcome = await self._call(ctx, request)
            if isinstance(outcome, Reply):
                ctx.responder.reply(outcome.result, outcome.after)
        except Exception as error:
            if ctx.responder.answered:
                log.error("bug: %s failed after its answer", request.method, exc_info=error)
            else:
                ctx.responder.fail(error)

    async def _call(self, ctx: Context, request: messages.Incoming) -> Reply | Deferred:
        method = self._find(str(request.method))
        params = method.decode(request.params)
        if not ctx.connection.initialized and method.name != "initialize":
            raise BadRequest("Not initialized")
        method.check_capability(params, ctx.connection)
        if method.handler is None:
            raise BadRequest(f"`{method.name}` is not supported by this server yet")
        return await method.handler(ctx, params)

    def _find(self, name: str) -> Method:
        if method := self._methods.get(name):
            return method
        known = [m for m, method in self._methods.items() if m == method.name]
        raise BadRequest(f"Invalid request: {unknown_variant(name, known)}")
