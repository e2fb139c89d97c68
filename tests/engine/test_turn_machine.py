"""The turn machine against a pure environment that answers in any order, at any time, with any outcome."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from engine.calls.plan import update_plan
from engine.turn import replies as rp
from engine.turn.effects import (
    Cancel,
    Done,
    Effect,
    Emit,
    Finish,
    Interrupt,
    Progress,
    Start,
    Steer,
    Submission,
)
from engine.turn.items import query
from engine.turn.machine import CallItem, Machine, Script, Turn
from engine.turn.ops import Sample
from engine.turn.replies import CallFailed
from engine.turn.scripts.regular import regular
from engine.turn.setup import TurnSetup
from projections.usage import Usage
from rollouts import events as ev

T = TypeVar("T")
START = datetime(2026, 4, 20, 10, 0, 0, tzinfo=UTC)
USAGE = ev.TokenUsage(
    input_tokens=10, cached_input_tokens=0, output_tokens=5, reasoning_output_tokens=0, total_tokens=15
)


CONTEXT = ev.TurnContext(cwd="/w", approval_policy="never", sandbox_policy=Raw(b"{}"), model="demo", summary="auto")


def submission(text: str) -> Submission:
    return Submission(
        messages=(ev.Message(role="user", content=(ev.InputText(text),)),),
        shown=ev.UserMessage(message=text, images=()),
        content=(ev.TextInput(text=text),),
    )


def ids() -> Iterator[str]:
    return (f"id-{n}" for n in itertools.count(1))


def setup(**changes: Any) -> TurnSetup:
    values: dict[str, Any] = {"stream_max_retries": 2, "model": "demo"} | changes
    return TurnSetup(
        thread_id="t",
        input=submission("hi"),
        opening=(),
        context=CONTEXT,
        context_window=1000,
        **values,
    )


def serve(turn: Turn, item: CallItem) -> Script:
    """The one tool of these tests; everything else is unknown."""
    if not isinstance(item, ev.FunctionCall) or item.name != "update_plan":
        raise CallFailed(f"unsupported call: {getattr(item, 'name', item)}")
    return (yield from update_plan(turn, item.arguments, "default"))


class World:
    """Runs a machine by hand and keeps what came out."""

    def __init__(self, **changes: object) -> None:
        self.turn = Turn("u", ids(), START, Usage(), itertools.repeat(1.0), serve)
        given = setup(**changes)
        self.machine = Machine(self.turn, lambda turn: regular(turn, given))
        self.now = START
        self.effects: list[Effect] = []
        self.open: dict[int, object] = {}
        self.ended: set[int] = set()
        self.started: set[int] = set()
        self._take(self.machine.start())

    def feed(self, make: object, *args: object) -> None:
        self.now += timedelta(milliseconds=7)
        self._take(self.machine.feed(make(self.now, *args)))  # type: ignore[operator]

    def _take(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Start):
                self.open[effect.key] = effect.op
                self.started.add(effect.key)
            elif isinstance(effect, Cancel):
                self.open.pop(effect.key)
                self.ended.add(effect.key)
        self.effects.extend(effects)

    def done(self, key: int, error: Exception | None = None) -> None:
        self.open.pop(key)
        self.ended.add(key)
        self.feed(Done, key, None, error)

    def events(self, kind: type[T]) -> list[T]:
        return [e.event for e in self.effects if isinstance(e, Emit) and isinstance(e.event, kind)]

    @property
    def outcome(self) -> str | None:
        return next((e.outcome for e in self.effects if isinstance(e, Finish)), None)


def say(text: str, item_id: str = "msg_1") -> rp.ItemDone:
    return rp.ItemDone(ev.Message(role="assistant", content=(ev.OutputText(text),)), item_id)


def call(name: str, call_id: str, arguments: str = "{}") -> rp.ItemDone:
    return rp.ItemDone(ev.FunctionCall(name=name, arguments=arguments, call_id=call_id), None)


def test_a_plain_turn_goes_from_task_started_to_task_complete() -> None:
    world = World()
    world.feed(Progress, 1, rp.Headers(rate_limits=(ev.RateLimitSnapshot(limit_id="codex"),)))
    world.feed(Progress, 1, say("hello"))
    world.feed(Progress, 1, rp.Completed("r", USAGE))
    world.done(1)
    kinds = [type(e.event).__name__ for e in world.effects if isinstance(e, Emit)]
    assert kinds == [
        "TaskStarted", "TurnContext", "Message", "ItemStarted", "ItemCompleted", "UserMessage",
        "TokenCount",
        "ItemStarted", "ItemCompleted", "AgentMessage", "Message",
        "TokenCount",
        "TaskComplete",
    ]  # fmt: skip
    complete = world.events(ev.TaskComplete)[0]
    assert isinstance(complete, ev.TaskComplete)
    assert (complete.last_agent_message, complete.duration_ms, complete.time_to_first_token_ms) == (
        "hello",
        28,
        14,
    )
    assert world.outcome == "completed"


def test_outputs_are_recorded_in_call_order_and_lead_to_another_request() -> None:
    world = World()
    world.feed(Progress, 1, call("update_plan", "a", '{"plan": [{"step": "x", "status": "pending"}]}'))
    world.feed(Progress, 1, call("nope", "b"))
    world.feed(Progress, 1, call("update_plan", "c", '{"plan": [{"step": "x", "status": "weird"}]}'))
    world.done(1)
    outputs = world.events(ev.FunctionCallOutput)
    assert [(o.call_id, o.output) for o in outputs[:2]] == [
        ("a", "Plan updated"),
        ("b", "unsupported call: nope"),
    ]
    assert str(outputs[2].output).startswith("failed to parse function arguments: ")
    assert list(world.open.values()) == [Sample("u")]


def test_steered_input_goes_into_one_further_request() -> None:
    world = World()
    world.feed(Steer, submission("more"))
    world.feed(Steer, submission("and more"))
    assert len(world.events(ev.UserMessage)) == 1
    world.feed(Progress, 1, say("first"))
    world.done(1)
    assert [m.message for m in world.events(ev.UserMessage)] == ["hi", "more", "and more"]
    world.done(2)
    assert world.outcome == "completed"


def test_input_that_the_model_never_saw_is_pending_after_an_interrupt() -> None:
    world = World()
    world.feed(Steer, submission("kept"))
    world.feed(Interrupt)
    assert [m.message for m in world.events(ev.UserMessage)] == ["hi"]
    assert [user.shown.message for user in world.machine.pending] == ["kept"]
    assert isinstance(world.effects[-3].event, ev.Message)  # type: ignore[union-attr]
    assert isinstance(world.effects[-2].event, ev.TurnAborted)  # type: ignore[union-attr]
    assert world.outcome == "interrupted"


def test_a_broken_stream_is_tried_again_until_the_retries_are_used_up() -> None:
    world = World()
    failure = rp.ModelFailure("stream disconnected", rp.OTHER, kind="stream", retry=rp.Retry())
    for attempt in (1, 2):
        world.done(max(world.open), failure)
        told = world.events(ev.StreamError)[-1]
        assert told.message == f"Reconnecting... {attempt}/2"
        world.done(max(world.open))
    world.done(max(world.open), failure)
    assert world.outcome == "failed"
    assert [e.message for e in world.events(ev.ErrorEvent)] == ["stream disconnected"]


def test_input_that_came_before_a_failure_is_asked_about_in_the_same_turn() -> None:
    world = World()
    world.feed(Steer, submission("pending"))
    world.done(1, rp.ModelFailure("bad", rp.OTHER, kind="stream"))
    assert [m.message for m in world.events(ev.UserMessage)] == ["hi", "pending"]
    assert (len(world.events(ev.ErrorEvent)), len(world.events(ev.TurnContext)), world.outcome) == (1, 2, None)
    world.feed(Progress, 2, say("next"))
    world.done(2)
    assert [done.last_agent_message for done in world.events(ev.TaskComplete)] == ["next"]


def test_a_failed_turn_says_when_the_model_began() -> None:
    world = World()
    world.feed(Progress, 1, say("half"))
    world.done(1, rp.ModelFailure("bad", rp.OTHER, kind="stream"))
    assert world.events(ev.TaskComplete)[0].time_to_first_token_ms == 7


def added(item: ev.ResponseItem, item_id: str | None) -> rp.ItemAdded:
    return rp.ItemAdded(item, item_id)


EMPTY = ev.Message(role="assistant", content=())


def test_pieces_belong_to_what_began_last_and_to_nothing_without_it() -> None:
    world = World()
    for event in (
        rp.TextDelta("lost"),
        added(EMPTY, "m1"),
        added(EMPTY, "m2"),
        rp.TextDelta("a"),
        say("a", "m2"),
        rp.TextDelta("lost"),
        rp.SummaryTextDelta("lost", 0),
        say("b", "m1"),
    ):
        world.feed(Progress, 1, event)
    assert [(d.item_id, d.delta) for d in world.events(ev.AgentMessageContentDelta)] == [("m2", "a")]
    assert world.events(ev.ReasoningContentDelta) == []
    assert [i.item.id for i in world.events(ev.ItemStarted)][1:] == ["m1", "m2", "m1"]
    assert [i.item.id for i in world.events(ev.ItemCompleted)][1:] == ["m2", "m1"]


def test_ids_that_the_model_leaves_out() -> None:
    world = World()
    for event in (
        rp.ItemDone(EMPTY, None),
        rp.ItemDone(ev.Reasoning(summary=()), None),
        rp.ItemDone(ev.WebSearchCall(), None),
    ):
        world.feed(Progress, 1, event)
    assert [i.item.id for i in world.events(ev.ItemCompleted)][1:] == ["id-2", "", ""]


def test_a_message_is_told_in_one_piece_and_one_of_the_user_as_input() -> None:
    world = World()
    parts = (ev.OutputText(text="a"), ev.OutputText(text="b"))
    world.feed(Progress, 1, rp.ItemDone(ev.Message(role="assistant", content=parts), "m1"))
    user = (
        ev.InputText(text="<image>"),
        ev.InputImage("data:x"),
        ev.InputText(text="</image>"),
        ev.InputText(text="u"),
    )
    world.feed(Progress, 1, rp.ItemDone(ev.Message(role="user", content=user), "m2"))
    assert [m.message for m in world.events(ev.AgentMessage)] == ["ab"]
    told = world.events(ev.UserMessage)[-1]
    assert (told.message, told.images) == ("u", ("data:x",))
    item = world.events(ev.ItemCompleted)[-1].item
    assert isinstance(item, ev.UserMessageItem)
    assert item.content == (ev.ImageInput("data:x"), ev.TextInput("u"))


def test_what_says_nothing_is_no_first_token() -> None:
    world = World()
    world.feed(Progress, 1, added(EMPTY, "m1"))
    world.feed(Progress, 1, rp.ItemDone(ev.Reasoning(summary=()), "r"))
    assert world.turn.first_token_ms is None
    world.feed(Progress, 1, rp.TextDelta("x"))
    assert world.turn.first_token_ms == 21


def test_the_first_turn_state_is_echoed_for_the_whole_turn() -> None:
    world = World()
    for state in ("one", "two"):
        world.feed(Progress, 1, rp.Headers((), turn_state=state))
    world.feed(Progress, 1, call("nope", "a"))
    world.done(1)
    assert list(world.open.values()) == [Sample("u", None, "one")]


@pytest.mark.parametrize(
    ("action", "told"),
    [
        (ev.WebSearchAction(type="search", queries=("a", "b")), "a ..."),
        (ev.WebSearchAction(type="search", queries=("a",)), "a"),
        (ev.WebSearchAction(type="search"), ""),
        (ev.WebSearchAction(type="find_in_page", pattern="p"), "'p'"),
        (ev.WebSearchAction(type="find_in_page"), ""),
    ],
)
def test_a_web_search_in_one_line(action: ev.WebSearchAction, told: str) -> None:
    assert query(action) == told


@pytest.mark.parametrize(("execution", "answered"), [("client", 1), ("server", 0)])
def test_a_search_for_tools_is_answered_unless_the_provider_does_it(execution: str, answered: int) -> None:
    world = World()
    search = ev.ToolSearchCall(call_id="s", execution=execution, arguments=msgspec.Raw(b"{}"))
    world.feed(Progress, 1, rp.ItemDone(search, None))
    world.done(1)
    assert [(o.call_id, o.tools) for o in world.events(ev.ToolSearchOutput)] == [("s", ())] * answered
    assert len(world.open) == answered


ACTION = st.sampled_from(["text", "call", "bad call", "finish", "fail", "fatal", "steer", "interrupt", "late"])


@settings(max_examples=300, deadline=None)
@given(st.lists(ACTION, max_size=30))
def test_any_interleaving_ends_every_operation_and_answers_every_call_in_order(actions: list[str]) -> None:
    world = World()
    calls = itertools.count(1)
    for action in actions:
        if world.outcome is not None:
            break
        key = max(world.open)
        sampling = isinstance(world.open[key], Sample)
        match action:
            case "text" if sampling:
                world.feed(Progress, key, say("text"))
            case "call" if sampling:
                world.feed(Progress, key, call("update_plan", f"c{next(calls)}", '{"plan": []}'))
            case "bad call" if sampling:
                world.feed(Progress, key, call("nope", f"c{next(calls)}"))
            case "fail" if sampling:
                world.done(key, rp.ModelFailure("broken", rp.OTHER, kind="stream", retry=rp.Retry(0.5)))
            case "fatal" if sampling:
                world.done(key, rp.ModelFailure("refused", rp.OTHER, kind="http"))
            case "steer":
                world.feed(Steer, submission("s"))
            case "interrupt":
                world.feed(Interrupt)
            case "late":
                world.feed(Done, 10_000, None, None)
            case _:
                world.done(key)
    if world.outcome is None:
        world.feed(Interrupt)
    assert world.started == world.ended
    assert not world.open
    assert sum(isinstance(e, Finish) for e in world.effects) == 1
    position = next(i for i, e in enumerate(world.effects) if isinstance(e, Finish))
    assert not any(isinstance(e, Emit | Start) for e in world.effects[position:])
    called = [c.call_id for c in world.events(ev.FunctionCall)]
    assert [o.call_id for o in world.events(ev.FunctionCallOutput)] == called
    before = len(world.effects)
    world.feed(Steer, submission("too late"))
    assert len(world.effects) == before
