"""What a model is offered, and that what it is offered is what is served. Lists and shapes are the reference's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from engine import settings as configured
from engine.calls import asking, commands, image, offers, patch, plan, shell
from engine.calls.schemas import accepted, refusal
from engine.calls.specs import tool_specs
from engine.errors import BadRequest
from engine.mcp.servers import Servers
from engine.settings import Settings
from projections import protocol as p

Json = dict[str, Any]
REST = ["update_plan", "request_user_input", "apply_patch", "web_search", "view_image"]
FULL = ["exec_command", "write_stdin", *REST]
NO_PATCH = [name for name in FULL if name != "apply_patch"]


class NoServers:
    """A thread without MCP servers."""

    any = False

    def specs(self) -> list[msgspec.Raw]:
        return []


def made(home: Path, flags: Mapping[str, object], turn: Mapping[str, object] | None = None, **start: Any) -> Settings:
    """Settings of a turn; the model is gpt-5.4 and commands run unconfined unless said otherwise."""
    flags = {"model": "gpt-5.4", "model_provider": "demo", "sandbox_mode": "danger-full-access", **flags}
    params = msgspec.convert({"cwd": str(home), **start}, p.ThreadStartParams)
    settings = configured.start(params, configured.configure(home, flags, params, home), "tests")
    given = msgspec.convert({"threadId": "t", "input": [], **(turn or {})}, p.TurnStartParams)
    return configured.with_turn(settings, given, home)


def offered(settings: Settings) -> list[Json]:
    return [json.loads(bytes(spec)) for spec in tool_specs(settings, cast("Servers", NoServers()))]


def names(settings: Settings) -> list[str]:
    return [str(spec.get("name", spec["type"])) for spec in offered(settings)]


def one(settings: Settings, name: str) -> Json:
    (found,) = [spec for spec in offered(settings) if spec.get("name", spec["type"]) == name]
    return found


@pytest.mark.parametrize(
    ("flags", "turn", "expected"),
    [
        ({}, {}, FULL),
        ({"model": "gpt-5.1-codex"}, {}, NO_PATCH),
        ({"model": "gpt-5.1-codex", "features.apply_patch_freeform": True}, {}, FULL),
        ({"features.unified_exec": False}, {}, ["shell_command", *REST]),
        ({"features.unified_exec": False, "model": "gpt-5.1-codex"}, {}, ["shell", *NO_PATCH[2:]]),
        ({"features.shell_tool": False}, {}, REST),
        ({"web_search": "disabled"}, {}, [name for name in FULL if name != "web_search"]),
        ({}, {"environments": []}, ["update_plan", "request_user_input", "web_search"]),
        ({"features.unified_exec": False}, {"environments": []}, ["update_plan", "request_user_input", "web_search"]),
    ],
    ids=repr,
)
def test_which_tools_in_which_order(tmp_path: Path, flags: Json, turn: Json, expected: list[str]) -> None:
    assert names(made(tmp_path, flags, turn)) == expected


@pytest.mark.parametrize(
    ("flags", "turn", "refused"),
    [
        ({}, {}, set()),
        ({"model": "gpt-5.1-codex"}, {}, {"apply_patch"}),
        ({"features.unified_exec": False}, {}, {"exec_command", "write_stdin"}),
        (
            {"features.shell_tool": False},
            {},
            {"exec_command", "write_stdin", "shell_command", "shell", "container.exec", "local_shell"},
        ),
        (
            {},
            {"environments": []},
            {
                "exec_command",
                "write_stdin",
                "shell_command",
                "shell",
                "container.exec",
                "local_shell",
                "apply_patch",
                "view_image",
            },
        ),
    ],
    ids=repr,
)
def test_which_calls_are_unsupported(tmp_path: Path, flags: Json, turn: Json, refused: set[str]) -> None:
    settings = made(tmp_path, flags, turn)
    assert {name for name in offers._SERVED if not offers.served(name, settings)} == refused


@pytest.mark.parametrize("model", ["gpt-5.5", "gpt-5.4", "gpt-5.4-mini", "gpt-5.3-codex", "gpt-5.2", "gpt-5.1-codex"])
@pytest.mark.parametrize("flags", [{}, {"features.unified_exec": False}, {"features.shell_tool": False}], ids=repr)
@pytest.mark.parametrize("turn", [{}, {"environments": []}], ids=repr)
def test_what_is_offered_is_served(tmp_path: Path, model: str, flags: Json, turn: Json) -> None:
    settings = made(tmp_path, {**flags, "model": model}, turn)
    assert all(offers.served(name, settings) for name in offers.listed(settings))


ARGUMENTS: Mapping[str, tuple[type[msgspec.Struct], Json]] = {
    "exec_command": (commands.ExecCommandArgs, {}),
    "write_stdin": (commands.WriteStdinArgs, {}),
    "shell_command": (shell.ShellCommandToolCallParams, {"features.unified_exec": False}),
    "shell": (shell.ShellToolCallParams, {"features.unified_exec": False, "model": "gpt-5.1-codex"}),
    "update_plan": (plan.UpdatePlanArgs, {}),
    "request_user_input": (asking.RequestUserInputArgs, {}),
    "view_image": (image.ViewImageArgs, {}),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_what_is_offered_is_what_is_decoded(tmp_path: Path, name: str) -> None:
    kind, flags = ARGUMENTS[name]
    spec = one(made(tmp_path, flags), name)
    schema = spec["parameters"]
    assert (spec["type"], spec["strict"], schema["additionalProperties"]) == ("function", False, False)
    fields = msgspec.structs.fields(kind)
    assert set(schema["properties"]) <= {field.name for field in fields}
    assert schema["required"] == [field.name for field in fields if field.required]


def test_a_patch_is_free_text_in_a_grammar(tmp_path: Path) -> None:
    spec = one(made(tmp_path, {}), "apply_patch")
    assert (spec["type"], spec["format"]["type"], spec["format"]["syntax"]) == ("custom", "grammar", "lark")
    for marker in ("*** Begin Patch", "*** Add File: ", "*** Move to: ", "*** End of File", "%import common.LF"):
        assert marker in spec["format"]["definition"]


def test_a_model_without_free_text_gets_a_function(tmp_path: Path) -> None:
    settings = made(tmp_path, {})
    info = msgspec.structs.replace(settings.info, apply_patch_tool_type="function")
    spec = one(msgspec.structs.replace(settings, info=info), "apply_patch")
    assert (spec["type"], spec["parameters"]["required"]) == ("function", ["input"])
    fields = msgspec.structs.fields(patch.ApplyPatchToolArgs)
    assert set(spec["parameters"]["properties"]) == {field.name for field in fields}


def test_detail_is_for_models_that_take_it(tmp_path: Path) -> None:
    assert set(one(made(tmp_path, {}), "view_image")["parameters"]["properties"]) == {"path", "detail"}
    old = made(tmp_path, {"model": "gpt-5.2"})
    assert set(one(old, "view_image")["parameters"]["properties"]) == {"path"}


@pytest.mark.parametrize(
    ("flags", "live"),
    [
        ({}, True),
        ({"web_search": "cached"}, True),
        ({"sandbox_mode": "read-only"}, False),
        ({"sandbox_mode": "workspace-write"}, False),
        ({"sandbox_mode": "read-only", "web_search": "live"}, True),
        ({"sandbox_mode": "read-only", "features.web_search_request": True}, True),
        ({"sandbox_mode": "read-only", "features.web_search_cached": True}, False),
        ({"sandbox_mode": "read-only", "web_search": "cached", "features.web_search_request": True}, False),
    ],
    ids=repr,
)
def test_search_reaches_the_web_where_commands_do(tmp_path: Path, flags: Json, live: bool) -> None:
    found = {"type": "web_search", "external_web_access": live, "search_content_types": ["text", "image"]}
    assert one(made(tmp_path, flags), "web_search") == found


def test_search_as_configured(tmp_path: Path) -> None:
    flags = {
        "model": "gpt-5.2",
        "tools.web_search.context_size": "high",
        "tools.web_search.allowed_domains": ["a.example"],
        "tools.web_search.location.country": "US",
    }
    assert one(made(tmp_path, flags), "web_search") == {
        "type": "web_search",
        "external_web_access": True,
        "filters": {"allowed_domains": ["a.example"]},
        "user_location": {"type": "approximate", "country": "US"},
        "search_context_size": "high",
    }


def tool(name: str, namespace: str | None = None, **more: Any) -> Json:
    space = {"namespace": namespace} if namespace is not None else {}
    return {"name": name, "description": "d", "inputSchema": {"type": "object"}, **space, **more}


@pytest.mark.parametrize(
    ("flags", "deferred", "searches"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"features.tool_search": False}, True, False),
        ({"model": "unknown"}, True, False),
    ],
)
def test_a_model_that_can_search_is_told_so_when_there_is_something_to_find(
    tmp_path: Path, flags: Json, deferred: bool, searches: bool
) -> None:
    specs = offered(made(tmp_path, flags, dynamicTools=[tool("x", "n", deferLoading=deferred)]))
    kinds = [spec.get("name", spec["type"]) for spec in specs]
    assert ("tool_search" in kinds) is searches
    if searches:
        assert kinds.index("tool_search") == kinds.index("request_user_input") + 1


def test_tools_of_the_client_come_last_with_namespaces_together(tmp_path: Path) -> None:
    given = [tool("x", "b"), tool("x", "a"), tool("q"), tool("y", "b"), tool("z", "b", deferLoading=True)]
    found = offered(made(tmp_path, {}, dynamicTools=given))[len(FULL) + len(["tool_search"]) :]

    def entry(name: str) -> Json:
        empty = {"type": "object", "properties": {}}
        return {"type": "function", "name": name, "description": "d", "strict": False, "parameters": empty}

    def space(name: str, *tools: Json) -> Json:
        described = f"Tools in the {name} namespace."
        return {"type": "namespace", "name": name, "description": described, "tools": list(tools)}

    assert found == [space("b", entry("x"), entry("y")), space("a", entry("x")), entry("q")]


@pytest.mark.parametrize(
    ("tools", "reason"),
    [
        ([tool("")], "dynamic tool name must not be empty"),
        ([tool(" x")], "dynamic tool name has leading/trailing whitespace:  x"),
        ([tool("mcp")], "dynamic tool name is reserved: mcp"),
        ([tool("mcp__x")], "dynamic tool name is reserved: mcp__x"),
        ([tool("x", "mcp__a")], "dynamic tool namespace is reserved for x: mcp__a"),
        ([tool("x", "")], "dynamic tool namespace must not be empty for x"),
        ([tool("x"), tool("x")], "duplicate dynamic tool name: x"),
        ([tool("x", "n"), tool("x", "n")], "duplicate dynamic tool name in namespace n: x"),
        ([tool("x", deferLoading=True)], "deferred dynamic tool must include a namespace: x"),
        (
            [tool("x", inputSchema=3)],
            "dynamic tool input schema is not supported for x: invalid type: integer `3`, expected struct JsonSchema",
        ),
        (
            [tool("x", inputSchema={"type": "null"})],
            "dynamic tool input schema is not supported for x: tool input schema must not be a singleton null type",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_tools_a_client_may_not_offer(tmp_path: Path, tools: list[Json], reason: str) -> None:
    with pytest.raises(BadRequest) as refused:
        made(tmp_path, {}, dynamicTools=tools)
    assert refused.value.message == reason


OBJECT = {"type": "object", "properties": {}}
STRING = {"type": "string"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (True, STRING),
        ({}, STRING),
        ({"type": "object"}, OBJECT),
        ({"type": "array"}, {"type": "array", "items": STRING}),
        ({"type": "string", "minLength": 2, "default": "x", "title": "T"}, STRING),
        ({"type": ["object", "null"]}, {"type": ["object", "null"], "properties": {}}),
        ({"type": "weird"}, STRING),
        ({"enum": [1, 2]}, {"type": "string", "enum": [1, 2]}),
        ({"const": "a"}, {"type": "string", "enum": ["a"]}),
        ({"required": ["a"]}, {**OBJECT, "required": ["a"]}),
        ({"properties": {"a": {"items": True}}}, {**OBJECT, "properties": {"a": {"type": "array", "items": STRING}}}),
        ({"multipleOf": 2}, {"type": "number"}),
        ({"prefixItems": [{}]}, {"type": "array", "items": STRING}),
        ({"anyOf": [{"const": 1}, False]}, {"anyOf": [{"type": "string", "enum": [1]}, STRING]}),
        ({"oneOf": [STRING]}, STRING),
        ({"additionalProperties": {"a": 1}}, {**OBJECT, "additionalProperties": STRING}),
    ],
    ids=json.dumps,
)
def test_schemas_as_the_model_api_takes_them(given: object, expected: Json) -> None:
    assert accepted(given) == expected
    assert accepted(expected) == expected
    assert refusal(given) is None


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"type": "object", "properties": 3}, "invalid type: integer `3`, expected a map"),
        ({"properties": {"a": {"required": "a"}}}, 'invalid type: string "a", expected a sequence'),
        ({"properties": {"a": {"enum": 3}}}, "invalid type: integer `3`, expected a sequence"),
        ({"description": 3}, "invalid type: integer `3`, expected a string"),
        ([], "invalid length 0, expected struct JsonSchema with 8 elements"),
    ],
    ids=str,
)
def test_schemas_that_make_no_sense(given: object, reason: str) -> None:
    assert refusal(given) == reason
