"""The operations of a turn, carried out: a table from operation to coroutine (design, "The turn").

Everything a script asks for ends up here. A coroutine gets the thread it works for, the operation, and a function
to report progress; what it returns or raises goes back to the script.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import msgspec

from engine.calls.specs import tool_specs
from engine.config import DEMO
from engine.model import endpoint, request
from engine.model.client import ModelClient, Sampler
from engine.model.demo import DemoModel
from engine.settings_forms import sandbox_tag
from engine.tool_operations import TOOL_OPERATIONS
from engine.turn.ops import Ask, Op, Sample, Wait
from projections import window

if TYPE_CHECKING:
    from engine.settings import Settings
    from engine.thread import Thread

Report = Callable[[object], None]


class Operations:
    """Carries out operations for all threads of a process.

    :param installation_id: stable id of this CODEX_HOME, sent with every request.
    :param originator: name of the first client of this process.
    :param user_agent: how the process names itself to providers; known once a client has introduced itself.
    """

    def __init__(self, installation_id: str, originator: Callable[[], str], user_agent: Callable[[], str]) -> None:
        self._installation_id = installation_id
        self._originator = originator
        self._user_agent = user_agent
        self._client = ModelClient()
        self._demo = DemoModel()

    async def aclose(self) -> None:
        """Close all connections to providers."""
        await self._client.aclose()

    async def run(self, thread: Thread, op: Op, report: Report) -> object:
        """Carry out one operation for a thread."""
        tool = TOOL_OPERATIONS.get(type(op))
        if tool is not None:
            return await tool(thread, op)
        return await _TABLE[type(op)](self, thread, op, report)

    async def _sample(self, thread: Thread, op: Sample, report: Report) -> None:
        settings = thread.turn_settings
        target = endpoint.resolve(settings.config.provider, os.environ)
        async with aclosing(self._sampler(settings).stream(self._request(thread, settings, op), target)) as events:
            async for event in events:
                report(event)
                await anyio.lowlevel.checkpoint()

    async def _wait(self, thread: Thread, op: Wait, report: Report) -> None:
        await anyio.sleep(op.seconds)

    async def _ask(self, thread: Thread, op: Ask, report: Report) -> object:
        return await thread.question(op.method, op.params)

    def _sampler(self, settings: Settings) -> Sampler:
        return (
            self._demo if settings.provider_id == DEMO and settings.config.provider.base_url is None else self._client
        )

    def _request(self, thread: Thread, settings: Settings, op: Sample) -> request.ModelRequest:
        history = thread.journal.state.window
        return request.build(
            request.Prompt(
                instructions=settings.base_instructions,
                input=window.request_items(history.items),
                tools=tool_specs(settings),
                output_schema=settings.output_schema,
            ),
            request.RequestSettings(
                thread_id=thread.id,
                turn_id=op.turn_id,
                model=settings.info,
                installation_id=self._installation_id,
                originator=self._originator(),
                user_agent=self._user_agent(),
                sandbox=sandbox_tag(settings.sandbox),
                window=history.compactions,
                effort=settings.effort,
                summary=settings.summary,
                verbosity=settings.verbosity,
                service_tier=settings.service_tier,
                turn_state=op.turn_state,
                client_metadata=op.client_metadata or {},
                workspaces=thread.workspaces,
                store=endpoint.is_azure(settings.config.provider),
            ),
        )


_TABLE: Mapping[type[msgspec.Struct], Callable[[Operations, Thread, Any, Report], Awaitable[object]]] = {
    Sample: Operations._sample,
    Wait: Operations._wait,
    Ask: Operations._ask,
}
