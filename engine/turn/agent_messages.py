"""Assistant messages of a reply as they stream: what clients read of them, without citations and, in plan mode,
without the plan, which is an item of its own (spec turns 6).

In plan mode a message is shown as started with its first word, so that one that is only a plan is not shown at all.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from engine.turn import citations
from engine.turn.citations import CitationParser
from engine.turn.machine import Turn
from engine.turn.plan_block import Kind, PlanParser, split
from engine.turn.setup import TurnSetup
from rollouts import events as ev

Show = Callable[[ev.TurnItem], None]


class AgentMessages:
    """Takes the messages of one reply.

    :param start: shows an item as started.
    :param complete: shows an item as completed.
    """

    def __init__(self, turn: Turn, setup: TurnSetup, start: Show, complete: Show) -> None:
        self._turn = turn
        self._thread_id = setup.thread_id
        self._plans = setup.mode == "plan"
        self._start = start
        self._complete = complete
        self._streamed: ev.AgentMessageItem | None = None
        """What is being streamed."""
        self._started: str | None = None
        """Plan mode: id of the message that was last shown as started."""
        self._plan_started = False
        self._plan_told = False
        """A reply has one plan: that of the first message with one (observed)."""
        self._reset()

    def begin(self, item: ev.AgentMessageItem) -> None:
        """A message begins; the model may have written some of it already."""
        self.flush()
        self._streamed = msgspec.structs.replace(item, content=())
        if self._plans:
            self.feed(_text(item))
        else:
            visible = self._citations.feed(_text(item))
            self._start(msgspec.structs.replace(item, content=(ev.AgentText(visible),)))

    def feed(self, delta: str) -> None:
        """The message goes on."""
        self._show(self._citations.feed(delta))

    def flush(self) -> None:
        """No more pieces: what was held back of the message is text after all."""
        if self._streamed is None:
            return
        self._show(self._citations.finish())
        if self._plans:
            self._pieces(self._plan.finish())
        self._streamed = None
        self._reset()

    def end(self, item: ev.AgentMessageItem, *, begun: bool) -> str | None:
        """A message is whole; says what clients read of it, None for nothing.

        :param begun: some item has been shown as started and not as completed.
        """
        streamed = self._streamed
        self.flush()
        text, cited = citations.strip(_text(item))
        if self._plans:
            text = self._told_plan(text)
        item = msgspec.structs.replace(item, content=(ev.AgentText(text),), memory_citation=cited)
        if not self._plans:
            if not begun:
                self._start(item)
            self._complete(item)
        elif text.strip():
            self._started_as(streamed if streamed is not None and streamed.id == item.id else None, item.id)
            self._complete(item)
        return text if text.strip() else None

    def _reset(self) -> None:
        self._citations = CitationParser()
        self._plan = PlanParser()
        self._blank = ""

    def _show(self, text: str) -> None:
        if self._plans:
            self._pieces(self._plan.feed(text))
        elif text and self._streamed is not None:
            self._say(self._streamed.id, text)

    def _pieces(self, pieces: list[tuple[Kind, str]]) -> None:
        for kind, piece in pieces:
            if kind == "text":
                self._words(piece)
            elif kind == "opened":
                self._start_plan()
            elif not self._plan_told:
                self._turn.emit(
                    ev.PlanDelta(thread_id=self._thread_id, turn_id=self._turn.id, item_id=self._plan_id, delta=piece)
                )

    def _words(self, piece: str) -> None:
        """Plan mode: blanks before the first word wait for it."""
        self._blank += piece
        if self._streamed is not None and (self._started == self._streamed.id or self._blank.strip()):
            self._started_as(self._streamed, self._streamed.id)
            self._say(self._streamed.id, self._blank)
            self._blank = ""

    def _started_as(self, item: ev.AgentMessageItem | None, item_id: str) -> None:
        if self._started != item_id:
            self._started = item_id
            self._start(item or ev.AgentMessageItem(id=item_id, content=()))

    def _told_plan(self, text: str) -> str:
        """Complete the plan that a message holds; returns the rest of the message."""
        rest, plan = split(text)
        if plan is not None and not self._plan_told:
            self._start_plan()
            self._plan_told = True
            item = ev.PlanItem(id=self._plan_id, text=plan)
            self._turn.emit(ev.ItemCompleted(thread_id=self._thread_id, turn_id=self._turn.id, item=item))
        return rest

    @property
    def _plan_id(self) -> str:
        return f"{self._turn.id}-plan"

    def _start_plan(self) -> None:
        if not self._plan_started:
            self._plan_started = True
            self._start(ev.PlanItem(id=self._plan_id, text=""))

    def _say(self, item_id: str, delta: str) -> None:
        self._turn.emit(
            ev.AgentMessageContentDelta(thread_id=self._thread_id, turn_id=self._turn.id, item_id=item_id, delta=delta)
        )


def _text(item: ev.AgentMessageItem) -> str:
    return "".join(part.text for part in item.content)
