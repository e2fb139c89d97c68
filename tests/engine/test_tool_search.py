"""Deferred tools of clients are found by what they are called and said to do (tried on the reference)."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from engine.calls.tool_search import search
from engine.turn.replies import CallFailed
from rollouts import events as ev


def tool(name: str, description: str, *members: str, namespace: str = "n", deferred: bool = True) -> ev.DynamicToolSpec:
    schema = msgspec.json.encode({"type": "object", "properties": {member: {"type": "string"} for member in members}})
    return ev.DynamicToolSpec(
        namespace=namespace,
        name=name,
        description=description,
        input_schema=msgspec.Raw(schema),
        defer_loading=deferred,
    )


TOOLS = (
    tool("get_weather", "Weather of a city", "city"),
    tool("listTickets", "All open tickets", "project"),
    tool("forecast", "Weather of the next days: the weather, hour by hour, and the tides", namespace="m"),
    tool("weather_map", "Known already", deferred=False),
)


def found(arguments: Any) -> list[dict[str, Any]]:
    script = search(TOOLS, msgspec.Raw(json.dumps(arguments).encode()))
    try:
        next(script)
    except StopIteration as stop:
        return [json.loads(bytes(entry)) for entry in stop.value]
    raise AssertionError("a search does not wait")


def names(arguments: Any) -> list[str]:
    return [each["name"] for space in found(arguments) for each in space["tools"]]


def test_an_entry_says_that_it_was_deferred() -> None:
    assert found({"query": "ticket"}) == [
        {
            "type": "namespace",
            "name": "n",
            "description": "Tools in the n namespace.",
            "tools": [
                {
                    "type": "function",
                    "name": "listTickets",
                    "description": "All open tickets",
                    "strict": False,
                    "defer_loading": True,
                    "parameters": {"type": "object", "properties": {"project": {"type": "string"}}},
                }
            ],
        }
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"query": "weather"}, ["get_weather", "forecast"]),
        ({"query": "weather", "limit": 1}, ["get_weather"]),
        ({"query": "TIDES"}, ["forecast"]),
        ({"query": "project"}, ["listTickets"]),
        ({"query": "weather", "limit": 0}, []),
        ({"query": ""}, []),
        ({"query": "music"}, []),
    ],
)
def test_the_best_come_first_and_what_does_not_fit_at_all_is_left_out(arguments: Any, expected: list[str]) -> None:
    assert names(arguments) == expected


@pytest.mark.parametrize("arguments", [{}, {"query": 3}, [], None])
def test_bad_arguments_are_refused(arguments: Any) -> None:
    with pytest.raises(CallFailed, match=r"^failed to parse tool_search arguments: "):
        found(arguments)


def test_without_deferred_tools_nothing_is_found() -> None:
    with pytest.raises(StopIteration) as stop:
        next(search((), msgspec.Raw(b'{"query":"x"}')))
    assert stop.value.value == ()
