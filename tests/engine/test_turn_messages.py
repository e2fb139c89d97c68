"""Assistant messages as clients read them: citations are told apart, plans are items of their own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.turn import replies as rp
from engine.turn.citations import CLOSE, OPEN, CitationParser, strip
from engine.turn.effects import Progress
from rollouts import events as ev
from tests.engine.test_turn_machine import EMPTY, World, added, say

CITED = f"{OPEN}<citation_entries>M.md:1-2|note=[x]</citation_entries><rollout_ids>r1\nr1</rollout_ids>{CLOSE}"
CITATION = ev.MemoryCitation((ev.MemoryCitationEntry("M.md", 1, 2, "x"),), ("r1",))


@pytest.mark.parametrize(
    ("message", "shown", "cited"),
    [
        (f"a{CITED}b", "ab", CITATION),
        (f"a{CITED.removesuffix(CLOSE)}", "a", CITATION),
        (f"a{OPEN}<thread_ids>t1</thread_ids>{CLOSE}", "a", ev.MemoryCitation((), ("t1",))),
        (f"a{OPEN}nothing{CLOSE}", "a", None),
        (f"a{OPEN}{OPEN}{CLOSE}{CLOSE}z", f"a{CLOSE}z", None),
        ("a <oai-mem-cita", "a <oai-mem-cita", None),
        ("plain", "plain", None),
    ],
)
def test_what_is_cited_is_not_shown(message: str, shown: str, cited: ev.MemoryCitation | None) -> None:
    assert strip(message) == (shown, cited)


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        (" a:b:7-8|note=[] ", ev.MemoryCitationEntry("a:b", 7, 8, "")),
        ("p:5-6|note=[ [q] ]", ev.MemoryCitationEntry("p", 5, 6, "[q]")),
        ("p:5-6|note=[q", None),
        ("p:5|note=[q]", None),
        ("p:x-6|note=[q]", None),
        ("p:1-4294967296|note=[q]", None),
        ("p:5-6", None),
    ],
)
def test_a_line_that_says_no_place_is_left_out(line: str, entry: ev.MemoryCitationEntry | None) -> None:
    _, cited = strip(f"{OPEN}<citation_entries>{line}</citation_entries><rollout_ids>r</rollout_ids>{CLOSE}")
    assert cited is not None
    assert cited.entries == ((entry,) if entry else ())


@given(st.lists(st.sampled_from([OPEN, CLOSE, "<oai", "-mem-citation>", "<", "a"]), max_size=6), st.integers(1, 7))
def test_pieces_of_any_size_show_the_same(parts: list[str], size: int) -> None:
    message, parser = "".join(parts), CitationParser()
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    assert "".join(map(parser.feed, pieces)) + parser.finish() == strip(message)[0]


def stream(mode: str, *events: rp.StreamEvent) -> World:
    world = World(mode=mode)
    for event in events:
        world.feed(Progress, 1, event)
    return world


def deltas(world: World) -> list[str]:
    return [delta.delta for delta in world.events(ev.AgentMessageContentDelta)]


def test_a_citation_leaves_the_pieces_the_item_and_the_log_but_not_the_history() -> None:
    message = f"a {CITED}b"
    pieces = [rp.TextDelta(message[at : at + 5]) for at in range(0, len(message), 5)]
    world = stream("default", added(EMPTY, "m"), *pieces, say(message, "m"))
    item = world.events(ev.ItemCompleted)[-1].item
    assert isinstance(item, ev.AgentMessageItem)
    assert ("".join(deltas(world)), item.content, item.memory_citation) == ("a b", (ev.AgentText("a b"),), CITATION)
    (told,) = world.events(ev.AgentMessage)
    assert (told.message, told.memory_citation) == ("a b", CITATION)
    assert world.events(ev.Message)[-1].content == (ev.OutputText(message),)


def test_what_was_held_back_is_told_when_the_reply_ends() -> None:
    world = stream("default", added(EMPTY, "m"), rp.TextDelta("x <oai"), rp.Completed("r", None))
    assert deltas(world) == ["x ", "<oai"]


PLAN = "<proposed_plan>\nstep\n</proposed_plan>"


def test_in_plan_mode_a_message_begins_with_its_first_word() -> None:
    pieces = [rp.TextDelta(piece) for piece in (f"{PLAN}\n", "  \n", "after")]
    world = stream("plan", added(EMPTY, "m"), *pieces, say(f"{PLAN}\n  \nafter", "m"))
    assert [type(started.item).__name__ for started in world.events(ev.ItemStarted)][1:] == [
        "PlanItem",
        "AgentMessageItem",
    ]
    assert deltas(world) == ["  \nafter"]


def test_the_lines_of_a_delta_stay_together() -> None:
    text = "so:\n\n<proposed_plan>\none\ntwo\nthree"
    world = stream("plan", added(EMPTY, "m"), rp.TextDelta(text), say(f"{text}\n</proposed_plan>", "m"))
    assert deltas(world) == ["so:\n\n"]
    assert [event.delta for event in world.events(ev.PlanDelta)] == ["one\ntwo\nthree"]


def test_in_plan_mode_a_message_that_is_only_a_plan_is_not_shown() -> None:
    world = stream("plan", say(PLAN, "m"))
    assert [type(done.item).__name__ for done in world.events(ev.ItemCompleted)][1:] == ["PlanItem"]
    assert world.events(ev.AgentMessage) == []
    world.done(1)
    assert world.events(ev.TaskComplete)[0].last_agent_message is None


def test_a_reply_tells_of_one_plan() -> None:
    other = "<proposed_plan>\nother\n</proposed_plan>"
    world = stream("plan", say(PLAN, "m"), added(EMPTY, "n"), rp.TextDelta(other), say(other, "n"))
    plans = [event.item.text for event in world.events(ev.ItemCompleted) if isinstance(event.item, ev.PlanItem)]
    assert plans == ["step\n"]
    assert world.events(ev.PlanDelta) == []


def test_the_last_plan_of_a_message_counts() -> None:
    world = stream("plan", say("<proposed_plan>\none\n</proposed_plan>\n<proposed_plan>\ntwo\n</proposed_plan>", "m"))
    assert world.events(ev.ItemCompleted)[-1].item == ev.PlanItem(id="u-plan", text="two\n")
