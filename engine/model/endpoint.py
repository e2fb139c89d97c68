"""Where a request goes: a configured provider, the environment and a login become an `Endpoint` with URLs and
headers. Pure: the environment is a parameter, and looking up a missing key is a `ModelFailure` like any
other."""

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from engine.config.providers import Provider
from engine.headers import sendable
from engine.turn.replies import OTHER, ModelFailure

MAX_RETRIES: Final = 100
_REQUEST_RETRIES: Final = 4
_STREAM_RETRIES: Final = 5
_IDLE_MS: Final = 300_000
_CONNECT_MS: Final = 15_000
_OPENAI_URL: Final = "https://api.openai.com/v1"
_QUERY_SAFE: Final = "!$%&()*+,/:;=?@[\\]^`{|}~"
_DEFAULTS: Final = frozenset({"user-agent", "originator", "content-type"})
_CHATGPT_URL: Final = "https://chatgpt.com/backend-api/codex"
_AZURE_HOSTS: Final = (
    "openai.azure.",
    "cognitiveservices.azure.",
    "aoai.azure.",
    "azure-api.",
    "azurefd.",
    "windows.net/openai",
)


class Credentials(msgspec.Struct, frozen=True):
    """A login to send along: the bearer token, further headers, and whether it is a ChatGPT one."""

    bearer: str | None = None
    headers: Mapping[str, str] = {}
    chatgpt: bool = False


class Endpoint(msgspec.Struct, frozen=True):
    """Where and how to send: a provider with everything looked up.

    `headers` have lower-case names. `request_max_retries` are silent, for 5xx and broken connections;
    `stream_max_retries` are the turn's, each with a notice. `idle_timeout` is the longest silence of a stream
    and `connect_timeout` (websockets only) the longest wait for one, in seconds. `compress` asks for zstd
    bodies."""

    base: str
    headers: Mapping[str, str]
    query: str = ""
    request_max_retries: int = _REQUEST_RETRIES
    stream_max_retries: int = _STREAM_RETRIES
    idle_timeout: float = _IDLE_MS / 1000
    connect_timeout: float = _CONNECT_MS / 1000
    websocket: bool = False
    compress: bool = False

    def url(self, path: str) -> str:
        """The URL of a path below the base, with the provider's query parameters."""
        return f"{self.base}/{path}{self.query}"

    def joined(self, own: Iterable[tuple[str, str]]) -> dict[str, str]:
        """The headers of a request, `own`, with those of the provider. Where both have one the request's counts, but
        not for what only names the client and the form of the body (observed)."""
        kept = {name: value for name, value in own if name not in _DEFAULTS or name not in self.headers}
        return {**self.headers, **kept}


def resolve(provider: Provider, environ: Mapping[str, str], credentials: Credentials | None = None) -> Endpoint:
    """The endpoint of a provider. A key of the provider's own (`env_key`, token) goes before a login. Query parameters
    are taken as they are: what a URL cannot hold is encoded, what it can is not (observed).

    Raises `ModelFailure` when the environment variable of `env_key` is not set."""
    login = credentials or Credentials()
    headers = {name.lower(): value for name, value in (provider.http_headers or {}).items()}
    for name, variable in (provider.env_http_headers or {}).items():
        if environ.get(variable, "").strip():
            headers[name.lower()] = environ[variable]
    headers |= {name.lower(): value for name, value in login.headers.items()}
    if bearer := _key(provider, environ) or provider.experimental_bearer_token or login.bearer:
        headers["authorization"] = f"Bearer {bearer}"
    pairs = [quote(f"{key}={text}", safe=_QUERY_SAFE) for key, text in (provider.query_params or {}).items()]
    return Endpoint(
        base=(provider.base_url or (_CHATGPT_URL if login.chatgpt else _OPENAI_URL)).rstrip("/"),
        headers=sendable(headers),
        query=f"?{'&'.join(pairs)}" if pairs else "",
        request_max_retries=_retries(provider.request_max_retries, _REQUEST_RETRIES),
        stream_max_retries=_retries(provider.stream_max_retries, _STREAM_RETRIES),
        idle_timeout=_seconds(provider.stream_idle_timeout_ms, _IDLE_MS),
        connect_timeout=_seconds(provider.websocket_connect_timeout_ms, _CONNECT_MS),
        websocket=provider.supports_websockets,
        compress=login.chatgpt and provider.requires_openai_auth,
    )


def stream_retries(provider: Provider) -> int:
    """How often a turn may ask again when a reply breaks off."""
    return _retries(provider.stream_max_retries, _STREAM_RETRIES)


def is_azure(provider: Provider) -> bool:
    """Is this an Azure deployment? Those keep responses (`store: true`)."""
    url = (provider.base_url or "").lower()
    return provider.name.lower() == "azure" or any(part in url for part in _AZURE_HOSTS)


def remote_compaction(provider: Provider) -> bool:
    """Does the provider offer `POST /responses/compact`? (compaction 3)"""
    return provider.name == "OpenAI" or is_azure(provider)


def _key(provider: Provider, environ: Mapping[str, str]) -> str | None:
    if provider.env_key is None:
        return None
    value = environ.get(provider.env_key, "")
    if not value.strip():
        hint = f" {provider.env_key_instructions}" if provider.env_key_instructions else ""
        raise ModelFailure(f"Missing environment variable: `{provider.env_key}`.{hint}", OTHER, kind="config")
    return value


def _retries(configured: int | None, default: int) -> int:
    return default if configured is None else min(max(configured, 0), MAX_RETRIES)


def _seconds(configured_ms: int | None, default_ms: int) -> float:
    return (default_ms if configured_ms is None else max(configured_ms, 0)) / 1000
