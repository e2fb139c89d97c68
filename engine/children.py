"""Threads that a thread runs for itself: who they are, and one turn of theirs."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import msgspec

from engine import submissions
from engine.clock import Clock
from engine.review_guidelines import GUIDELINES
from engine.settings import Settings, as_model
from engine.thread import Thread
from engine.turn.effects import Submission
from rollouts import events as ev


async def run(
    child: Thread, turn_id: str, prompt: Submission, report: Callable[[object], None], clock: Clock
) -> str | None:
    """Let a child thread work on a prompt, report its events, close it, and return its last message."""
    over = anyio.Event()
    said: list[str | None] = [None]

    def watch(event: ev.Body) -> None:
        report(event)
        if isinstance(event, ev.TaskComplete | ev.TurnAborted):
            said[0] = event.last_agent_message if isinstance(event, ev.TaskComplete) else None
            over.set()

    child.watch = watch
    child.post(lambda: submissions.begin(child, turn_id, prompt, child.settings, clock))
    try:
        await over.wait()
    finally:
        with anyio.CancelScope(shield=True):
            await child.close()
    return said[0]


def reviewer(parent: Thread) -> Settings:
    """The settings of a reviewer: the parent's, with its own instructions, and nobody to ask.

    How the model works is as the parent was loaded, whatever turns have changed since (observed); where it works and
    what it may do is not.
    """
    first, settings = parent.first_settings, parent.turn_settings
    model = settings.config.review_model or settings.model
    return msgspec.structs.replace(
        settings,
        model=model,
        info=as_model(settings, model).info,
        effort=first.effort,
        summary=first.summary,
        service_tier=first.service_tier,
        personality=first.personality,
        base_instructions=GUIDELINES,
        approval_policy="never",
        mode="default",
        mode_instructions=None,
        source=ev.SourceObject(subagent="review"),
        output_schema=None,
        dynamic_tools=None,
        persist_extended=False,
    )
