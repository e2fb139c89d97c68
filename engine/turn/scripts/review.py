"""A code review: another session reads the code, the parent shows what it says (spec turns 8).

The reviewer is a thread of its own with its own log. Here its events are shown as part of this turn, and its last
message becomes the result.
"""

from __future__ import annotations

from typing import cast

import msgspec

from engine.turn.effects import Submission
from engine.turn.ending import abort, complete
from engine.turn.machine import Interrupted, Run, Script, Turn
from engine.turn.ops import Op
from engine.turn.setup import TurnSetup
from projections.item_parts import review_text
from rollouts import events as ev

ASSISTANT_ID = "review_rollout_assistant"
NO_RESULT = "Review was interrupted. Please re-run /review and wait for it to complete."


class Spawn(Op, frozen=True):
    """Run a reviewer. Progress: its events. Result: its last message, None if it had none."""

    turn_id: str
    input: Submission


def review(turn: Turn, setup: TurnSetup, entered: ev.EnteredReviewMode) -> Script:
    """Run a review as a turn of this thread."""
    assert setup.input is not None  # a review has a prompt
    for message in setup.warnings:
        turn.emit(ev.Warning(message=message))
    turn.emit(entered)
    try:
        said: str | None = yield Run(Spawn(turn.id, setup.input), _Relay(turn, setup).take)
    except Interrupted as interruption:
        _leave(turn, setup, None)
        abort(turn, interruption.reason)
        return
    _leave(turn, setup, parse(said) if said else None)
    turn.first_token_ms = None
    complete(turn, None)


def _leave(turn: Turn, setup: TurnSetup, output: ev.ReviewOutput | None) -> None:
    """Say what came of the review, to the model and to clients; None: it has no result."""
    text = NO_RESULT if output is None else review_text(output)
    turn.emit(_told(output))
    turn.emit(ev.ExitedReviewMode(review_output=output))
    item = ev.AgentMessageItem(id=ASSISTANT_ID, content=(ev.AgentText(text),))
    turn.emit(ev.Message(role="assistant", content=(ev.OutputText(text),)))
    turn.emit(ev.ItemStarted(thread_id=setup.thread_id, turn_id=turn.id, item=item))
    turn.emit(ev.ItemCompleted(thread_id=setup.thread_id, turn_id=turn.id, item=item))
    turn.emit(ev.AgentMessage(message=text))


def parse(said: str) -> ev.ReviewOutput:
    """The reviewer's verdict; a text that is not the JSON it was asked for is taken as the explanation."""
    for candidate in (said, said[said.find("{") : said.rfind("}") + 1]):
        try:
            return msgspec.json.decode(candidate, type=ev.ReviewOutput)
        except (msgspec.DecodeError, RecursionError):
            continue
    return ev.ReviewOutput(findings=(), overall_correctness="", overall_explanation=said, overall_confidence_score=0.0)


def _told(output: ev.ReviewOutput | None) -> ev.Message:
    """How the parent's model hears of the review."""
    if output is None:
        what = "but it was interrupted before it had a result. Starting it again gives one."
        frame = f"<context>User initiated a review task, {what}", "None.", "</user_action>\n"
    else:
        what = "and the reviewer's output follows. The user may pick comments from it to be resolved."
        frame = f"<context>User initiated a review task, {what}", _results(output), "  </user_action>"
    context, results, end = frame
    told = (
        f"<user_action>\n  {context}</context>\n  <action>review</action>\n  <results>\n  "
        f"{results}\n  </results>\n{end}\n"
    )
    return ev.Message(role="user", content=(ev.InputText(told),))


def _results(output: ev.ReviewOutput) -> str:
    """A review as the parent's model sees it: like that of clients, but for one that has no explanation."""
    if output.overall_explanation.strip():
        return review_text(output)
    return f"\n\n{review_text(output)}" if output.findings else ""


class _Relay:
    """Shows the reviewer's events in the parent's turn."""

    def __init__(self, turn: Turn, setup: TurnSetup) -> None:
        self._turn = turn
        self._thread_id = setup.thread_id
        self._message: ev.AgentMessage | None = None
        """The reviewer's last message: its result, unless another one follows."""

    def take(self, event: ev.Body) -> None:
        """Handle one event of the reviewer."""
        match event:
            case ev.AgentMessage():
                if self._message is not None:
                    self._turn.emit(self._message)
                self._message = event
            case ev.UserMessage() | ev.AgentReasoning() | ev.AgentReasoningRawContent():
                # The reference writes these twice: as the old form of the item, and as heard from the reviewer.
                self._turn.emit(event)
                self._turn.emit(event)
            case ev.ItemCompleted(item=ev.AgentMessageItem()) | ev.AgentMessageContentDelta():
                pass
            case ev.TaskStarted():
                self._turn.emit(event)
            case ev.ErrorEvent():
                self._turn.emit(event)
                self._turn.emit(
                    ev.TurnErrorLine(
                        turn_id=self._turn.id, message=event.message, codex_error_info=event.codex_error_info
                    )
                )
            case ev.EventMsg() if not isinstance(event, _KEPT_BACK):
                self._turn.emit(self._as_ours(event))

    def _as_ours(self, event: ev.EventMsg) -> ev.Body:
        """The event as one of the parent's thread and turn."""
        ours = {"thread_id": self._thread_id, "turn_id": self._turn.id}
        about = {name: value for name, value in ours.items() if name in event.__struct_fields__}
        return cast("ev.Body", msgspec.structs.replace(event, **about))


_KEPT_BACK = (ev.TokenCount, ev.TaskComplete, ev.TurnAborted, ev.ThreadNameUpdated)
"""What the reviewer's session says of itself."""
