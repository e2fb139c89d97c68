"""MCP tools in a request to the model, and what the model gets back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.mcp import results
from engine.mcp.naming import Named
from engine.mcp.specs import namespaces
from engine.mcp.tools import Hints, Tool, resource_uri
from rollouts import events as ev


def tool(name: str, schema: Any, server: str = "s", description: str | None = None) -> Tool:
    named = Named(server, name, f"mcp__{server}__", name)
    return Tool(
        named=named,
        title=None,
        description=description,
        input_schema=schema,
        hints=Hints(),
        resource_uri=None,
        mode="auto",
    )


def test_a_server_is_one_namespace_with_its_tools() -> None:
    """Recorded: the description is what the server says of itself, if it says something."""
    tools = [tool("a", {"type": "object"}), tool("b", {"type": "object"}, description="B"), tool("c", {}, server="t")]
    first, second = (msgspec.json.decode(entry) for entry in namespaces(tools, {"s": "use me well", "t": ""}))
    assert {key: first[key] for key in ("type", "name", "description")} == {
        "type": "namespace",
        "name": "mcp__s__",
        "description": "use me well",
    }
    assert first["tools"][0] == {
        "type": "function",
        "name": "a",
        "description": "",
        "strict": False,
        "parameters": {"type": "object", "properties": {}},
    }
    assert first["tools"][1]["description"] == "B"
    assert second["description"] == "Tools in the mcp__t__ namespace."


@pytest.mark.parametrize(
    ("meta", "uri"),
    [
        ({"ui": {"resourceUri": "ui://a"}}, "ui://a"),
        ({"ui/resourceUri": "ui://b"}, "ui://b"),
        ({"ui": {"resourceUri": "ui://a"}, "ui/resourceUri": "ui://b"}, "ui://a"),
        ({"ui": {}}, None),
        ({"ui": {"resourceUri": 3}}, None),
        (None, None),
    ],
)
def test_a_tool_may_name_the_resource_that_shows_its_results(meta: Any, uri: str | None) -> None:
    assert resource_uri(meta) == uri


FRAME = "Wall time: 0.0100 seconds\nOutput:"
IMAGE = {"type": "image", "data": "AAAA", "mimeType": "image/png"}


@pytest.mark.parametrize(
    ("answer", "output"),
    [
        ({"content": [{"type": "text", "text": "é"}]}, FRAME + '\n[{"type":"text","text":"é"}]'),
        ({"content": [], "structuredContent": {"a": 1}}, FRAME + '\n{"a":1}'),
        ({"content": [IMAGE], "structuredContent": {"a": 1}}, FRAME + '\n{"a":1}'),
        ({"content": [{"type": "text", "text": "no"}], "isError": True}, FRAME + '\n[{"type":"text","text":"no"}]'),
        ({"content": None}, FRAME + "\n[]"),
    ],
)
def test_the_model_reads_structured_content_or_the_content(answer: dict[str, Any], output: str) -> None:
    assert results.output(results.result(answer), 0.01) == output


def test_images_are_shown_to_the_model() -> None:
    """Recorded: what is neither text nor image comes as JSON."""
    link = {"type": "resource_link", "uri": "test://a", "name": "a"}
    answer = {"content": [{"type": "text", "text": "see"}, IMAGE, link]}
    assert results.output(results.result(answer), 0.01) == (
        ev.InputText(FRAME),
        ev.InputText("see"),
        ev.InputImage("data:image/png;base64,AAAA", detail="high"),
        ev.InputText('{"type":"resource_link","uri":"test://a","name":"a"}'),
    )


def test_a_model_that_cannot_see_is_told_so() -> None:
    output = results.output(results.result(results.without_images({"content": [IMAGE]})), 0.01)
    assert output == f'{FRAME}\n[{{"type":"text","text":"{results.NO_IMAGES}"}}]'


def test_a_failed_call_has_the_form_of_a_result() -> None:
    assert results.output(ev.McpResult(err="why"), 0.01) == FRAME + '\n[{"type":"text","text":"why"}]'
