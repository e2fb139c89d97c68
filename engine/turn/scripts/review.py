"""A code review: another session reads the code, the parent shows what it says (spec turns 8).

The reviewer is a thread of its own with its own log. Here its events are shown as part of this turn, and its last
message becomes the result.
"""

from __future__ import annotations

import msgspec

from engine.turn.effects import Submission
from engine.turn.ending import abort, complete
from engine.turn.machine import Interrupted, Run, Script, Turn
from engine.turn.ops import Op
from engine.turn.setup import TurnSetup
from projections.item_parts import review_text
from rollouts import events as ev

ASSISTANT_ID = "review_rollout_assistant"
INTERRUPTED = "The review was interrupted before it had a result. Start it again to have one."


class Spawn(Op, frozen=True):
    """Run a reviewer. Progress: its events. Result: its last message, None if it had none."""

    turn_id: str
    input: Submission


def review(turn: Turn, setup: TurnSetup, entered: ev.EnteredReviewMode) -> Script:
    """Run a review as a turn of this thread."""
    assert setup.input is not None  # a review has a prompt
    turn.emit(entered)
    try:
        said: str | None = yield Run(Spawn(turn.id, setup.input), _Relay(turn, setup).take)
    except Interrupted as interruption:
        turn.emit(_told(INTERRUPTED))
        turn.emit(ev.ExitedReviewMode(review_output=None))
        abort(turn, setup, interruption.reason)
        return
    output = parse(said) if said else None
    text = review_text(output)
    turn.emit(_told(text))
    turn.emit(ev.ExitedReviewMode(review_output=output))
    item = ev.AgentMessageItem(id=ASSISTANT_ID, content=(ev.AgentText(text),))
    turn.emit(ev.Message(role="assistant", content=(ev.OutputText(text),)))
    turn.emit(ev.ItemStarted(thread_id=setup.thread_id, turn_id=turn.id, item=item))
    turn.emit(ev.ItemCompleted(thread_id=setup.thread_id, turn_id=turn.id, item=item))
    turn.emit(ev.AgentMessage(message=text))
    turn.first_token_ms = None
    complete(turn, None)


def parse(said: str) -> ev.ReviewOutput:
    """The reviewer's verdict; a text that is not the JSON it was asked for is taken as the explanation."""
    for candidate in (said, said[said.find("{") : said.rfind("}") + 1]):
        try:
            return msgspec.json.decode(candidate, type=ev.ReviewOutput)
        except msgspec.DecodeError:
            continue
    return ev.ReviewOutput(findings=(), overall_correctness="", overall_explanation=said, overall_confidence_score=0.0)


def _told(text: str) -> ev.Message:
    """How the parent's model hears of the review."""
    told = (
        "<user_action>\n  <context>User initiated a review task. Here's the full review output from reviewer model. "
        "User may select one or more comments to resolve.</context>\n  <action>review</action>\n  <results>\n  "
        f"{text}\n  </results>\n  </user_action>\n"
    )
    return ev.Message(role="user", content=(ev.InputText(told),))


class _Relay:
    """Shows the reviewer's events in the parent's turn."""

    def __init__(self, turn: Turn, setup: TurnSetup) -> None:
        self._turn = turn
        self._thread_id = setup.thread_id

    def take(self, event: ev.Body) -> None:
        """Handle one event of the reviewer."""
        about = {"thread_id": self._thread_id, "turn_id": self._turn.id}
        match event:
            case ev.TaskStarted() | ev.Warning():
                self._turn.emit(event)
            case ev.UserMessage():
                # The reference writes it twice: as the prompt of the review and as heard from the reviewer.
                self._turn.emit(event)
                self._turn.emit(event)
            case ev.ItemCompleted(item=ev.AgentMessageItem()):
                pass
            case ev.ItemStarted() | ev.ItemCompleted():
                self._turn.emit(msgspec.structs.replace(event, **about))
            case ev.ExecCommandBegin() | ev.ExecCommandEnd():
                self._turn.emit(msgspec.structs.replace(event, turn_id=self._turn.id))
            case ev.ExecCommandOutputDelta() | ev.PlanUpdate():
                self._turn.emit(event)
