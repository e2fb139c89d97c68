"""The embedded demo model: answers requests from within this process, without network, key or chance. The
same request gives the same answer, so demonstrations and tests can rely on it; the answers count messages and
items of the history they were sent, which makes resume, fork and rollback visible. It streams word by word,
reports usage by length, draws up a plan with `update_plan` when asked for one, and sums up when the history
is compacted. Chosen by `model_provider = "demo"`, never by default."""

import re
import zlib
from collections.abc import AsyncGenerator, Sequence
from typing import Final

import anyio
import msgspec

from engine.model import rate_limits
from engine.model.endpoint import Endpoint
from engine.model.request import ModelRequest
from engine.turn.replies import Completed, Created, Headers, ItemAdded, ItemDone, StreamEvent, TextDelta
from rollouts import codec
from rollouts import events as ev

_WORDS: Final = re.compile(r"\S+\s*")
_GREETING: Final = re.compile(r"\s*(hi|hello|hey|good (morning|day|evening))\b", re.IGNORECASE)
_PLAN: Final = re.compile(r"\bplan\b", re.IGNORECASE)
_COMPACTION: Final = "You are performing a CONTEXT CHECKPOINT COMPACTION."
_CONTEXT: Final = ("<", "# AGENTS.md")
_QUOTE_LIMIT: Final = 200
_STEPS: Final = ("Look at what is there", "Make the change", "Check the result")
_CLOSINGS: Final = (
    "Ask me for a plan and I will make one.",
    "Fork this session and both branches will remember it.",
    "Stop the server and resume: I will still know the count.",
    "Roll a turn back and the count goes down with it.",
)


class DemoModel:
    """Takes the place of a `ModelClient`. `pause` is the time between two words, in seconds."""

    def __init__(self, pause: float = 0.01) -> None:
        self._pause = pause

    async def stream(
        self, request: ModelRequest, endpoint: Endpoint | None = None
    ) -> AsyncGenerator[StreamEvent, None]:
        """One reply to `request`; it cannot fail."""
        history = [codec.decode_item(raw) for raw in request.body.input]
        items = [item for item in history if isinstance(item, ev.ResponseItem)]
        mark = f"{zlib.crc32(request.encode()):08x}"
        yield Headers(rate_limits.snapshots({}))
        yield Created(f"resp_demo_{mark}")
        answer = reply(items, _tools(request))
        if isinstance(answer, str):
            message = ev.Message(id=f"msg_demo_{mark}", role="assistant", content=())
            yield ItemAdded(message, message.id)
            for word in _WORDS.findall(answer):
                await anyio.sleep(self._pause)
                yield TextDelta(word)
            whole = (ev.OutputText(text=answer),)
            yield ItemDone(msgspec.structs.replace(message, content=whole), message.id)
            written = len(answer)
        else:
            call = ev.FunctionCall(
                id=f"fc_demo_{mark}", name="update_plan", arguments=_plan(answer), call_id=f"call_demo_{mark}"
            )
            yield ItemDone(call, call.id)
            written = len(call.arguments)
        yield Completed(f"resp_demo_{mark}", usage(request, items, written))


def reply(items: Sequence[ev.ResponseItem], tools: frozenset[str]) -> str | tuple[str, ...]:
    """What the demo says to a history: a text, or the statuses of a plan's steps for a call of
    `update_plan`."""
    said = [text for text in map(_user_text, items) if text is not None]
    last = items[-1] if items else None
    if isinstance(last, ev.FunctionCallOutput):
        return _after_plan(items)
    if not said:
        return "Hello! I am the demo model. Say something and I will answer."
    if said[-1].startswith(_COMPACTION):
        return f"So far the user has written: {_quoted(said[:-1])}."
    if _PLAN.search(said[-1]) and "update_plan" in tools:
        return ("in_progress", "pending", "pending")
    opening = "Hello! " if _GREETING.match(said[-1]) else f"You wrote {_quoted(said[-1:])}. "
    count = f"This is message {len(said)} of our session, and its history holds {len(items)} items. "
    return f"{opening}{count}{_CLOSINGS[zlib.crc32(said[-1].encode()) % len(_CLOSINGS)]}"


def usage(request: ModelRequest, items: Sequence[ev.ResponseItem], written: int) -> ev.TokenUsage:
    """Four characters a token; what the model has seen in an earlier request of the thread counts as
    cached."""
    sizes = [len(bytes(raw)) for raw in request.body.input]
    fixed = len(request.body.instructions or "") + sum(len(bytes(tool)) for tool in request.body.tools)
    answers = [index for index, item in enumerate(items) if _is_answer(item)]
    seen = fixed + sum(sizes[: answers[-1]]) if answers else 0
    prompt, output = (fixed + sum(sizes)) // 4, max(written // 4, 1)
    return ev.TokenUsage(
        input_tokens=prompt,
        cached_input_tokens=min(seen // 4, prompt),
        output_tokens=output,
        reasoning_output_tokens=0,
        total_tokens=prompt + output,
    )


def _after_plan(items: Sequence[ev.ResponseItem]) -> str | tuple[str, ...]:
    """One step further with every call, then a closing text."""
    turn = _since_user(items)
    done = sum(isinstance(item, ev.FunctionCall) and item.name == "update_plan" for item in turn)
    if 0 < done <= len(_STEPS):
        return ("completed",) * done + ("in_progress", "pending")[: len(_STEPS) - done]
    return f"The plan is done: {', '.join(_STEPS).lower()}. It was only a demonstration; no file has changed."


def _since_user(items: Sequence[ev.ResponseItem]) -> Sequence[ev.ResponseItem]:
    starts = [index for index, item in enumerate(items) if _user_text(item) is not None]
    return items[starts[-1] :] if starts else items


def _plan(statuses: tuple[str, ...]) -> str:
    steps = [{"step": step, "status": status} for step, status in zip(_STEPS, statuses, strict=True)]
    return msgspec.json.encode({"plan": steps}).decode()


def _tools(request: ModelRequest) -> frozenset[str]:
    names = (msgspec.json.decode(tool, type=_Named).name for tool in request.body.tools)
    return frozenset(name for name in names if name is not None)


class _Named(msgspec.Struct, frozen=True):
    name: str | None = None


def _is_answer(item: ev.ResponseItem) -> bool:
    said = isinstance(item, ev.Message) and item.role == "assistant"
    return said or isinstance(item, ev.FunctionCall | ev.CustomToolCall)


def _user_text(item: ev.ResponseItem) -> str | None:
    """The text of what the user wrote; None for anything else, such as context the engine added."""
    if not isinstance(item, ev.Message) or item.role != "user":
        return None
    text = "".join(part.text for part in item.content if isinstance(part, ev.InputText))
    return None if text.startswith(_CONTEXT) else text


def _quoted(texts: Sequence[str]) -> str:
    short = (text if len(text) <= _QUOTE_LIMIT else f"{text[:_QUOTE_LIMIT]}..." for text in texts)
    return ", ".join(f"“{text.strip()}”" for text in short) or "nothing"
