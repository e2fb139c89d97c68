"""Model providers: those that need no configuration, and `[model_providers.X]` of config.toml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

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
    query_params: dict[str, str] | None = None
    http_headers: dict[str, str] | None = None
    env_http_headers: dict[str, str] | None = None
    request_max_retries: int | None = None
    stream_max_retries: int | None = None
    stream_idle_timeout_ms: int | None = None
    websocket_connect_timeout_ms: int | None = None
    requires_openai_auth: bool = False
    supports_websockets: bool = False


BUILT_IN: Mapping[str, Provider] = {
    provider.id: provider
    for provider in (
        Provider(
            id="openai",
            name="OpenAI",
            env_http_headers={
                "OpenAI-Organization": "OPENAI_ORGANIZATION",
                "OpenAI-Project": "OPENAI_PROJECT",
            },
            requires_openai_auth=True,
            supports_websockets=True,
        ),
        Provider(id="ollama", name="gpt-oss", base_url="http://localhost:11434/v1"),
        Provider(id="lmstudio", name="gpt-oss", base_url="http://localhost:1234/v1"),
        Provider(id=DEMO, name="Demo"),
    )
}

#: Ids that a configuration may not use; `demo` is ours alone, so a configured provider of that id hides it.
RESERVED = tuple(key for key in BUILT_IN if key != DEMO)


def providers(table: Mapping[str, Any]) -> dict[str, Provider]:
    """The built-in providers, `openai` with its configured URL, and those of a checked, merged table."""
    openai = msgspec.structs.replace(BUILT_IN["openai"], base_url=table.get("openai_base_url"))
    own = {
        key: msgspec.convert({**settings, "id": key}, Provider)
        for key, settings in table.get("model_providers", {}).items()
    }
    return {**BUILT_IN, "openai": openai, **own}
