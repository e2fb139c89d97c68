"""Calls of MCP tools, and our own tools that look at the resources of MCP servers (spec tools 6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from engine.calls.json_reader import NotJson, position, read
from engine.mcp import approval, results
from engine.mcp.tools import Tool
from engine.turn.machine import Run, Script, Turn
from engine.turn.ops import Ask, Op, Wait
from engine.turn.replies import CallFailed
from engine.wording import fault
from projections import protocol as p
from rollouts import codec
from rollouts import events as ev

if TYPE_CHECKING:
    from engine.calls.toolbox import Toolbox

T = TypeVar("T")

_NULL = msgspec.Raw(b"null")
_NONE = msgspec.Raw(b"[]")
"""A list of arguments may leave out all that are optional."""
_UNREADABLE = "failed to parse function arguments: "

LOOK_UP_SECONDS = 0.01
"""The reference takes some milliseconds to look a tool up before it shows the call, so that clients hear first of a
reply that ends right behind the call; ours gives the end of the reply the same time."""

OURS = "codex"
"""Name of the server that our own tools are shown under when they ask all servers."""


class CallMcp(Op, frozen=True, kw_only=True):
    """Call a tool of a server. Result: `McpAnswer`."""

    turn_id: str
    call_id: str
    server: str
    tool: str
    arguments: msgspec.Raw | None


class McpAnswer(msgspec.Struct, frozen=True):
    """What came of a call, and how many seconds it took."""

    result: ev.McpResult
    seconds: float


class KeepMcpApproval(Op, frozen=True):
    """Never ask about this tool again: write it to the configuration. Result: None."""

    server: str
    tool: str


class ListMcp(Op, frozen=True):
    """List what servers have. Result: JSON text. Error: `CallFailed`.

    :param server: None for all servers, which takes no cursor
    """

    method: str
    member: str
    server: str | None
    cursor: str | None


class ReadMcp(Op, frozen=True):
    """Read a resource. Result: JSON text. Error: `CallFailed`."""

    server: str
    uri: str


def call_tool(box: Toolbox, turn: Turn, call: ev.FunctionCall, tool: Tool) -> Script:
    """Call a tool of a server, if need be after asking."""
    started = turn.now
    found = yield from _called(box, turn, call, tool)
    return results.output(found, (turn.now - started).total_seconds())


def _called(box: Toolbox, turn: Turn, call: ev.FunctionCall, tool: Tool) -> Script:
    try:
        arguments = _arguments(call.arguments)
    except NotJson as broken:
        return ev.McpResult(err=f"err: {broken}")
    yield Run(Wait(LOOK_UP_SECONDS))
    shown = _Shown(turn, call, tool.server, tool.name, arguments, tool.resource_uri)
    refused = None
    if approval.must_ask(tool, box.settings) and (tool.server, tool.name) not in box.mcp.remembered:
        refused = yield from _ask(box, turn, call, tool, arguments, shown)
    if refused is not None:
        return refused
    answer: McpAnswer = yield Run(
        CallMcp(turn_id=turn.id, call_id=call.call_id, server=tool.server, tool=tool.name, arguments=arguments)
    )
    shown.end(answer.result, answer.seconds)
    return answer.result


def _ask(
    box: Toolbox, turn: Turn, call: ev.FunctionCall, tool: Tool, arguments: msgspec.Raw | None, shown: _Shown
) -> Script:
    """Ask whether the tool may be called; the result of the call if it may not."""
    decoded = None if arguments is None else msgspec.json.decode(arguments)
    question = approval.call_question(box.thread_id, turn.id, tool, decoded)
    turn.emit(
        ev.ElicitationRequest(
            turn_id=turn.id, server_name=tool.server, id=call.call_id, request=codec.open_json(question)
        )
    )
    answer: p.McpServerElicitationRequestResponse = yield Run(Ask("mcpServer/elicitation/request", question))
    turn.emit(ev.Approval(turn_id=turn.id, call_id=call.call_id, kind="mcp", decision=answer.action, decided_by="user"))
    if answer.action != "accept":
        refused = ev.McpResult(err=approval.REJECTED if answer.action == "decline" else approval.CANCELLED)
        shown.end(refused, 0.0)
        turn.emit(ev.QuestionClosed(call_id=call.call_id))
        return refused
    turn.emit(ev.QuestionClosed(call_id=call.call_id))
    kept = approval.persistence(answer, tool)
    if kept is not None:
        box.mcp.remembered.add((tool.server, tool.name))
    if kept == "always":
        yield Run(KeepMcpApproval(tool.server, tool.name))
    return None


class _Shown:
    """The item of a call as clients see it."""

    def __init__(
        self,
        turn: Turn,
        call: ev.FunctionCall,
        server: str,
        tool: str,
        arguments: msgspec.Raw | None,
        resource_uri: str | None = None,
    ) -> None:
        self._turn = turn
        self._tool = f"{server}/{tool}"
        invocation = ev.McpInvocation(server=server, tool=tool, arguments=arguments or msgspec.Raw(b"null"))
        self._about: dict[str, Any] = {
            "call_id": call.call_id,
            "invocation": invocation,
            "mcp_app_resource_uri": resource_uri,
        }
        turn.emit(ev.McpToolCallBegin(**self._about))

    def end(self, result: ev.McpResult, seconds: float) -> None:
        """It is over."""
        ok = result.ok
        failed = isinstance(ok, msgspec.UnsetType) or ok.is_error is True
        duration = ev.Duration.of_seconds(seconds)
        self._turn.emit(ev.McpToolCallEnd(**self._about, duration=duration, result=result))
        self._turn.emit(
            ev.ToolRun(
                turn_id=self._turn.id,
                call_id=self._about["call_id"],
                tool=self._tool,
                status="failed" if failed else "completed",
                duration_ms=round(seconds * 1000),
            )
        )


def _arguments(text: str) -> msgspec.Raw | None:
    """The arguments in compact form; None when the model gave none.

    :raises NotJson: naming the place
    """
    if not text.strip():
        return None
    try:
        return msgspec.Raw(msgspec.json.encode(msgspec.json.decode(text)))
    except (msgspec.DecodeError, RecursionError):
        data = text.encode()
        try:
            read(data)
        except NotJson as broken:
            raise NotJson(f"{broken.message} at {position(data, broken.at)}", broken.at) from None
        raise


# -- resources


class ListResourcesArgs(msgspec.Struct, frozen=True):
    """Arguments of the listings; blank ones count as absent. Texts for the model name the type."""

    server: str | None = None
    cursor: str | None = None


class ReadResourceArgs(msgspec.Struct, frozen=True):
    """Arguments of `read_mcp_resource`."""

    server: str
    uri: str


def list_resources(box: Toolbox, turn: Turn, call: ev.FunctionCall) -> Script:
    """List the resources of one server or of all."""
    return (yield from _list(turn, call, "resources/list", "resources"))


def list_resource_templates(box: Toolbox, turn: Turn, call: ev.FunctionCall) -> Script:
    """List the resource templates of one server or of all."""
    return (yield from _list(turn, call, "resources/templates/list", "resourceTemplates"))


def read_resource(box: Toolbox, turn: Turn, call: ev.FunctionCall) -> Script:
    """Read one resource."""
    arguments = _checked(call)
    if arguments in (None, _NULL):
        raise CallFailed(f"{_UNREADABLE}expected value")
    given = _typed(arguments, ReadResourceArgs)
    server, uri = given.server.strip(), given.uri.strip()
    for name, value in (("server", server), ("uri", uri)):
        if not value:
            raise CallFailed(f"{name} must be provided")
    shown = _Shown(turn, call, server, call.name, arguments)
    return (yield from _looked(turn, shown, ReadMcp(server, uri)))


def _list(turn: Turn, call: ev.FunctionCall, method: str, member: str) -> Script:
    arguments = _checked(call)
    given = ListResourcesArgs() if arguments in (None, _NULL, _NONE) else _typed(arguments, ListResourcesArgs)
    server, cursor = _filled(given.server), _filled(given.cursor)
    shown = _Shown(turn, call, server or OURS, call.name, arguments)
    if server is None and cursor is not None:
        text = "cursor can only be used when a server is specified"
        shown.end(ev.McpResult(err=text), 0.0)
        raise CallFailed(text)
    return (yield from _looked(turn, shown, ListMcp(method, member, server, cursor)))


def _checked(call: ev.FunctionCall) -> msgspec.Raw | None:
    try:
        return _arguments(call.arguments)
    except NotJson as broken:
        raise CallFailed(f"{_UNREADABLE}{broken}") from broken


def _typed(arguments: msgspec.Raw | None, kind: type[T]) -> T:
    value = msgspec.json.decode(arguments or _NULL)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        found = fault(kind, value)
        raise CallFailed(f"{_UNREADABLE}{found.message if found else error}") from error


def _looked(turn: Turn, shown: _Shown, op: Op) -> Script:
    started = turn.now
    try:
        text: str = yield Run(op)
    except CallFailed as failed:
        shown.end(ev.McpResult(err=failed.text), (turn.now - started).total_seconds())
        raise
    shown.end(results.text_result(text), (turn.now - started).total_seconds())
    return text


RESOURCE_TOOLS: Mapping[str, Callable[[Toolbox, Turn, ev.FunctionCall], Script]] = {
    "list_mcp_resources": list_resources,
    "list_mcp_resource_templates": list_resource_templates,
    "read_mcp_resource": read_resource,
}


def _filled(text: str | None) -> str | None:
    return (text or "").strip() or None
