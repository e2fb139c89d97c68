"""The other side of working threads: the requests of an engine, sent by a client that does nothing else."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Self

import httpx2

from tools.bench.provider import Provider


class Bare:
    """Repeats the last request that a provider got, and reads the reply to its end, event by event."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._http = httpx2.AsyncClient(timeout=None, limits=httpx2.Limits(max_connections=None))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def ask(self) -> list[Any]:
        """One request; the events of its reply."""
        provider = self._provider
        url = f"{provider.base_url}/responses"
        async with self._http.stream("POST", url, content=provider.body, headers=provider.headers) as response:
            lines = [line async for line in response.aiter_lines()]
        return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
