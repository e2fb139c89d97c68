"""Response items as clients and the log see them: turn items and the events that go before the item's own line."""

from __future__ import annotations

from collections.abc import Iterator

from rollouts import events as ev


def turn_item(item_id: str, item: ev.ResponseItem | ev.OtherItem) -> ev.TurnItem | None:
    """The turn item that shows a response item; None for what clients see otherwise (calls) or not at all."""
    match item:
        case ev.Message(role="assistant"):
            return ev.AgentMessageItem(id=item_id, content=tuple(map(ev.AgentText, texts(item))), phase=item.phase)
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


def query(action: ev.WebSearchAction) -> str:
    """What a web search looked for, in one line: the query, the page, or what in which page (spec turns 6)."""
    if action.type == "find_in_page":
        return f"'{action.pattern}' in {action.url}" if action.url else f"'{action.pattern}'"
    if action.type == "open_page":
        return action.url or ""
    return action.query or (action.queries[0] if action.queries else "")


def legacy(shown: ev.TurnItem, raw_reasoning: bool) -> Iterator[ev.EventMsg]:
    """The events that say the same in the rollout's older vocabulary; they go before the item's own line."""
    match shown:
        case ev.AgentMessageItem():
            for part in shown.content:
                yield ev.AgentMessage(message=part.text, phase=shown.phase)
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
