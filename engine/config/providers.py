"""Model providers: those that need no configuration, and `[model_providers.X]` of config.toml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.config.values import Mismatch

#: Answers without network; for trying the engine and for tests.
DEMO = "demo"


class Provider(msgspec.Struct, frozen=True):
    """Where and how to ask for model responses. Durations in milliseconds; `None`: the client's default."""

    id: str
    name: str
    base_url: str | None = None
    env_key: str | None = None
    env_key_instructions: str | None = None
    experimental_bearer_token: str | None = None
    wire_api: str = "responses"
    query_params: dict[str, str] | None = None
    http_headers: dict[str, str] | None = None
    env_http_headers: dict[str, str] | None = None
    request_max_retries: int | None = None
    stream_max_retries: int | None = None
    stream_idle_timeout_ms: int | None = None
    websocket_connect_timeout_ms: int | None = None
    requires_openai_auth: bool = False
    supports_websockets: bool = False


def built_in(openai_base_url: str | None = None) -> dict[str, Provider]:
    """The providers every configuration has. `openai_base_url` is the config key of that name."""
    known = [
        Provider(
            id="openai",
            name="OpenAI",
            base_url=openai_base_url,
            env_http_headers={
                "OpenAI-Organization": "OPENAI_ORGANIZATION",
                "OpenAI-Project": "OPENAI_PROJECT",
            },
            requires_openai_auth=True,
            supports_websockets=True,
        ),
        Provider(id=DEMO, name="Demo"),
        Provider(id="ollama", name="gpt-oss", base_url="http://localhost:11434/v1"),
        Provider(id="lmstudio", name="gpt-oss", base_url="http://localhost:1234/v1"),
    ]
    return {provider.id: provider for provider in known}


def providers(table: Mapping[str, Any]) -> dict[str, Provider]:
    """All providers of a checked, merged configuration; configured ones win over built-in ones.

    :raises Mismatch: if a configured provider has no name
    """
    found = built_in(table.get("openai_base_url"))
    fields = set(Provider.__struct_fields__) - {"id"}
    for key, settings in table.get("model_providers", {}).items():
        if not str(settings.get("name", "")).strip():
            raise Mismatch(("model_providers",), f"model_providers.{key}: provider name must not be empty")
        found[key] = Provider(id=key, **{name: settings[name] for name in settings if name in fields})
    return found
