"""Which script serves a call, and which calls may run side by side (tried on the reference)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from engine.calls.toolbox import Toolbox
from engine.mcp.servers import Servers
from engine.turn.machine import CallItem, Turn
from engine.turn.replies import CallFailed
from rollouts import events as ev
from tests.engine.test_specs import NoServers, made


class NoTools(NoServers):
    def find(self, namespace: str | None, name: str) -> None:
        return None


def box(home: Path, flags: dict[str, object] | None = None, **start: Any) -> Toolbox:
    settings = made(home, flags or {}, **start)
    return Toolbox("t", settings, cast("Any", None), "/bin/bash", cast("Servers", NoTools()))


def function(name: str, namespace: str | None = None) -> ev.FunctionCall:
    return ev.FunctionCall(name=name, arguments="{}", call_id="c", namespace=namespace)


def custom(name: str) -> ev.CustomToolCall:
    return ev.CustomToolCall(name=name, input="", call_id="c")


def served(toolbox: Toolbox, item: CallItem) -> object:
    """The output of a call that needs nothing from outside."""
    try:
        next(toolbox.serve(cast("Turn", None), item))
    except StopIteration as stop:
        return stop.value
    except CallFailed as failure:
        return failure.text
    raise AssertionError("the call waits for something")


DYNAMIC = [{"name": "mine", "description": "", "inputSchema": {"type": "object"}}]


@pytest.mark.parametrize("name", ["exec_command", "write_stdin", "update_plan", "shell", "mine"])
def test_a_function_called_as_a_custom_tool_says_nothing(tmp_path: Path, name: str) -> None:
    assert served(box(tmp_path, dynamicTools=DYNAMIC), custom(name)) is None


@pytest.mark.parametrize("name", ["nope", "list_mcp_resources", ""])
def test_a_custom_tool_that_there_is_not_is_named(tmp_path: Path, name: str) -> None:
    assert served(box(tmp_path), custom(name)) == f"unsupported custom tool call: {name}"


@pytest.mark.parametrize("namespace", ["", "functions"])
def test_our_own_tools_are_in_no_namespace_not_even_in_one_without_a_name(tmp_path: Path, namespace: str) -> None:
    text = f"unsupported call: {namespace}exec_command"
    assert served(box(tmp_path), function("exec_command", namespace)) == text


@pytest.mark.parametrize(
    ("name", "alone"),
    [
        ("exec_command", False),
        ("view_image", False),
        ("write_stdin", True),
        ("update_plan", True),
        ("shell", True),
        ("shell_command", True),
        ("mine", True),
        ("nope", True),
    ],
)
def test_what_looks_or_starts_programs_may_run_beside_the_same(tmp_path: Path, name: str, alone: bool) -> None:
    assert box(tmp_path, dynamicTools=DYNAMIC).parallel(function(name)) is not alone


def test_a_shell_tool_runs_beside_others_where_the_model_is_told_of_it(tmp_path: Path) -> None:
    toolbox = box(tmp_path, {"features.unified_exec": False})
    assert [toolbox.parallel(function(name)) for name in ("shell_command", "shell", "exec_command")] == [
        True,
        False,
        False,
    ]


def test_the_shell_item_of_a_model_is_not_served_where_there_are_no_commands(tmp_path: Path) -> None:
    item = ev.LocalShellCall(call_id="c", status="completed", action=ev.LocalShellAction(command=("ls",)))
    assert served(box(tmp_path, {"features.shell_tool": False}), item) == "unsupported call: local_shell"


def test_patches_run_alone(tmp_path: Path) -> None:
    assert not box(tmp_path).parallel(custom("apply_patch"))


@pytest.mark.parametrize(("path", "meant"), [(None, ""), ("", ""), ("sub", "/sub"), ("./a/../b", "/b")])
def test_paths_of_the_model_start_from_the_folder_of_the_turn(tmp_path: Path, path: str | None, meant: str) -> None:
    assert box(tmp_path).place(path) == f"{tmp_path}{meant}"


def test_paths_of_the_model_know_the_home_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert [box(tmp_path).place(path) for path in ("~", "~/x", "/x")] == ["/home/me", "/home/me/x", "/x"]
