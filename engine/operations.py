"""The operations of a turn, carried out: a table from operation to coroutine (design, "The turn").

Everything a script asks for ends up here. A coroutine gets the thread it works for, the operation, and a function
to report progress; what it returns or raises goes back to the script.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec

from engine import account, compaction
from engine.calls.ops import RunShell
from engine.calls.specs import tool_specs
from engine.config import DEMO
from engine.model import endpoint, request
from engine.model.demo import DemoModel
from engine.model.errors import disconnected
from engine.outputs import for_request
from engine.settings import as_model
from engine.settings_forms import is_review, sandbox_tag
from engine.tool_operations import TOOL_OPERATIONS, run_shell
from engine.turn.ops import Ask, FallBack, Op, Sample, Wait
from engine.turn.replies import Headers, ModelFailure
from engine.turn.scripts.compact import CompactRemotely, Measure, Rewrite, Rewritten, Summarise, TooLong
from engine.turn.scripts.review import Spawn
from engine.wording import fault
from projections import window

if TYPE_CHECKING:
    from engine.model.client import ModelClient, Sampler
    from engine.model.sessions import Sessions
    from engine.model.websocket import WebsocketSession
    from engine.settings import Settings
    from engine.thread import Thread
    from projections.window_items import WindowItem

Report = Callable[[object], None]
logger = logging.getLogger(__name__)


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
        self._demo = DemoModel()

    @cached_property
    def _client(self) -> ModelClient:
        from engine.model.client import ModelClient  # takes longer to import than all the rest of the engine

        return ModelClient()

    @cached_property
    def _sessions(self) -> Sessions:
        from engine.model.sessions import Sessions

        return Sessions(self._client)

    async def aclose(self) -> None:
        """Close all connections to providers."""
        if "_client" in self.__dict__:
            await self._client.aclose()

    async def opened(self, thread: Thread) -> None:
        """A thread is loaded: get ready for its first turn, and connect where the provider takes websockets."""
        if _is_demo(thread.turn_settings):
            return
        await anyio.to_thread.run_sync(import_module, "engine.model.sessions")
        session = self._session(thread)
        if session is None:
            return
        await thread.mcp.settled()
        try:
            asked = request.build(
                self._prompt(thread, (), thread.turn_settings), self._circumstances(thread, turn_id="")
            )
            await session.prewarm(asked, _endpoint(thread.turn_settings))
        except ModelFailure:
            return  # the first turn meets it again, and tells
        except Exception:
            logger.exception("thread %s: a bug; its connection to the model is not prepared", thread.id)

    async def closed(self, thread: Thread) -> None:
        """A thread is unloaded."""
        if "_sessions" in self.__dict__:
            await self._sessions.close(thread.id)

    async def run(self, thread: Thread, op: Op, report: Report) -> object:
        """Carry out one operation for a thread."""
        tool = TOOL_OPERATIONS.get(type(op))
        if tool is not None:
            return await tool(thread, op)
        return await _TABLE[type(op)](self, thread, op, report)

    async def _sample(self, thread: Thread, op: Sample, report: Report) -> None:
        await thread.mcp.settled()
        await thread.workspaces.settled()
        settings = self._circumstances(thread, op.turn_id, op.client_metadata, op.turn_state)
        thread.turn_metadata = request.turn_metadata(settings)
        prompt = self._prompt(thread, thread.journal.state.window.items, thread.turn_settings)
        await self._stream(thread, prompt, settings, report)

    async def _spawn(self, thread: Thread, op: Spawn, report: Report) -> object:
        return await thread.spawner.review(thread, op.input, report)

    async def _run_shell(self, thread: Thread, op: RunShell, report: Report) -> object:
        return await run_shell(thread, op, report)

    async def _wait(self, thread: Thread, op: Wait, report: Report) -> None:
        await anyio.sleep(op.seconds)

    async def _ask(self, thread: Thread, op: Ask, report: Report) -> object:
        return await thread.question(op.method, op.params)

    async def _fall_back(self, thread: Thread, op: FallBack, report: Report) -> None:
        self._sessions.of(thread.id).fall_back()

    def _session(self, thread: Thread) -> WebsocketSession | None:
        """The thread's websocket session, if its provider takes them."""
        return self._sessions.of(thread.id) if thread.turn_settings.config.provider.supports_websockets else None

    def _sampler(self, thread: Thread) -> Sampler:
        return self._demo if _is_demo(thread.turn_settings) else self._session(thread) or self._client

    async def _summarise(self, thread: Thread, op: Summarise, report: Report) -> None:
        settings = as_model(thread.turn_settings, op.model)
        asked = compaction.summary_input(thread.journal.state.window.items, op.drop, settings)
        prompt = request.Prompt(instructions=settings.base_instructions, input=asked, parallel_tool_calls=False)
        try:
            circumstances = self._circumstances(thread, op.turn_id, op.client_metadata, settings=settings)
            await self._stream(thread, prompt, circumstances, report)
        except ModelFailure as failure:
            if failure.kind == "context_window" and len(asked) > 1:
                raise TooLong from failure
            raise

    async def _compact_remotely(self, thread: Thread, op: CompactRemotely, report: Report) -> Rewritten:
        settings = as_model(thread.turn_settings, op.model)
        target = _endpoint(settings)
        items = compaction.remote_items(thread.journal.state.window.items, settings)
        circumstances = self._circumstances(thread, op.turn_id, settings=settings)
        asked = request.build(self._prompt(thread, items, settings), circumstances)
        body = {name: getattr(asked.body, name) for name in _REMOTE_FIELDS}
        kept = {name: value for name, value in body.items() if value is not msgspec.UNSET}
        headers = request.compact_headers(circumstances)
        answer = await self._client.post(msgspec.json.encode(kept), headers, target, "responses/compact")
        output = _output(answer)
        return compaction.received(output, settings, thread.clock, mid_turn=op.mid_turn)

    async def _measure(self, thread: Thread, op: Measure, report: Report) -> int:
        items = thread.journal.state.window.items
        return compaction.context_tokens(items, thread.usage, thread.reasoning_included)

    async def _rewrite(self, thread: Thread, op: Rewrite, report: Report) -> Rewritten:
        window = thread.journal.state.window
        return compaction.rewritten(window, op.summary, thread.turn_settings, thread.clock, mid_turn=op.mid_turn)

    async def _stream(
        self, thread: Thread, prompt: request.Prompt, settings: request.RequestSettings, report: Report
    ) -> None:
        target = _endpoint(thread.turn_settings)
        stream = self._sampler(thread).stream(request.build(prompt, settings), target)
        async with aclosing(stream) as events:
            left = _BURST
            async for event in events:
                report(event)
                if isinstance(event, Headers) and event.reasoning_included:
                    thread.reasoning_included = True
                left -= 1
                if not left:
                    left = _BURST
                    await anyio.lowlevel.checkpoint()

    def _prompt(self, thread: Thread, items: Sequence[WindowItem], settings: Settings) -> request.Prompt:
        """What is said to the model of a thread with this history."""
        return request.Prompt(
            instructions=settings.base_instructions,
            input=for_request(window.request_items(items), settings.info),
            tools=tool_specs(settings, thread.mcp),
            output_schema=settings.output_schema,
        )

    def _circumstances(
        self,
        thread: Thread,
        turn_id: str,
        client_metadata: Mapping[str, str] | None = None,
        turn_state: str | None = None,
        settings: Settings | None = None,
    ) -> request.RequestSettings:
        settings = settings or thread.turn_settings
        return request.RequestSettings(
            thread_id=thread.id,
            turn_id=turn_id,
            model=settings.info,
            installation_id=self._installation_id,
            originator=self._originator(),
            user_agent=self._user_agent(),
            sandbox=sandbox_tag(settings.sandbox),
            window=thread.journal.state.window.compactions - thread.inherited_compactions,
            effort=settings.effort,
            summary=settings.summary,
            verbosity=settings.verbosity,
            service_tier=settings.service_tier,
            turn_state=turn_state,
            client_metadata=client_metadata or {},
            workspaces=thread.workspaces.found,
            thread_source="user" if isinstance(settings.source, str) else "subagent",
            subagent="review" if is_review(settings.source) else None,
            store=endpoint.is_azure(settings.config.provider),
        )


def _endpoint(settings: Settings) -> endpoint.Endpoint:
    """Where requests go. A login is for providers that ask for it; the reference gives it to any without a key."""
    provider = settings.config.provider
    login = account.credentials(account.stored(settings.config.home)) if provider.requires_openai_auth else None
    return endpoint.resolve(provider, os.environ, login)


def _is_demo(settings: Settings) -> bool:
    """Whether the embedded model answers."""
    return settings.provider_id == DEMO and settings.config.provider.base_url is None


_BURST = 16
"""Events of a reply that has arrived already which are taken in a row, before anybody else gets a turn."""


class _Compacted(msgspec.Struct):
    output: tuple[msgspec.Raw, ...]


def _output(answer: bytes) -> tuple[msgspec.Raw, ...]:
    """The new history in a provider's answer.

    :raises ModelFailure: there is none.
    """
    try:
        return msgspec.json.decode(answer, type=_Compacted).output
    except msgspec.ValidationError as error:
        found = fault(_Compacted, msgspec.json.decode(answer))
        why = str(error) if found is None else f"{found.message} at line 1 column {len(answer)}"
        raise disconnected(why) from error
    except (ValueError, RecursionError) as error:  # bytes that are no text too
        raise disconnected(str(error)) from error


_REMOTE_FIELDS = ("model", "input", "instructions", "tools", "parallel_tool_calls", "reasoning", "text")

_TABLE: Mapping[type[msgspec.Struct], Callable[[Operations, Thread, Any, Report], Awaitable[object]]] = {
    Sample: Operations._sample,
    Wait: Operations._wait,
    FallBack: Operations._fall_back,
    Ask: Operations._ask,
    Summarise: Operations._summarise,
    CompactRemotely: Operations._compact_remotely,
    Rewrite: Operations._rewrite,
    Measure: Operations._measure,
    RunShell: Operations._run_shell,
    Spawn: Operations._spawn,
}
