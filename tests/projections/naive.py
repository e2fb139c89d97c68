"""The folds once more, as plainly as the spec says them: everything in memory, nothing clever. Only to compare with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from projections import protocol as p
from projections.items import event_item, own_id
from projections.messages import is_context, is_user_input
from projections.turns import affects_turn
from projections.window_items import WindowItem, compacted_history, user_texts, window_item
from rollouts import codec
from rollouts import events as ev

NUMBERED = (ev.AgentMessage, ev.ContextCompacted, ev.EnteredReviewMode, ev.ExitedReviewMode)
NAMED = (
    ev.ExecCommandEnd,
    ev.PatchApplyEnd,
    ev.GuardianAssessment,
    ev.ItemCompleted,
    ev.DynamicToolCallRequest,
    ev.DynamicToolCallResponse,
)


class NaiveTurn:
    def __init__(self, turn_id: str, explicit: bool) -> None:
        self.id = turn_id
        self.status: p.TurnStatus = "inProgress" if explicit else "completed"
        self.explicit = explicit
        self.compaction = False
        self.items: list[Any] = []
        self.error: ev.ErrorEvent | None = None
        self.times: tuple[int | None, int | None, int | None] = (None, None, None)

    def upsert(self, item: Any) -> None:
        for index, other in enumerate(self.items):
            if other.id == item.id:
                self.items[index] = item
                return
        self.items.append(item)


class NaiveTurns:
    """thread-lifecycle.md 15, line by line."""

    def __init__(self) -> None:
        self.done: list[NaiveTurn] = []
        self.open: NaiveTurn | None = None
        self.k = 1
        self.n = -1
        self.owner: tuple[str, int] | None = None

    def fold(self, lines: Iterable[codec.Line | codec.BadLine]) -> NaiveTurns:
        for line in lines:
            if isinstance(line, codec.Line) and codec.counts(line.body):
                self.n += 1
                self.see(line.body)
        return self

    def finished(self) -> list[NaiveTurn]:
        """The turns as they would be if the file ended here."""
        open_turn = [self.open] if self.open and self.keeps(self.open) else []
        return self.done + open_turn

    def keeps(self, turn: NaiveTurn) -> bool:
        return bool(turn.items) or turn.explicit or turn.compaction

    def close(self) -> None:
        if self.open and self.keeps(self.open):
            self.done.append(self.open)
        self.open = None

    def current(self) -> NaiveTurn:
        self.open = self.open or NaiveTurn(f"rollout-{self.n}", explicit=False)
        return self.open

    def find(self, turn_id: str | None) -> NaiveTurn | None:
        turns = ([self.open] if self.open else []) + self.done
        return next((turn for turn in turns if turn.id == turn_id), None)

    def number(self) -> str:
        self.k += 1
        return f"item-{self.k - 1}"

    def see(self, body: Any) -> None:
        if isinstance(body, ev.TaskStarted):
            self.close()
            self.open = NaiveTurn(body.turn_id, explicit=True)
            self.open.times = (body.started_at, None, None)
        elif isinstance(body, ev.TaskComplete):
            turn = self.find(body.turn_id) or self.open
            if turn:
                turn.status = "completed" if turn.status == "inProgress" else turn.status
                turn.times = (turn.times[0], body.completed_at, body.duration_ms)
            if turn is self.open:
                self.close()
        elif isinstance(body, ev.TurnAborted):
            turn = (self.find(body.turn_id) if body.turn_id else None) or self.open
            if turn:
                turn.status = "interrupted"
                turn.times = (turn.times[0], body.completed_at, body.duration_ms)
        elif isinstance(body, ev.ThreadRolledBack):
            self.close()
            self.done = self.done[: max(len(self.done) - body.num_turns, 0)]
            self.k = sum(len(turn.items) for turn in self.done) + 1
        elif isinstance(body, ev.Compacted):
            self.current().compaction = True
        elif isinstance(body, ev.TokenCount):
            if self.open:
                self.owner = (self.open.id, len(self.done))
            else:
                self.owner = (self.done[-1].id, len(self.done) - 1) if self.done else None
        elif isinstance(body, ev.ErrorEvent):
            if self.open and affects_turn(body.codex_error_info):
                self.open.status, self.open.error = "failed", body
        elif isinstance(body, ev.UserMessage):
            turn = self.open
            if turn and not turn.explicit and not (turn.compaction and not turn.items):
                self.close()
            self.current().items.append(event_item(body, self.number()))
        elif isinstance(body, NUMBERED):
            if event_item(body, "") is not None:
                self.current().items.append(event_item(body, self.number()))
        elif isinstance(body, ev.AgentReasoning | ev.AgentReasoningRawContent):
            self.reason(body)
        else:
            self.see_call(body)

    def reason(self, body: ev.AgentReasoning | ev.AgentReasoningRawContent) -> None:
        if not body.text:
            return
        items = self.current().items
        if not items or not isinstance(items[-1], p.ReasoningThreadItem):
            items.append(p.ReasoningThreadItem(id=self.number(), summary=[], content=[]))
        where = items[-1].summary if isinstance(body, ev.AgentReasoning) else items[-1].content
        where.append(body.text)

    def see_call(self, body: Any) -> None:
        if isinstance(body, ev.Message):
            item = event_item(body, body.id or "made up")
            if item is not None:
                self.current().items.append(item)
            return
        item_id = own_id(body)
        item = event_item(body, item_id) if item_id else None
        if item is None:
            return
        turn_id = getattr(body, "turn_id", "")
        if isinstance(body, NAMED) and (turn_id or isinstance(body, ev.ExecCommandEnd | ev.ItemCompleted)):
            turn = self.find(turn_id)
        else:
            turn = self.current()
        if turn:
            turn.upsert(item)


Entry = WindowItem | ev.TurnContext | ev.TaskStarted | ev.Compacted


class NaiveWindow:
    """thread-lifecycle.md 10 and 16: all surviving lines, from the first, folded at the end."""

    def __init__(self) -> None:
        self.lines: list[ev.Body] = []
        self.compactions = 0

    def fold(self, lines: Iterable[codec.Line | codec.BadLine]) -> NaiveWindow:
        for line in lines:
            if isinstance(line, codec.Line):
                self.see(line.body)
        return self

    def see(self, body: ev.Body) -> None:
        if isinstance(body, ev.ThreadRolledBack):
            self.roll_back(body.num_turns)
        elif isinstance(body, ev.ResponseItem | ev.TurnContext | ev.TaskStarted | ev.Compacted):
            self.compactions += isinstance(body, ev.Compacted)
            self.lines.append(body)

    def roll_back(self, count: int) -> None:
        users = [i for i, body in enumerate(self.lines) if isinstance(body, ev.Message) and is_user_input(body)]
        if not users or count == 0:
            return
        cut = users[-count] if count <= len(users) else users[0]
        before, drop = self.lines[:cut], set()
        in_turn = True
        only_context = True
        first = not any(isinstance(b, ev.Compacted) or (isinstance(b, ev.Message) and is_user_input(b)) for b in before)
        for i in range(cut - 1, -1, -1):
            body = before[i]
            if isinstance(body, ev.TurnContext) and in_turn:
                drop.add(i)
            if isinstance(body, ev.TaskStarted):
                in_turn = False
            if (isinstance(body, ev.ResponseItem) and window_item(body) is not None) or isinstance(body, ev.Compacted):
                context = isinstance(body, ev.Message) and is_context(body)
                only_context = only_context and context
                if only_context and not first:
                    drop.add(i)
        self.lines = [body for i, body in enumerate(before) if i not in drop]

    @property
    def items(self) -> list[WindowItem]:
        history: list[WindowItem] = []
        for body in self.lines:
            if isinstance(body, ev.ResponseItem):
                new: list[codec.Item] = [body]
            elif isinstance(body, ev.Compacted):
                if body.replacement_history is None:
                    new = list(compacted_history(user_texts(history), body.message))
                else:
                    new = [codec.decode_item(raw) for raw in body.replacement_history]  # type: ignore[misc]
                history = []
            else:
                continue
            history += [item for item in map(window_item, new) if item is not None]
        return history

    @property
    def previous_context(self) -> ev.TurnContext | None:
        return next((body for body in reversed(self.lines) if isinstance(body, ev.TurnContext)), None)

    @property
    def context(self) -> ev.TurnContext | None:
        for body in reversed(self.lines):
            if isinstance(body, ev.TurnContext):
                return body
            if isinstance(body, ev.Compacted):
                return None
        return None
