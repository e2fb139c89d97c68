"""Response items as clients and the log see them: turn items and the events that go before the item's own line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from engine.turn import replies as rp
from projections.messages import as_read
from rollouts import events as ev

_OUTPUT: Final = (
    ev.LocalShellCall,
    ev.FunctionCall,
    ev.CustomToolCall,
    ev.ToolSearchCall,
    ev.WebSearchCall,
    ev.ImageGenerationCall,
    ev.GhostSnapshot,
    ev.Compaction,
)
"""Items that are output of the model whatever they hold."""


def says_something(event: rp.StreamEvent) -> bool:
    """Whether an event counts as the first output of the model."""
    match event:
        case rp.TextDelta() | rp.SummaryTextDelta() | rp.ReasoningTextDelta() | rp.CustomInputDelta():
            return True
        case rp.ItemAdded(item=item) | rp.ItemDone(item=item):
            return _says(item)
    return False


def _says(item: ev.ResponseItem | ev.OtherItem) -> bool:
    match item:
        case ev.Message():
            return item.role == "assistant" and any(texts(item))
        case ev.Reasoning():
            return any(part.text for part in (*item.summary, *(item.content or ())))
    return isinstance(item, _OUTPUT)


def turn_item(item_id: str, item: ev.ResponseItem | ev.OtherItem) -> ev.TurnItem | None:
    """The turn item that shows a response item; None for what clients see otherwise (calls) or not at all."""
    match item:
        case ev.Message(role="assistant"):
            return ev.AgentMessageItem(id=item_id, content=(ev.AgentText("".join(texts(item))),), phase=item.phase)
        case ev.Message(role="user"):
            return ev.UserMessageItem(id=item_id, content=tuple(as_read(item)))
        case ev.Reasoning():
            return ev.ReasoningItem(
                id=item_id,
                summary_text=tuple(part.text for part in item.summary),
                raw_content=tuple(part.text for part in item.content or ()),
            )
        case ev.WebSearchCall():
            action = item.action or ev.WebSearchAction(type="other")
            return ev.WebSearchItem(id=item_id, query=query(action), action=action)
        case ev.ImageGenerationCall():
            return ev.ImageGenerationItem(
                id=item.id, status=item.status, revised_prompt=item.revised_prompt, result=item.result
            )
    return None


def saved_note(folder: str) -> ev.Message:
    """What the model is told of the place of its images."""
    text = (
        f"The images you generate are kept in {folder}, each as {folder}/<image id>.png. To have one somewhere else, "
        "copy it; leave the file itself where it is unless the user asks for it to be deleted."
    )
    return ev.Message(role="developer", content=(ev.InputText(text=text),))


def texts(message: ev.Message) -> list[str]:
    """The texts of an assistant message, part by part."""
    return [part.text for part in message.content if isinstance(part, ev.OutputText)]


def spoken(content: tuple[ev.UserInput, ...]) -> ev.UserMessage:
    """The event of the log for input without elements and files."""
    return ev.UserMessage(
        message="".join(part.text for part in content if isinstance(part, ev.TextInput)),
        images=tuple(part.image_url for part in content if isinstance(part, ev.ImageInput)),
    )


def query(action: ev.WebSearchAction) -> str:
    """What a web search looked for, in one line: the query, the page, or what in which page (spec turns 6)."""
    if action.type == "find_in_page":
        where = action.url or ""
        if action.pattern is None:
            return where
        return f"'{action.pattern}' in {where}" if where else f"'{action.pattern}'"
    if action.type == "open_page":
        return action.url or ""
    if action.query:
        return action.query
    first, *more = action.queries or ("",)
    return f"{first} ..." if first and more else first


def legacy(shown: ev.TurnItem, raw_reasoning: bool) -> Iterator[ev.EventMsg]:
    """The events that say the same in the rollout's older vocabulary; they go before the item's own line."""
    match shown:
        case ev.AgentMessageItem():
            for part in shown.content:
                yield ev.AgentMessage(message=part.text, phase=shown.phase, memory_citation=shown.memory_citation)
        case ev.UserMessageItem():
            yield spoken(shown.content)
        case ev.ReasoningItem():
            for text in shown.summary_text:
                yield ev.AgentReasoning(text=text)
            if raw_reasoning:
                for text in shown.raw_content:
                    yield ev.AgentReasoningRawContent(text=text)
        case ev.WebSearchItem():
            yield ev.WebSearchEnd(call_id=shown.id, query=shown.query, action=shown.action)
        case ev.ImageGenerationItem():
            yield ev.ImageGenerationEnd(
                call_id=shown.id,
                status=shown.status,
                revised_prompt=shown.revised_prompt,
                result=shown.result,
                saved_path=shown.saved_path,
            )
