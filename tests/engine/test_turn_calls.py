"""Calls of one reply: which wait for which, when their outputs are recorded, what an interrupt makes of them."""

from __future__ import annotations

import itertools

from engine.turn.effects import Done, Interrupt, Progress
from engine.turn.machine import CallItem, Machine, Run, Script, Turn
from engine.turn.ops import Wait
from engine.turn.replies import ItemDone
from engine.turn.scripts.regular import regular
from projections.usage import Usage
from rollouts import events as ev
from tests.engine.test_turn_machine import START, World, call, ids, setup


def serve(turn: Turn, item: CallItem) -> Script:
    """Takes as long as the test wants."""
    yield Run(Wait(1.0))
    name = getattr(item, "name", None)
    return None if name == "silent" else f"{name} is done"


def parallel(item: CallItem) -> bool:
    return getattr(item, "name", None) == "together"


class Calls(World):
    """A turn whose first reply holds these calls; their keys are 2 and up, in the order in which they start."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.turn = Turn("u", ids(), START, Usage(), itertools.repeat(1.0), serve, parallel)
        self.machine = Machine(self.turn, lambda turn: regular(turn, setup()))
        self.effects.clear()
        self.open.clear()
        self._take(self.machine.start())
        for number, name in enumerate(names, 1):
            self.feed(Progress, 1, call(name, f"c{number}"))

    def running(self) -> int:
        return sum(isinstance(op, Wait) for op in self.open.values())

    def outputs(self) -> list[tuple[str, object]]:
        return [(output.call_id, output.output) for output in self.events(ev.FunctionCallOutput)]


def test_calls_that_may_run_together_all_start_at_once() -> None:
    assert Calls("together", "together", "together").running() == 3


def test_a_call_that_runs_alone_waits_for_those_before_it_and_holds_up_those_after_it() -> None:
    world = Calls("together", "together", "alone", "together", "together")
    assert world.running() == 2
    world.done(3)
    assert world.running() == 1
    world.done(2)
    assert world.running() == 1
    world.done(4)
    assert world.running() == 2


def test_an_output_is_recorded_as_soon_as_the_stream_and_all_calls_before_have_ended() -> None:
    world = Calls("together", "together", "together")
    world.done(2)
    assert world.outputs() == []
    world.done(1)
    assert world.outputs() == [("c1", "together is done")]
    world.done(4)
    assert len(world.outputs()) == 1
    world.done(3)
    assert [call_id for call_id, _ in world.outputs()] == ["c1", "c2", "c3"]


def test_a_call_may_leave_no_output_and_the_model_is_asked_again_all_the_same() -> None:
    world = Calls("silent")
    world.done(1)
    world.done(2)
    assert world.outputs() == []
    assert world.outcome is None
    assert len(world.open) == 1


def test_an_interrupt_answers_calls_that_run_and_calls_that_wait_each_in_the_frame_of_its_tool() -> None:
    world = Calls("shell", "together", "container.exec")
    world.feed(Interrupt)
    assert world.outputs() == [
        ("c1", "Wall time: 0.1 seconds\naborted by user"),
        ("c2", "aborted by user after 0.1s"),
        ("c3", "Wall time: 0.1 seconds\naborted by user"),
    ]
    assert world.outcome == "interrupted"


def test_an_aborted_call_of_an_mcp_server_is_told_of_as_a_result_even_if_it_only_waited() -> None:
    world = Calls("alone")
    item = ev.FunctionCall(name="t", namespace="mcp__srv__", arguments="{}", call_id="c2")
    world.feed(Progress, 1, ItemDone(item, None))
    assert world.running() == 1
    world.feed(Interrupt)
    assert world.outputs()[1] == ("c2", '[{"type":"text","text":"aborted by user after 0.1s"}]')


def test_a_late_answer_to_an_aborted_call_changes_nothing() -> None:
    world = Calls("shell")
    world.feed(Interrupt)
    before = len(world.effects)
    world.feed(Done, 2, None, None)
    assert len(world.effects) == before
