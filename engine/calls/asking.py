"""Tools that are answered by people or clients: `request_user_input` and the client's own tools (tools.md 5, 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from engine.calls.arguments import parse
from engine.turn.machine import Run, Script, Turn
from engine.turn.ops import Ask
from engine.turn.replies import CallFailed
from projections import protocol as p
from rollouts import codec
from rollouts import events as ev

if TYPE_CHECKING:
    from engine.calls.toolbox import Toolbox


class RequestUserInputQuestionOption(msgspec.Struct, frozen=True):
    """An answer to choose."""

    label: str
    description: str


class RequestUserInputQuestion(msgspec.Struct, frozen=True, rename="camel"):
    """A question to the user; `is_secret` keeps the answer off the screen."""

    id: str
    header: str
    question: str
    options: tuple[RequestUserInputQuestionOption, ...] | None = None
    is_secret: bool = False


class RequestUserInputArgs(msgspec.Struct, frozen=True):
    """Arguments of `request_user_input`."""

    questions: tuple[RequestUserInputQuestion, ...]


def request_user_input(box: Toolbox, turn: Turn, call: ev.FunctionCall) -> Script:
    """Put the model's questions to the user; outside of plan mode only if a feature allows it."""
    settings = box.settings
    if settings.mode != "plan" and not settings.config.feature("default_mode_request_user_input"):
        raise CallFailed("request_user_input is unavailable in Default mode")
    asked = parse(call.arguments, RequestUserInputArgs)
    if not all(each.options for each in asked.questions):
        raise CallFailed("request_user_input requires non-empty options for every question")
    questions = [
        p.ToolRequestUserInputQuestion(
            id=each.id,
            header=each.header,
            question=each.question,
            is_other=True,
            is_secret=each.is_secret,
            options=[
                p.ToolRequestUserInputOption(label=option.label, description=option.description)
                for option in each.options or ()
            ],
        )
        for each in asked.questions
    ]
    turn.emit(ev.RequestUserInput(call_id=call.call_id, turn_id=turn.id, questions=codec.open_json(questions)))
    params = p.ToolRequestUserInputParams(
        thread_id=box.thread_id, turn_id=turn.id, item_id=call.call_id, questions=questions
    )
    answer: p.ToolRequestUserInputResponse = yield Run(Ask("item/tool/requestUserInput", params))
    turn.emit(ev.QuestionClosed(call_id=call.call_id))
    return msgspec.json.encode(answer).decode()


def dynamic_tool(box: Toolbox, turn: Turn, call: ev.FunctionCall) -> Script:
    """Let the client that offered the tool run it."""
    arguments = parse(call.arguments, msgspec.Raw)
    about: dict[str, Any] = {
        "call_id": call.call_id,
        "turn_id": turn.id,
        "namespace": call.namespace,
        "tool": call.name,
        "arguments": arguments,
    }
    started = turn.now
    turn.emit(ev.DynamicToolCallRequest(**about))
    params = p.DynamicToolCallParams(
        thread_id=box.thread_id,
        turn_id=turn.id,
        call_id=call.call_id,
        namespace=call.namespace,
        tool=call.name,
        arguments=msgspec.json.decode(arguments),
    )
    answer: p.DynamicToolCallResponse = yield Run(Ask("item/tool/call", params))
    content = tuple(map(_content, answer.content_items))
    turn.emit(
        ev.DynamicToolCallResponse(
            **about,
            content_items=content,
            success=answer.success,
            error=None,
            duration=ev.Duration.of_seconds((turn.now - started).total_seconds()),
        )
    )
    if len(content) == 1 and isinstance(content[0], ev.DynamicText):
        return content[0].text
    return tuple(map(_part, content))


def _content(item: p.DynamicToolCallOutputContentItem) -> ev.DynamicContent:
    if isinstance(item, p.InputTextDynamicToolCallOutputContentItem):
        return ev.DynamicText(text=item.text)
    return ev.DynamicImage(image_url=item.image_url)


def _part(item: ev.DynamicContent) -> ev.InputText | ev.InputImage:
    if isinstance(item, ev.DynamicText):
        return ev.InputText(item.text)
    return ev.InputImage(item.image_url, detail="high")
