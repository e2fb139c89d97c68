"""How what a user submits becomes a turn, or joins the one that runs (spec turns 1 and 2).

The checks run when the request comes, the rest in the thread's owner, so that two requests cannot both start a turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast
from uuid import uuid4

import anyio
import msgspec

from engine.calls.ops import RunShell
from engine.calls.shell import Shown, aborted, ran, user_shell_turn
from engine.clock import Clock
from engine.compaction import context_tokens
from engine.context import observe, opening
from engine.context.environment import user_shell
from engine.context.user_input import steered
from engine.errors import BadRequest, BadValue
from engine.model.endpoint import remote_compaction, stream_retries
from engine.settings import Settings, as_model, lasting
from engine.settings_forms import turn_context
from engine.thread import Thread
from engine.tool_operations import run_shell
from engine.turn.effects import Inject, Steer, Submission
from engine.turn.scripts.compact import compact_turn
from engine.turn.scripts.regular import regular
from engine.turn.setup import Outgrown, TurnSetup
from projections import protocol as p
from rollouts import events as ev

MAX_CHARACTERS = 1 << 20
"""Characters of text in one submission."""


def check_size(given: Sequence[p.UserInput]) -> None:
    """Refuse too much text.

    :raises BadValue: with the numbers in its data.
    """
    actual = sum(len(entry.text) for entry in given if isinstance(entry, p.TextUserInput))
    if actual > MAX_CHARACTERS:
        raise BadValue(
            f"Input exceeds the maximum length of {MAX_CHARACTERS} characters.",
            {"input_error_code": "input_too_large", "max_chars": MAX_CHARACTERS, "actual_chars": actual},
        )


async def begin(thread: Thread, turn_id: str, user: Submission, settings: Settings, clock: Clock) -> None:
    """Start a turn, or let the input join the running one, whose settings stay as they are. Owner only."""
    thread.settings = lasting(settings, thread.settings)
    if not user.content:
        error = ev.ErrorEvent(message="input must not be empty", codex_error_info="bad_request")
        if thread.running:  # the reference fails the running turn for it
            thread.refuse(error, turn_id)
        else:
            thread.record([error], turn_id)
        return
    if thread.kind is not None and thread.kind != "regular":
        # The reference loses this input; ours begins a turn with it when the running one is over.
        thread.after_turn(lambda: begin(thread, turn_id, user, settings, clock))
        return
    if thread.running:
        await thread.feed(Steer(clock.now(), steered(user)))
        return

    def setup() -> TurnSetup:
        given = turn_setup(thread, turn_id, user, settings, clock)
        return msgspec.structs.replace(given, earlier=thread.leftovers.take(user))

    await thread.start(turn_id, settings, "regular", setup, regular)


async def steer(thread: Thread, expected_turn_id: str, user: Submission, clock: Clock) -> str:
    """Add input to the running turn and return its id. Owner only.

    :raises BadRequest: no turn runs, or another one than expected.
    """
    active = thread.turn_id
    if active is None or thread.overlay.open_turn_id is None:
        raise BadRequest("no active turn to steer")
    if expected_turn_id != active:
        raise BadRequest(f"expected active turn id `{expected_turn_id}` but found `{active}`")
    if thread.kind in ("review", "compact"):
        raise not_steerable(thread.kind)
    await thread.feed(Steer(clock.now(), steered(user)))
    return active


async def compact(thread: Thread, turn_id: str, clock: Clock) -> None:
    """Start a turn that only compacts, in place of one that runs. Owner only."""
    await thread.replace()
    await thread.start(
        turn_id,
        thread.settings,
        "compact",
        lambda: _quiet(turn_setup(thread, turn_id, None, thread.settings, clock)),
        compact_turn,
    )


async def shell(thread: Thread, turn_id: str, command: str, clock: Clock) -> None:
    """Run a command of the user: as a turn of its own, or beside the running one. Owner only."""
    settings = thread.settings
    cwd, policy = str(settings.cwd), settings.info.truncation_policy
    argv = (user_shell(), "-lc", command)
    active = thread.overlay.open_turn_id or thread.turn_id  # a review has an id before its reviewer has begun
    if active is None:
        await thread.start(
            turn_id,
            settings,
            "shell",
            lambda: _quiet(turn_setup(thread, turn_id, None, settings, clock)),
            lambda turn, setup: user_shell_turn(turn, setup, command, argv, cwd, policy),
        )
        return
    op = RunShell(argv=argv, cwd=cwd, timeout_ms=None, sandboxed=False, by_user=True)
    shown = Shown(thread.tell, active, str(uuid4()), argv, cwd, "user_shell")

    async def work() -> None:
        started = clock.now()
        with anyio.CancelScope() as scope:
            thread.asides.add(scope)
            ended = await run_shell(thread, op, lambda data: shown.chunk(cast("bytes", data)))
        thread.asides.discard(scope)
        if scope.cancelled_caught:
            ended = aborted((clock.now() - started).total_seconds())
        shown.end(ended)
        message = ran(command, ended, policy)

        async def told() -> None:
            if thread.running:
                await thread.feed(Inject(clock.now(), message, prolongs=True))
            else:
                thread.record([message])

        thread.post(told)

    shown.begin()
    thread.beside(work)


def not_steerable(kind: str) -> BadRequest:
    """The refusal to steer a turn of this kind."""
    message = f"cannot steer a {kind} turn"
    info = {"activeTurnNotSteerable": {"turnKind": kind}}
    return BadRequest(message, {"message": message, "codexErrorInfo": info, "additionalDetails": None})


def turn_setup(thread: Thread, turn_id: str, user: Submission | None, settings: Settings, clock: Clock) -> TurnSetup:
    """What a regular turn is given: the context that is new or changed, and the limits it runs under."""
    thread.catch_up()
    environment = observe(clock)
    window, limit = thread.journal.state.window, settings.info.compact_limit
    tokens = context_tokens(window.items, thread.usage, thread.reasoning_included)
    outgrown = _outgrown(window.previous_context, settings, tokens)
    full = limit is not None and tokens >= limit
    return TurnSetup(
        thread_id=thread.id,
        input=user,
        opening=tuple(opening(None if full or outgrown else thread.context, settings, environment)),
        compact_first=full,
        outgrown=outgrown,
        context=turn_context(settings, turn_id, environment),
        context_window=settings.info.effective_window,
        mode=settings.mode,
        model=settings.model,
        compact_at=limit,
        remote_compaction=remote_compaction(settings.config.provider),
        stream_max_retries=stream_retries(settings.config.provider),
        show_raw_reasoning=settings.config.show_raw_agent_reasoning,
        warnings=warnings(settings),
    )


def _quiet(setup: TurnSetup) -> TurnSetup:
    """The setup of a turn that says nothing about its settings."""
    return msgspec.structs.replace(setup, warnings=())


def _outgrown(before: ev.TurnContext | None, settings: Settings, tokens: int) -> Outgrown | None:
    """The model of the turn before, if its window was larger and the history is too large for the new model."""
    limit, window = settings.info.compact_limit, settings.info.effective_window
    if before is None or before.model == settings.model or limit is None or window is None or tokens <= limit:
        return None
    earlier = as_model(settings, before.model).info.effective_window
    return Outgrown(before.model, earlier) if earlier is not None and earlier > window else None


def warnings(settings: Settings) -> tuple[str, ...]:
    """What is said about the settings before a turn begins."""
    if not settings.info.used_fallback:
        return ()
    return (
        f"Model metadata for `{settings.model}` not found. Defaulting to fallback metadata; "
        "this can degrade performance and cause issues.",
    )
