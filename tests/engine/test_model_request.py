"""The request: exact fields in exact order, and nothing that does not apply."""

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from engine.model import catalog
from engine.model.info import Overrides
from engine.model.request import Prompt, RequestSettings, build, turn_metadata

SAY = Raw(b'{"type":"message","role":"user","content":[{"type":"input_text","text":"go"}]}')
TOOL = Raw(b'{"type":"function","name":"update_plan","strict":false,"parameters":{}}')


def settings(model: str = "gpt-5.4", /, **more: Any) -> RequestSettings:
    return RequestSettings(
        thread_id="T",
        turn_id="U",
        model=catalog.built_in().find(model),
        installation_id="I",
        originator="tester",
        user_agent="tester/1",
        sandbox="none",
        **more,
    )


def body(prompt: Prompt | None = None, given: RequestSettings | None = None) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(build(prompt or Prompt("Be.", [SAY]), given or settings()).encode())
    return decoded


def test_the_whole_body_of_a_known_model() -> None:
    prompt = Prompt("Be.", [SAY], [TOOL], output_schema=Raw(b'{"type":"object"}'))
    assert build(prompt, settings(service_tier="fast", effort="high", summary="detailed")).encode() == (
        b'{"model":"gpt-5.4","instructions":"Be.",'
        b'"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"go"}]}],'
        b'"tools":[{"type":"function","name":"update_plan","strict":false,"parameters":{}}],'
        b'"tool_choice":"auto","parallel_tool_calls":true,"reasoning":{"effort":"high","summary":"detailed"},'
        b'"store":false,"stream":true,"include":["reasoning.encrypted_content"],"service_tier":"priority",'
        b'"prompt_cache_key":"T","text":{"verbosity":"low","format":{"type":"json_schema","strict":true,'
        b'"schema":{"type":"object"},"name":"codex_output_schema"}},'
        b'"client_metadata":{"x-codex-installation-id":"I"}}'
    )


def test_the_whole_body_of_an_unknown_model() -> None:
    assert build(Prompt("Be.", [SAY]), settings("acme-9")).encode() == (
        b'{"model":"acme-9","instructions":"Be.",'
        b'"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"go"}]}],"tools":[],'
        b'"tool_choice":"auto","parallel_tool_calls":false,"reasoning":null,"store":false,"stream":true,'
        b'"include":[],"prompt_cache_key":"T","client_metadata":{"x-codex-installation-id":"I"}}'
    )


@pytest.mark.parametrize(
    ("model", "given", "expected"),
    [
        ("gpt-5.4", {}, {"effort": "xhigh"}),
        ("gpt-5.5", {}, {"effort": "medium"}),
        ("gpt-5.2", {}, {"effort": "medium", "summary": "auto"}),
        ("gpt-5.2", {"summary": "none"}, {"effort": "medium"}),
        ("gpt-5.4", {"effort": "minimal", "summary": "auto"}, {"effort": "minimal", "summary": "auto"}),
        ("acme-9", {"effort": "high", "summary": "auto"}, None),
    ],
)
def test_reasoning(model: str, given: dict[str, str], expected: dict[str, str] | None) -> None:
    sent = body(given=settings(model, **given))
    assert sent["reasoning"] == expected
    assert sent["include"] == (["reasoning.encrypted_content"] if expected else [])


def test_an_unknown_model_can_be_told_to_reason() -> None:
    info = catalog.lookup("acme-9", catalog.built_in(), Overrides(model_supports_reasoning_summaries=True))
    sent = body(given=msgspec.structs.replace(settings(), model=info, effort="minimal", summary="detailed"))
    assert sent["reasoning"] == {"effort": "minimal", "summary": "detailed"}
    assert "text" not in sent


@pytest.mark.parametrize(("tier", "sent"), [("fast", "priority"), ("flex", "flex"), (None, None), ("other", None)])
def test_service_tier(tier: str | None, sent: str | None) -> None:
    assert body(given=settings(service_tier=tier)).get("service_tier") == sent


@pytest.mark.parametrize(
    ("model", "verbosity", "sent"),
    [("gpt-5.4", None, "low"), ("gpt-5.4-mini", None, "medium"), ("gpt-5.4", "high", "high"), ("acme-9", "high", None)],
)
def test_verbosity(model: str, verbosity: str | None, sent: str | None) -> None:
    assert body(given=settings(model, verbosity=verbosity)).get("text", {}).get("verbosity") == sent


def test_a_schema_goes_to_unknown_models_too() -> None:
    sent = body(Prompt("Be.", [], output_schema=Raw(b"{}")), settings("acme-9"))
    assert sent["text"] == {
        "format": {"type": "json_schema", "strict": True, "schema": {}, "name": "codex_output_schema"}
    }


def test_compaction_asks_for_no_parallel_calls() -> None:
    assert body(Prompt("Be.", [], parallel_tool_calls=False))["parallel_tool_calls"] is False


def test_headers() -> None:
    given = settings(window=3, subagent="review", turn_state="ts")
    assert dict(build(Prompt("Be.", []), given).headers) == {
        "x-codex-turn-metadata": '{"session_id":"T","thread_source":"user","turn_id":"U","sandbox":"none"}',
        "x-codex-window-id": "T:3",
        "x-client-request-id": "T",
        "session_id": "T",
        "x-codex-turn-state": "ts",
        "x-openai-subagent": "review",
        "user-agent": "tester/1",
        "originator": "tester",
    }


def test_headers_that_do_not_apply_are_left_out() -> None:
    names = [name for name, _ in build(Prompt("Be.", []), settings()).headers]
    assert "x-codex-turn-state" not in names and "x-openai-subagent" not in names


def test_client_metadata_adds_but_never_replaces() -> None:
    given = settings(
        client_metadata={"session_id": "evil", "turn_id": "evil", "sandbox": "evil", "fiber_run_id": "x1"},
        workspaces=Raw(b'{"/w":{"has_changes":true}}'),
        thread_source="subagent",
    )
    text = turn_metadata(given)
    assert list(json.loads(text).items()) == [
        ("session_id", "T"),
        ("thread_source", "subagent"),
        ("turn_id", "U"),
        ("workspaces", {"/w": {"has_changes": True}}),
        ("sandbox", "none"),
        ("fiber_run_id", "x1"),
    ]


def test_metadata_is_always_a_valid_header_value() -> None:
    text = turn_metadata(settings(client_metadata={"k": 'häß… "q"\r\n'}))
    assert text.isascii() and text.isprintable()
    assert json.loads(text)["k"] == 'häß… "q"\r\n'
