"""The runner's side of compaction: requests for a summary, and the history that one leaves (spec compaction)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from engine.clock import Clock
from engine.context import observe, opening
from engine.outputs import for_request
from engine.settings import Settings
from engine.turn.scripts.compact import Rewritten
from projections.messages import SUMMARY_START, hook_prompt, is_user_input
from projections.usage import Usage
from projections.window import Window, request_items, without
from projections.window_items import (
    NO_SUMMARY,
    WindowItem,
    compacted_history,
    estimate,
    last_assistant_text,
    past_reasoning_tokens,
    unseen_tokens,
    user_texts,
    window_items,
)
from rollouts import codec
from rollouts import events as ev

SUMMARY_PREFIX = (
    f"{SUMMARY_START} What it did to files and tools is still in place. Go on from there and do not repeat work that "
    "is done. This is its summary:"
)
PROMPT = """\
You are performing a CONTEXT CHECKPOINT COMPACTION. Another model will take over from you with nothing but the summary \
you write now. Write it for that model: what the user wants and in which words they said so, what has been done and \
decided and why, which files, commands and names matter, what failed, and what the next steps are. Keep facts exact, \
leave out what is no longer needed, and add nothing that did not happen."""


def context_tokens(items: Sequence[WindowItem], usage: Usage, reasoning_included: bool) -> int:
    """How large the context is: what the model counted last, and an estimate of what it has not counted.

    :param reasoning_included: the provider counts the reasoning of earlier turns itself.
    """
    past = 0 if reasoning_included else past_reasoning_tokens(items)
    return usage.context_tokens + past + unseen_tokens(items)


def summary_input(items: Sequence[WindowItem], drop: int, settings: Settings) -> list[msgspec.Raw]:
    """The history without its oldest items, and the request to sum it up."""
    left = list(items)
    for _ in range(min(drop, len(left))):
        left = without(left, 0)
    prompt = settings.config.compact_prompt or PROMPT
    question = ev.Message(role="user", content=(ev.InputText(prompt),))
    model = msgspec.structs.replace(settings.info, apply_patch_tool_type=None)  # the request has no tools
    return [*for_request(request_items(left), model), msgspec.Raw(codec.encode_item(question))]


def remote_items(items: Sequence[WindowItem], settings: Settings) -> list[WindowItem]:
    """The history as a provider is to compact it: without the newest outputs and notes if it is too large for it."""
    left, window = list(items), settings.info.effective_window
    tokens = estimate(left, settings.base_instructions)
    while window is not None and tokens > window and left and _is_ours(left[-1]):
        left = without(left, len(left) - 1)
        tokens = estimate(left, settings.base_instructions)
    return left


def rewritten(window: Window, summary: str, settings: Settings, clock: Clock, *, mid_turn: bool) -> Rewritten:
    """What a summary makes of the history: the user's own messages, then the summary.

    A model that answered with nothing is taken at what it said last. Mid-turn the context is added, as no turn will
    write it again.
    """
    summary = summary if summary.strip() else last_assistant_text(window.items) or NO_SUMMARY
    message = f"{SUMMARY_PREFIX}\n{summary}"
    history = compacted_history(user_texts(window.items), message)
    return _line(message, [codec.encode_item(item) for item in history], settings, clock if mid_turn else None)


def received(output: Sequence[msgspec.Raw], settings: Settings, clock: Clock, *, mid_turn: bool) -> Rewritten:
    """The history a provider made: without context messages. They are written anew: by the next turn, or here."""
    kept = [bytes(raw) for raw in output if _is_kept(codec.decode_item(raw))]
    return _line("", kept, settings, clock if mid_turn else None)


def _is_ours(item: WindowItem) -> bool:
    """Whether the engine made this item: what it can make again, or tell the model to ask for again."""
    return item.kind in _OUTPUTS or item.role == "developer"


def _is_kept(item: object) -> bool:
    match item:
        case ev.Message(role="user"):
            return is_user_input(item) or bool(hook_prompt(item))
        case ev.Message():
            return item.role == "assistant"
    return isinstance(item, ev.Compaction)


def _line(message: str, history: list[bytes], settings: Settings, mid_turn: Clock | None) -> Rewritten:
    if mid_turn is not None:
        context = opening(None, settings, observe(mid_turn))
        at = _place_of_context(window_items(history))
        history[at:at] = [codec.encode_item(line) for line in context if isinstance(line, ev.Message)]
    line = ev.Compacted(message=message, replacement_history=tuple(map(msgspec.Raw, history)))
    return Rewritten(line, estimate(window_items(history), settings.base_instructions))


def _place_of_context(items: Sequence[WindowItem]) -> int:
    """Before the last message of the user; without one before the summary; at the end if there is neither."""
    users = [at for at, item in enumerate(items) if item.user]
    real = [at for at in users if user_texts([items[at]])]
    summaries = [at for at, item in enumerate(items) if item.kind == "compaction"]
    return next((places[-1] for places in (real, users, summaries) if places), len(items))


_OUTPUTS = frozenset({"function_call_output", "custom_tool_call_output", "tool_search_output"})
