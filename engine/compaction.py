"""The runner's side of compaction: requests for a summary, and the history that one leaves (spec compaction)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from engine.clock import Clock
from engine.context import observe, opening
from engine.settings import Settings
from engine.turn.scripts.compact import Rewritten
from projections.messages import SUMMARY_START
from projections.window import Window, request_items
from projections.window_items import WindowItem, compacted_history, estimate, user_texts, window_items
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


def summary_input(items: Sequence[WindowItem], drop: int, settings: Settings) -> list[msgspec.Raw]:
    """The history without its oldest items, and the request to sum it up."""
    prompt = settings.config.compact_prompt or PROMPT
    question = ev.Message(role="user", content=(ev.InputText(prompt),))
    return [*request_items(items[drop:]), msgspec.Raw(codec.encode_item(question))]


def rewritten(window: Window, summary: str, settings: Settings, clock: Clock, *, mid_turn: bool) -> Rewritten:
    """What a summary makes of the history: the user's own messages, then the summary.

    Mid-turn the context goes right before the last user message, as no turn will write it again.
    """
    message = f"{SUMMARY_PREFIX}\n{summary or '(no summary available)'}"
    history = compacted_history(user_texts(window.items), message)
    if mid_turn:
        at = max(len(history) - 2, 0)
        context = opening(None, settings, observe(clock))
        history[at:at] = [line for line in context if isinstance(line, ev.Message)]
    return _line(message, [msgspec.Raw(codec.encode_item(item)) for item in history], settings)


def received(output: Sequence[msgspec.Raw], settings: Settings) -> Rewritten:
    """The history a provider made: without context messages, which the next turn writes anew."""
    kept = [raw for raw in output if _is_kept(codec.decode_item(raw))]
    return _line("", kept, settings)


def _is_kept(item: object) -> bool:
    return not (isinstance(item, ev.Message) and item.role in ("developer", "system"))


def _line(message: str, history: Sequence[msgspec.Raw], settings: Settings) -> Rewritten:
    line = ev.Compacted(message=message, replacement_history=tuple(history))
    return Rewritten(line, estimate(window_items(line.replacement_history or ()), settings.base_instructions))
