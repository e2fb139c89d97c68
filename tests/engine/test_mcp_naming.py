"""What the model calls MCP tools: the reference's names, hashes included."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from engine.mcp.naming import MAX_LENGTH, qualify

LONG = "a-very-long-server-name-that-goes-on-and-on-and-on-forever"
TEXTS = st.text(st.characters(codec="ascii", categories=("L", "N", "P")), min_size=1, max_size=80)


def test_characters_outside_of_the_alphabet_become_underscores() -> None:
    [tool] = qualify([("my-srv", "bad-tool.x")])
    assert (tool.namespace, tool.name) == ("mcp__my_srv__", "bad_tool_x")
    assert (tool.server, tool.tool) == ("my-srv", "bad-tool.x")


def test_servers_that_would_share_a_namespace_get_a_hash() -> None:
    """Recorded: my-srv and my_srv side by side."""
    names = {tool.server: tool.namespace for tool in qualify([("my-srv", "echo"), ("my_srv", "echo"), ("other", "x")])}
    assert names == {
        "my-srv": "mcp__my_srv_79813405777f__",
        "my_srv": "mcp__my_srv_bf53429e5aac__",
        "other": "mcp__other__",
    }


def test_what_is_too_long_is_cut_to_make_room_for_a_hash() -> None:
    """Recorded, with a namespace that leaves no room for the tool's own name."""
    [tool] = qualify([(LONG, "echo")])
    assert (tool.namespace, tool.name) == ("mcp__a_very_long_server_name_that_goes_on_and_on_an", "_fdded2dff8b9")


def test_a_long_tool_keeps_the_start_of_its_name() -> None:
    [tool] = qualify([("s", "t" * 80)])
    assert tool.namespace == "mcp__s__"
    assert re.fullmatch(r"t+_[0-9a-f]{12}", tool.name) and len(tool.namespace + tool.name) == MAX_LENGTH


def test_two_tools_of_one_name_both_get_a_hash() -> None:
    names = [tool.name for tool in qualify([("s", "a.b"), ("s", "a-b")])]
    assert len(set(names)) == 2 and all(re.fullmatch(r"a_b_[0-9a-f]{12}", name) for name in names)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=12))
def test_every_tool_has_one_valid_name_of_its_own(tools: list[tuple[str, str]]) -> None:
    named = qualify(tools)
    assert sorted((each.server, each.tool) for each in named) == sorted(set(tools))
    called = [(each.namespace, each.name) for each in named]
    assert len(set(called)) == len(called) and called == sorted(called)
    for namespace, name in called:
        assert re.fullmatch(r"[A-Za-z0-9_]+", namespace + name) and len(namespace + name) <= MAX_LENGTH
