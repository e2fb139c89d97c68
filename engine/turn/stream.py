"""Model stream to events: what each piece of a reply means for the log and for clients (spec turns 6).

One `Reply` lives for one attempt. It emits events in the reference's order: for a finished item first what
clients and the log see of it, then the response item itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from engine.turn import replies as rp
from engine.turn.agent_messages import AgentMessages
from engine.turn.call import start_call
from engine.turn.items import legacy, saved_note, says_something, turn_item
from engine.turn.machine import CallItem, Interrupted, Join, PatchFollower, Run, Script, Task, Turn
from engine.turn.ops import SavedImage, SaveImage
from engine.turn.setup import TurnSetup
from projections import usage
from rollouts import events as ev


class Reply:
    """Takes the stream events of one attempt."""

    def __init__(self, turn: Turn, setup: TurnSetup) -> None:
        self._turn = turn
        self._thread_id = setup.thread_id
        self._setup = setup
        self._active: ev.TurnItem | None = None
        """What began last and is not done. Pieces belong to it, whatever item they name (observed)."""
        self._messages = AgentMessages(turn, setup, self._start, self._complete)
        self._patches: dict[str, tuple[str, PatchFollower]] = {}
        """Patches the model is writing: call id and follower by item id and by call id."""
        self._saving: Task | None = None
        self._held: list[rp.StreamEvent] = []
        """What came while an image was being saved: it is handled afterwards, so that the order stays."""
        self.last_message: str | None = None
        """Text of the last assistant message of this reply."""

    def take(self, event: rp.StreamEvent) -> None:
        """Handle one stream event."""
        if self._saving is not None:
            self._held.append(event)
            return
        if self._turn.first_token_ms is None and says_something(event):
            self._turn.first_token_ms = self._turn.elapsed_ms
        _TAKE[type(event)](self, event)

    def settled(self) -> Script:
        """Wait until everything taken has been handled."""
        while self._saving is not None:
            yield Join([self._saving])

    def _headers(self, event: rp.Headers) -> None:
        turn = self._turn
        turn.turn_state = turn.turn_state or event.turn_state
        if event.model is not None:
            self._who(event.model)
        for snapshot in event.rate_limits:
            turn.count(usage.after_headers(turn.usage, snapshot))

    def _served(self, event: rp.ServedBy) -> None:
        self._who(event.model)

    def _who(self, served: str) -> None:
        if served.lower() != self._setup.model.lower() and not self._turn.rerouted:
            self._turn.rerouted = True
            self._reroute(served)

    def _limits(self, event: rp.RateLimits) -> None:
        self._turn.count(usage.after_headers(self._turn.usage, event.snapshot))

    def _reroute(self, served: str) -> None:
        """The server answers with another model: say so once per turn, to clients and to the model."""
        asked = self._setup.model
        self._turn.emit(ev.ModelReroute(from_model=asked, to_model=served, reason="high_risk_cyber_activity"))
        text = (
            f"This request was answered by {served} in place of {asked}, as your account was flagged for possible "
            "high-risk cyber activity. Those who do such work with good reason can apply for trusted access: "
            "https://chatgpt.com/cyber. What is behind it: "
            "https://developers.openai.com/codex/concepts/cyber-safety"
        )
        self._turn.emit(ev.Warning(message=text))
        self._turn.emit(ev.Message(role="user", content=(ev.InputText(text=f"Warning: {text}"),)))

    def _added(self, event: rp.ItemAdded) -> None:
        item = turn_item(self._named(event), event.item)
        if isinstance(event.item, ev.CustomToolCall) and event.item.name == "apply_patch":
            self._follow(event.item.call_id, event.id)
        if item is None:
            return
        self._active = item
        if isinstance(item, ev.AgentMessageItem):
            self._messages.begin(item)
        elif isinstance(item, ev.ImageGenerationItem):
            self._save(item, None)
        else:
            self._start(item)

    def _named(self, event: rp.ItemAdded | rp.ItemDone) -> str:
        """The model's id of an item. Messages that have none get one, the others stay without (observed)."""
        if isinstance(event.item, ev.Message):
            own = event.id if event.item.role == "assistant" else None
            return next(self._turn.ids) if own is None else own
        return event.id or ""

    def _follow(self, call_id: str, item_id: str | None) -> None:
        if self._turn.follow_patch is not None:
            self._patches[call_id] = (call_id, self._turn.follow_patch())
            if item_id:
                self._patches[item_id] = self._patches[call_id]

    def _patch_piece(self, event: rp.CustomInputDelta) -> None:
        call_id, follower = self._patches.get(event.item_id or event.call_id or "", (None, None))
        if call_id is not None and follower is not None:
            self._patch_changed(call_id, follower.feed(self._turn.now.timestamp(), event.delta))

    def _patch_changed(self, call_id: str, changes: dict[str, ev.FileChange] | None) -> None:
        if changes is not None:
            self._turn.emit(ev.PatchApplyUpdated(call_id=call_id, changes=changes))

    def _text(self, event: rp.TextDelta) -> None:
        if isinstance(self._active, ev.AgentMessageItem):
            self._messages.feed(event.delta)
        elif self._active is not None:
            item_id, delta = self._active.id, event.delta
            self._turn.emit(
                ev.AgentMessageContentDelta(
                    thread_id=self._thread_id, turn_id=self._turn.id, item_id=item_id, delta=delta
                )
            )

    def _part(self, event: rp.SummaryPartAdded) -> None:
        if self._active is not None:
            self._turn.emit(ev.AgentReasoningSectionBreak(item_id=self._active.id, summary_index=event.summary_index))

    def _summary(self, event: rp.SummaryTextDelta) -> None:
        if self._active is not None:
            self._turn.emit(
                ev.ReasoningContentDelta(
                    thread_id=self._thread_id,
                    turn_id=self._turn.id,
                    item_id=self._active.id,
                    delta=event.delta,
                    summary_index=event.summary_index,
                )
            )

    def _raw(self, event: rp.ReasoningTextDelta) -> None:
        if self._active is not None:
            self._turn.emit(
                ev.ReasoningRawContentDelta(
                    thread_id=self._thread_id,
                    turn_id=self._turn.id,
                    item_id=self._active.id,
                    delta=event.delta,
                    content_index=event.content_index,
                )
            )

    def _done(self, event: rp.ItemDone) -> None:
        item = event.item
        shown = turn_item(self._named(event), item)
        begun, self._active = self._active is not None, None
        if isinstance(item, ev.ImageGenerationCall) and isinstance(shown, ev.ImageGenerationItem):
            self._save(shown, item, begun)
            return
        if isinstance(shown, ev.AgentMessageItem):
            self.last_message = self._messages.end(shown, begun=begun) or self.last_message
        else:
            self._messages.flush()
            if shown is not None:
                if not begun:
                    self._start(shown)
                self._complete(shown)
        self._turn.emit(item)
        if isinstance(item, ev.CustomToolCall) and item.call_id in self._patches:
            self._patch_changed(item.call_id, self._patches[item.call_id][1].flush())
        if isinstance(item, CallItem) and not _elsewhere(item):
            start_call(self._turn, item)

    def _complete(self, shown: ev.TurnItem) -> None:
        self._turn.emit(ev.ItemCompleted(thread_id=self._thread_id, turn_id=self._turn.id, item=shown))
        for told in legacy(shown, self._setup.show_raw_reasoning):
            self._turn.emit(told)

    def _save(self, shown: ev.ImageGenerationItem, done: ev.ImageGenerationCall | None, begun: bool = False) -> None:
        """Save an image; it is shown as started, or as completed when it is `done`, after a start unless it has
        `begun`."""
        self._saving = self._turn.spawn(self._image(shown, done, begun))

    def _image(self, shown: ev.ImageGenerationItem, done: ev.ImageGenerationCall | None, begun: bool) -> Script:
        empty = msgspec.structs.replace(shown, status="in_progress", result="")
        if done is not None and not begun:
            self._start(msgspec.structs.replace(empty, revised_prompt=None))
        try:
            saved: SavedImage | None = yield Run(SaveImage(shown.id, shown.result))
        except Interrupted:
            saved = None
            self._held.clear()
        if saved is not None:
            self._turn.emit(saved_note(saved.folder))
        path = saved.path if saved is not None else None
        if done is None:
            self._start(msgspec.structs.replace(empty, saved_path=path))
        else:
            self._complete(msgspec.structs.replace(shown, saved_path=path))
            self._turn.emit(done)
        self._saving = None
        held, self._held = self._held, []
        for event in held:
            self.take(event)

    def _start(self, item: ev.TurnItem) -> None:
        self._turn.emit(ev.ItemStarted(thread_id=self._thread_id, turn_id=self._turn.id, item=item))

    def _completed(self, event: rp.Completed) -> None:
        self._messages.flush()
        self._turn.count(usage.after_reply(self._turn.usage, event.usage, self._setup.context_window))

    def _ignored(self, event: rp.StreamEvent) -> None:
        """Pieces that say nothing to clients or the log."""


def _elsewhere(item: CallItem) -> bool:
    """Whether the provider sees to a search for tools itself."""
    return isinstance(item, ev.ToolSearchCall) and (item.execution != "client" or item.call_id is None)


_TAKE: dict[type, Callable[[Reply, Any], None]] = {
    rp.Headers: Reply._headers,
    rp.ItemAdded: Reply._added,
    rp.TextDelta: Reply._text,
    rp.SummaryPartAdded: Reply._part,
    rp.SummaryTextDelta: Reply._summary,
    rp.ReasoningTextDelta: Reply._raw,
    rp.CustomInputDelta: Reply._patch_piece,
    rp.Created: Reply._ignored,
    rp.RateLimits: Reply._limits,
    rp.ServedBy: Reply._served,
    rp.ItemDone: Reply._done,
    rp.Completed: Reply._completed,
}


class Summary:
    """Takes the stream of a compaction: its usage counts, its text is kept, nothing of it is shown."""

    def __init__(self, turn: Turn, setup: TurnSetup) -> None:
        self._turn = turn
        self._setup = setup
        self.text = ""

    def take(self, event: rp.StreamEvent) -> None:
        """Handle one stream event."""
        match event:
            case rp.Headers(rate_limits=snapshots):
                for snapshot in snapshots:
                    self._turn.count(usage.after_headers(self._turn.usage, snapshot))
            case rp.ItemDone(item=ev.Message(role="assistant") as message):
                self.text = "".join(part.text for part in message.content if isinstance(part, ev.OutputText))
            case rp.Completed():
                self._turn.count(usage.after_reply(self._turn.usage, event.usage, self._setup.context_window))
