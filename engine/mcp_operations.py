"""MCP at work in a thread: the operations of its calls, and the servers' own questions to the user."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import msgspec

from engine.calls.mcp import CallMcp, KeepMcpApproval, ListMcp, McpAnswer, ReadMcp
from engine.config import ConfigError
from engine.mcp import approval, config, results
from engine.mcp.errors import McpFailed
from engine.mcp.server import Status
from engine.mcp.servers import CallFailure, Servers
from engine.turn.ops import Op
from engine.turn.replies import CallFailed
from projections import protocol as p
from rollouts import codec
from rollouts import events as ev

if TYPE_CHECKING:
    from engine.thread import Thread

logger = logging.getLogger(__name__)


class ThreadServers(Servers):
    """The servers of a thread, which tell its clients how they are and may ask them."""

    def __init__(self, thread: Thread) -> None:
        known = thread.settings.config
        super().__init__(config.servers(known), known.home, self)
        self._thread = thread
        self._questions: set[anyio.CancelScope] = set()
        """Those asked in the running turn."""
        self._held: list[ev.Body] | None = [] if any(each.config.required for each in self) else None

    def status(self, name: str, status: Status, error: str | None) -> None:
        """Let clients know; nobody listens yet to a thread that waits for the servers it requires."""
        update = ev.McpStartupUpdate(server=name, status=codec.open_json({"state": status, "error": error}))
        if self._held is not None:
            self._held.append(update)
            return
        self._tell(update)

    async def required(self) -> None:
        """Wait for the servers that the thread cannot do without.

        :raises McpFailed: naming those that failed
        """
        await super().required()
        held, self._held = self._held or [], None
        self._thread.tell(*held)

    def turn_over(self) -> None:
        """Whatever servers asked in the turn that has ended is withdrawn."""
        for question in self._questions:
            question.cancel()

    async def elicit(self, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the clients, if the settings of the running turn let servers ask at all.

        :raises McpFailed: clients could not be asked that
        """
        thread = self._thread
        turn_id = thread.overlay.open_turn_id
        try:
            question = approval.server_question(thread.id, turn_id, name, params)
        except msgspec.ValidationError as error:
            raise McpFailed(f"not a question: {error}") from error
        if approval.trusts_all(thread.turn_settings) and approval.asks_nothing(params):
            return {"action": "accept", "content": {}}
        if not approval.may_elicit(thread.turn_settings):
            return {"action": "decline"}
        answer = await self._asked(name, turn_id, question)
        return {"action": "cancel"} if answer is None else approval.server_answer(answer)

    async def _asked(
        self, name: str, turn_id: str | None, question: p.McpServerElicitationRequestParams
    ) -> p.McpServerElicitationRequestResponse | None:
        """The answer; None when the turn ended first."""
        thread = self._thread
        scope = anyio.CancelScope()
        if turn_id is not None:
            self._questions.add(scope)
        asked = ev.ElicitationRequest(turn_id=turn_id, server_name=name, id=name, request=codec.open_json(question))

        async def record() -> None:
            thread.record([asked])

        answer: p.McpServerElicitationRequestResponse | None = None
        try:
            with scope:
                await thread.ask(record)  # clients hear that the turn waits before they hear what for
                given = await thread.question("mcpServer/elicitation/request", question)
                assert isinstance(given, p.McpServerElicitationRequestResponse)
                answer = given
        finally:
            self._questions.discard(scope)
            if not scope.cancelled_caught:
                self._tell(ev.QuestionClosed(call_id=name))
        return answer

    def _tell(self, event: ev.Body) -> None:
        with suppress(anyio.ClosedResourceError):  # the thread is ending, nobody hears of it any more
            self._thread.tell(event)


async def _call(thread: Thread, op: CallMcp) -> McpAnswer:
    started = time.monotonic()

    def progress(message: str | None) -> None:
        if message is not None:
            thread.tell(ev.McpToolCallProgress(call_id=op.call_id, message=message))

    meta = {"x-codex-turn-metadata": msgspec.json.decode(thread.turn_metadata), "threadId": thread.id}
    try:
        answer = await thread.mcp.call(op.server, op.tool, op.arguments, meta, progress)
    except McpFailed as error:
        why = f"{error.summary}\n\nCaused by:\n    {error.why}" if isinstance(error, CallFailure) else error.text
        return McpAnswer(ev.McpResult(err=f"tool call error: {why}"), time.monotonic() - started)
    if "image" not in thread.turn_settings.info.input_modalities:
        answer = results.without_images(answer)
    return McpAnswer(results.result(answer), time.monotonic() - started)


async def _keep(thread: Thread, op: KeepMcpApproval) -> None:
    from engine.mcp.keep import keep_approval  # edits a file: rare, and heavy to import

    home = thread.turn_settings.config.home
    try:
        await anyio.to_thread.run_sync(keep_approval, home, op.server, op.tool)
    except ConfigError as error:
        logger.warning("%s; it holds for this session", error)


async def _list(thread: Thread, op: ListMcp) -> str:
    """The reference's form: each entry says which server it is of."""
    if op.server is None:
        listed = await thread.mcp.list_all(op.method, op.member)
        entries = [_entry(name, each) for name, of_server in listed.items() for each in of_server]
        return _json({op.member: entries})
    try:
        page = await thread.mcp.list_one(op.server, op.method, op.cursor)
    except McpFailed as error:
        raise CallFailed(f"{op.method} failed: {error.text}") from error
    told = {"server": op.server, op.member: [_entry(op.server, each) for each in page.get(op.member) or ()]}
    if page.get("nextCursor") is not None:
        told["nextCursor"] = page["nextCursor"]
    return _json(told)


async def _read(thread: Thread, op: ReadMcp) -> str:
    try:
        found = await thread.mcp.read(op.server, op.uri)
    except McpFailed as error:
        raise CallFailed(f"resources/read failed: {error.text}") from error
    return _json({"server": op.server, "uri": op.uri, **found})


def _entry(server: str, entry: object) -> dict[str, Any]:
    return {"server": server, **(entry if isinstance(entry, dict) else {})}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


MCP_OPERATIONS: Mapping[type[Op], Callable[[Thread, Any], Awaitable[object]]] = {
    CallMcp: _call,
    KeepMcpApproval: _keep,
    ListMcp: _list,
    ReadMcp: _read,
}
