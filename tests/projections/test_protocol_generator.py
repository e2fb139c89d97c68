"""The generator writes exactly what is checked in, and reads the reference's own output as it should."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tools.protocol import typescript as ts
from tools.protocol.__main__ import main
from tools.protocol.areas import assign
from tools.protocol.emit import package
from tools.protocol.model import Alias, Builder, Struct, camel, snake
from tools.protocol.vendor import vendor


def test_what_is_checked_in_is_what_the_generator_writes() -> None:
    assert main(["--check"]) == 0


def test_a_change_by_hand_is_found_and_undone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], target=tmp_path) == 0
    (tmp_path / "turn.py").write_text("changed")
    (tmp_path / "extra.py").write_text("")
    assert main(["--check"], target=tmp_path) == 1
    assert "turn.py" in capsys.readouterr().err
    assert main([], target=tmp_path) == 0
    assert main(["--check"], target=tmp_path) == 0


@pytest.mark.parametrize(
    ("wire", "attribute"),
    [
        ("threadId", "thread_id"),
        ("text_elements", "text_elements"),
        ("mcpAppResourceUri", "mcp_app_resource_uri"),
        ("_meta", "meta"),
        ("$schema", "schema_"),
        ("async", "async_"),
    ],
)
def test_attributes_are_snake_case(wire: str, attribute: str) -> None:
    assert snake(wire) == attribute


def test_class_names_come_from_tags() -> None:
    assert [camel(tag) for tag in ("userMessage", "glob_pattern", "item/tool/call")] == [
        "UserMessage",
        "GlobPattern",
        "ItemToolCall",
    ]


def declare(name: str, **definitions: Any) -> list[Struct | Alias]:
    used = frozenset(definitions)
    return Builder(definitions, frozenset(), used, {}).declare(name)


def test_a_tagged_union_becomes_one_struct_for_each_variant() -> None:
    variants = [
        {"type": "object", "required": ["type"], "properties": {"type": {"type": "string", "enum": [tag]}}}
        for tag in ("idle", "active")
    ]
    idle, active, union = declare("Status", Status={"oneOf": variants})
    assert isinstance(idle, Struct)
    assert isinstance(active, Struct)
    assert (idle.name, idle.tag, active.tag) == ("IdleStatus", ("type", "idle"), ("type", "active"))
    assert union == Alias("Status", ("IdleStatus", "ActiveStatus"))


def test_words_and_objects_become_a_literal_and_a_struct() -> None:
    objects = [
        {
            "type": "object",
            "required": [key],
            "properties": {key: {"type": "string"}},
            "additionalProperties": False,
        }
        for key in ("custom", "other")
    ]
    options = [{"type": "string", "enum": ["cli", "exec"]}, *objects]
    struct, union = declare("Source", Source={"oneOf": options})
    assert isinstance(struct, Struct)
    assert (struct.name, struct.one_of) == ("SourceObject", True)
    assert [field.default for field in struct.fields] == ["UNSET", "UNSET"]
    assert union == Alias("Source", ('Literal["cli", "exec"]', "SourceObject"))


def test_an_import_may_only_point_to_an_earlier_module() -> None:
    places = assign({"Turn": "turn", "Config": "config"}, {"Turn": ["Tier"], "Config": ["Tier"], "Tier": []})
    assert places == {"Turn": "turn", "Config": "config", "Tier": "turn"}
    with pytest.raises(ValueError, match="later module"):
        assign({"ThreadItem": "item"}, {"ThreadItem": ["Turn"], "Turn": []})


def test_bindings_are_parsed(tmp_path: Path) -> None:
    (tmp_path / "A.ts").write_text(
        "// note\nimport type { B } from './B';\n\n/** doc */\n"
        'export type A = { "kind": "x", /* why */ n?: Array<B | null>, } & ({ [key in string]?: unknown[] });'
    )
    assert ts.load(tmp_path)["A"] == ts.Both(
        (
            ts.Object(
                (
                    ts.Member("kind", False, ts.Const("x")),
                    ts.Member("n", True, ts.Name("Array", (ts.Union((ts.Name("B"), ts.Name("null"))),))),
                )
            ),
            ts.Object((), ts.Name("Array", (ts.Name("unknown"),))),
        )
    )


def test_vendoring_takes_order_gaps_and_experimental_parts_from_the_inputs(tmp_path: Path) -> None:
    bindings = tmp_path / "ts"
    (bindings / "v2").mkdir(parents=True)
    (bindings / "v2/PingParams.ts").write_text("export type PingParams = { z: string, a?: string | null | null, };")
    (bindings / "v2/PingResponse.ts").write_text("export type PingResponse = { z?: string, extra: string | null, };")
    (bindings / "v2/Old.ts").write_text("export type OldResponse = { sha: string, };")
    (bindings / "ClientRequest.ts").write_text(
        'export type ClientRequest = { "method": "ping", id: RequestId, params: PingParams, };'
    )
    (bindings / "ServerNotification.ts").write_text(
        'export type ServerNotification = { "method": "pong", "params": PingResponse } | '
        '{ "method": "gone", "params": PingResponse };'
    )
    text = {"type": "string"}
    maybe = {"type": ["string", "null"]}

    def write(folder: str, params: dict[str, Any]) -> Path:
        branch = {"properties": {"method": {"enum": ["ping"]}, "params": {"$ref": "#/definitions/v2/PingParams"}}}
        definitions = {
            "ClientRequest": {"oneOf": [branch]},
            "ServerRequest": {"oneOf": []},
            "v2": {
                "PingParams": {"type": "object", "properties": params, "required": ["z"], "description": "Prose."},
                "PingResponse": {"type": "object", "properties": {"extra": maybe, "z": maybe}},
            },
        }
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "codex_app_server_protocol.schemas.json"
        path.write_text(json.dumps({"definitions": definitions}))
        return tmp_path / folder

    stable = write("stable", {"z": text})
    experimental = write("experimental", {"a": maybe, "z": text})
    made = json.loads(vendor("1", stable, experimental, bindings))
    assert made["client"] == [["ping", "PingParams", "PingResponse"]]
    assert [method for method, _ in made["notifications"]] == ["pong", "gone"]
    assert made["experimental_fields"] == {"ping": ["a"]}
    params, answer = made["definitions"]["PingParams"], made["definitions"]["PingResponse"]
    assert list(params["properties"]) == ["z", "a"]
    assert "description" not in params
    assert (params["x-keep"], answer["x-omit"]) == (["a"], ["z"])
    source = package(made | {"experimental_methods": []})["misc.py"]
    assert "    a: str | None | UnsetType = UNSET\n" in source
    assert "    z: str | UnsetType = UNSET\n    extra: str | None = None\n" in source


def test_generated_structs_decode_without_the_generator() -> None:
    from projections import protocol as p

    assert msgspec.json.decode(b'{"type":"idle"}', type=p.ThreadStatus) == p.IdleThreadStatus()
