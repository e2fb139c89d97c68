"""A whole engine against the scripted model endpoint: real HTTP, real websockets, real files."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import msgspec

from engine.host import Host
from projections import protocol as p
from tests.engine.harness import Engine, Recorder, engine
from tests.mock_model import MockModel, Request

Json = dict[str, Any]


class Mocked(Engine):
    """A running engine whose provider is a `MockModel`."""

    def __init__(self, host: Host, sink: Recorder, endpoint: MockModel, home: Path) -> None:
        super().__init__(host, None, sink)  # type: ignore[arg-type]
        self.endpoint = endpoint
        self.home = home

    async def play(self, thread_id: str, text: str = "go on", **params: Any) -> p.Turn:
        """Run a turn with these further params to its end."""
        return await self.ended(self.open(thread_id, text, **params))

    def open(self, thread_id: str, text: str = "go on", **params: Any) -> str:
        """Start a turn with these further params; its id."""
        given = {"threadId": thread_id, "input": [{"type": "text", "text": text}], **params}
        turn_id, begin = self.host.turns.start(msgspec.convert(given, p.TurnStartParams))
        begin()
        return turn_id

    async def until(self, waiting: Callable[..., object], *args: Any) -> None:
        """Wait for the endpoint: `await mocked.until(model.wait_requests, 2)`."""
        await anyio.to_thread.run_sync(waiting, *args)

    @property
    def requests(self) -> list[Request]:
        """The POST requests so far."""
        return [request for request in self.endpoint.requests if request.method == "POST"]

    def told(self) -> list[tuple[str, Json]]:
        """Everything clients have heard so far."""
        return [(note.method, json.loads(msgspec.json.encode(note.params))) for note in self.sink.notes]

    def heard(self, *methods: str) -> list[Json]:
        """Params of what clients have heard of these methods, in order."""
        return [params for method, params in self.told() if method in methods]

    def lines(self, thread_id: str) -> list[tuple[str, Json]]:
        """The lines of a thread's rollout: type (of the payload if it has one) and payload."""
        (path,) = self.home.glob(f"sessions/*/*/*/*{thread_id}.jsonl")
        read = [json.loads(line) for line in path.read_bytes().splitlines()]
        return [(line["payload"].get("type", line["type"]), line["payload"]) for line in read]


@asynccontextmanager
async def mocked(home: Path, endpoint: MockModel, config: str = "", **provider: Any) -> AsyncIterator[Mocked]:
    """An engine on a new home whose model is `endpoint`; `provider` adds to the provider's settings."""
    settings = {
        "name": "mock",
        "base_url": endpoint.base_url,
        "wire_api": "responses",
        "request_max_retries": 0,
        "stream_max_retries": 0,
        **provider,
    }
    table = "\n".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
    head = (
        'model = "gpt-5.4"\nmodel_provider = "mock"\napproval_policy = "never"\nsandbox_mode = "danger-full-access"\n'
    )
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text(f"{head}{config}\n[model_providers.mock]\n{table}\n")
    async with engine(home) as running:
        yield Mocked(running.host, running.sink, endpoint, home)
