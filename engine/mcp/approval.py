"""May an MCP tool be called, may a server ask the user: decisions and questions. Pure (spec tools 6, observed).

A tool asks by what its server says of its effects, unless the configuration says otherwise. The user is asked by an
elicitation, as if the server had done it; `_meta` tells clients that it is about a call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from engine.mcp.tools import Hints, Tool
from engine.settings import Settings
from projections import protocol as p


class _Field(msgspec.Struct):
    """What a form may ask for: single values, or some of a list."""

    type: Literal["string", "number", "integer", "boolean", "array"]
    format: Literal["email", "uri", "date", "date-time"] | None = None


REJECTED = "user rejected MCP tool call"
CANCELLED = "user cancelled MCP tool call"


def must_ask(tool: Tool, settings: Settings) -> bool:
    """Whether somebody has to allow a call of this tool."""
    if tool.mode == "approve" or trusts_all(settings):
        return False
    return tool.mode == "prompt" or has_effects(tool.hints)


def trusts_all(settings: Settings) -> bool:
    """Nobody is ever asked and nothing is fenced in: then calls need no asking either."""
    free = p.DangerFullAccessSandboxPolicy | p.ExternalSandboxSandboxPolicy
    return settings.approval_policy == "never" and isinstance(settings.sandbox, free)


def has_effects(hints: Hints) -> bool:
    """What is not said to be harmless may do harm or reach out."""
    if hints.destructive_hint:
        return True
    if hints.read_only_hint:
        return False
    return hints.destructive_hint is not False or hints.open_world_hint is not False


def may_elicit(settings: Settings) -> bool:
    """Whether servers may ask the user at all."""
    policy = settings.approval_policy
    return policy != "never" if isinstance(policy, str) else policy.granular.mcp_elicitations


def call_question(thread_id: str, turn_id: str, tool: Tool, arguments: object) -> p.McpServerElicitationRequestParams:
    """The question whether a tool may be called; what is to be remembered can be chosen unless it always asks."""
    meta: dict[str, Any] = {"codex_approval_kind": "mcp_tool_call"}
    if tool.mode == "auto":
        meta["persist"] = ["session", "always"]
    if tool.title is not None:
        meta["tool_title"] = tool.title
    if tool.description is not None:
        meta["tool_description"] = tool.description
    if arguments is not None:
        meta["tool_params"] = arguments
    if isinstance(arguments, dict):
        meta["tool_params_display"] = [
            {"name": name, "value": arguments[name], "display_name": name} for name in sorted(arguments)
        ]
    return p.FormMcpServerElicitationRequestParams(
        thread_id=thread_id,
        turn_id=turn_id,
        server_name=tool.server,
        meta=meta,
        message=f'Allow the {tool.server} MCP server to run tool "{tool.name}"?',
        requested_schema=p.McpElicitationSchema(type="object", properties={}),
    )


def persistence(answer: p.McpServerElicitationRequestResponse, tool: Tool) -> str | None:
    """For how long a yes is meant to hold: `session`, `always`, or None for this once."""
    chosen = answer.meta.get("persist") if isinstance(answer.meta, dict) else None
    return chosen if tool.mode == "auto" and chosen in ("session", "always") else None


def server_question(
    thread_id: str, turn_id: str | None, server: str, params: Mapping[str, Any]
) -> p.McpServerElicitationRequestParams:
    """What a server asks, as clients are asked it.

    :raises msgspec.ValidationError: it asks for something the protocol does not have
    """
    meta = params.get("_meta")
    if isinstance(meta, dict):  # what only the transport needs is not for clients
        meta = {key: value for key, value in meta.items() if key != "progressToken"} or None
    told: dict[str, Any] = {
        "mode": params.get("mode", "form"),
        "threadId": thread_id,
        "turnId": turn_id,
        "serverName": server,
        "_meta": meta,
        "message": params.get("message"),
    }
    told |= {key: params[key] for key in ("requestedSchema", "url", "elicitationId") if key in params}
    question: p.McpServerElicitationRequestParams = msgspec.convert(told, p.McpServerElicitationRequestParams)
    if isinstance(question, p.FormMcpServerElicitationRequestParams):
        fields = question.requested_schema.properties
        msgspec.convert(fields, dict[str, _Field])
        for field in fields.values():
            if field["type"] == "number":  # clients are told its bounds as fractions
                field.update({key: float(field[key]) for key in ("minimum", "maximum") if key in field})
    return question


def asks_nothing(params: Mapping[str, Any]) -> bool:
    """A form without fields: only consent is asked for."""
    schema = params.get("requestedSchema")
    return params.get("mode", "form") == "form" and isinstance(schema, dict) and not schema.get("properties")


def server_answer(answer: p.McpServerElicitationRequestResponse) -> dict[str, Any]:
    """The result of `elicitation/create`; with a yes there is always content."""
    result: dict[str, Any] = {"action": answer.action}
    if answer.action == "accept":
        result["content"] = {} if answer.content is None else answer.content
    if answer.meta is not None:
        result["_meta"] = answer.meta
    return result
