"""The durable state of a thread: live, rebuilt and restored are one state."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections import checkpoint
from projections.recent import KEPT
from projections.session import SessionState, rebuild
from projections.turn_rows import encode_row
from projections.usage import replay_turn_id, thread_usage
from rollouts import codec
from rollouts import events as ev
from rollouts.log import Log, MemoryLog
from tests.projections.expected import NAMES, fixture_log, recorded
from tests.projections.logs import GARBAGE, PARENT, THREAD, Maker, logs, memory_log, meta, written
from tests.projections.test_turns import wire


def folded(log: Log, state: SessionState | None = None) -> SessionState:
    """The state after each line of a log was applied and settled, as a live thread does it."""
    state = SessionState() if state is None else state
    for record in log.read(state.end):
        state.apply(record)
        state.settle(log)
    return state


def restored(state: SessionState, log: Log) -> SessionState:
    """The state after it was stored and read back."""
    rows = None if state.turns is None else [encode_row(row) for row in state.turns.rows]
    again = checkpoint.decode(checkpoint.encode(state), log, rows)
    assert again is not None
    return again


@pytest.mark.parametrize("name", NAMES)
def test_fixture_replays_the_usage_the_reference_replays(name: str) -> None:
    state = rebuild(fixture_log(name))
    expected = recorded(name)["usage"]
    if state.usage.info is None:
        assert expected is None
        return
    assert state.turns is not None
    assert replay_turn_id(state.turns.owner, state.turns.all_rows()) == expected["turnId"]
    assert wire([thread_usage(state.usage.info)]) == [expected["tokenUsage"]]  # type: ignore[list-item]


@settings(max_examples=80, deadline=None)
@given(logs())
def test_live_and_rebuilt_are_one_state(lines: list[bytes]) -> None:
    log = memory_log(lines)
    assert folded(log) == rebuild(log)


@settings(max_examples=80, deadline=None)
@given(logs(), st.data())
def test_a_checkpoint_and_the_lines_after_it_are_the_whole_fold(lines: list[bytes], data: st.DataObject) -> None:
    log = memory_log(lines)
    cut = data.draw(st.integers(0, len(lines)))
    early = folded(memory_log(lines[:cut]))
    late = restored(early, log)
    late.advance(log)
    assert late == rebuild(log)
    assert late.window.compactions == rebuild(log).window.compactions


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_at_every_line_of_a_fixture_goes_on_to_the_same_state(name: str) -> None:
    log = fixture_log(name)
    whole = rebuild(log)
    state = SessionState()
    for record in log.read():
        state.apply(record)
        state.settle(log)
        late = restored(state, log)
        late.advance(log)
        assert late == whole


@settings(max_examples=50, deadline=None)
@given(logs())
def test_opened_without_turns_it_knows_window_usage_and_meta(lines: list[bytes]) -> None:
    log = memory_log(lines)
    cheap, whole = rebuild(log, want_turns=False), rebuild(log)
    assert (cheap.window, cheap.usage.info, cheap.meta) == (whole.window, whole.usage.info, whole.meta)
    assert cheap.turns is None


@settings(max_examples=50, deadline=None)
@given(logs(), st.lists(st.tuples(st.integers(0, 100), st.sampled_from(GARBAGE[:-1]))))
def test_lines_that_say_nothing_change_nothing(lines: list[bytes], garbage: list[tuple[int, bytes]]) -> None:
    clean = [line for line in lines if line not in GARBAGE and line.removesuffix(b"\n") not in GARBAGE]
    dirty = list(clean)
    for at, line in garbage:
        dirty.insert(at % (len(dirty) + 1), line)
    one, other = rebuild(memory_log(clean)), rebuild(memory_log(dirty))
    assert one.facts == other.facts
    assert one.window.items == other.window.items
    assert one.turns is not None and other.turns is not None
    assert [(row.id, row.status, row.item_count) for row in one.turns.all_rows()] == [
        (row.id, row.status, row.item_count) for row in other.turns.all_rows()
    ]


def test_a_torn_line_is_not_passed_and_counts_once_it_is_whole() -> None:
    whole = written([lambda maker: maker.start(False, "m"), lambda maker: maker.user("hi")])
    log = MemoryLog()
    log.append([line.removesuffix(b"\n") for line in whole], expected_end=0)
    records = list(log.read())
    state = SessionState()
    for record in records[:-1]:
        state.apply(record)
    before = state.end
    last = records[-1]
    state.apply(type(last)(last.offset, last.data[:20], last.end, torn=True))
    assert state.end == before
    state.apply(last)
    assert state == rebuild(log)


def test_an_agent_task_is_gone_once_it_was_cleared() -> None:
    registered = rebuild(memory_log(written([lambda maker: maker.task(True)])))
    assert registered.facts.agent_task == ev.AgentTask("runtime", "task", "2026-04-20T10:00:00.000Z")
    assert rebuild(memory_log(written([lambda m: m.task(True), lambda m: m.task(False)]))).facts.agent_task is None


def test_names_and_modes_of_the_source_are_not_the_forks() -> None:
    state = rebuild(
        memory_log(written([lambda m: m.name(PARENT), lambda m: m.another_meta(PARENT), lambda m: m.name(THREAD)]))
    )
    assert state.meta is not None and state.meta.id == THREAD
    assert state.facts.metadata.name == "name 2"
    assert state.facts.metadata.memory_mode is None


def test_reviews_hooks_and_approvals_are_kept() -> None:
    deeds = [lambda m: m.review("in_progress"), lambda m: m.engine_lines(), lambda m: m.review("denied")]
    facts = rebuild(memory_log(written(deeds))).facts
    assert [(review.status, review.outcome) for review in facts.reviews.entries] == [("denied", "denied")]
    assert (facts.hooks.total, facts.approvals.total) == (1, 1)


def test_a_review_without_an_end_reads_as_aborted() -> None:
    facts = rebuild(memory_log(written([lambda m: m.review("in_progress")]))).facts
    assert [(review.status, review.outcome) for review in facts.reviews.entries] == [("in_progress", "aborted")]


def test_assessments_of_extended_mode_are_the_same_review() -> None:
    deeds = [lambda m: m.assessment("in_progress", 0, True), lambda m: m.assessment("approved", 0, True)]
    facts = rebuild(memory_log(written(deeds))).facts
    assert [(review.review_id, review.outcome) for review in facts.reviews.entries] == [("review-0", "approved")]


def test_only_the_newest_entries_are_kept_and_all_are_counted() -> None:
    hooks = rebuild(memory_log(written([lambda m: m.engine_lines()] * (KEPT + 3)))).facts.hooks
    assert (len(hooks.entries), hooks.total) == (KEPT, KEPT + 3)


def test_the_state_can_be_shown_to_people() -> None:
    maker = Maker()
    maker.write(meta())
    maker.start(True, "gpt-5.4")
    maker.user("hi")
    maker.compact(1)
    shown = json.loads(rebuild(memory_log(maker.lines)).to_json())
    assert [turn["id"] for turn in shown["turns"]] == ["turn-1"]
    assert [item["type"] for item in shown["window"]["items"]] == ["message", "message"]


@pytest.mark.parametrize("data", [b"", b"x", codec.open_json({"version": 1})])
def test_bytes_that_are_no_checkpoint_decode_to_nothing(data: bytes) -> None:
    assert checkpoint.decode(bytes(data), memory_log([]), []) is None


def test_a_checkpoint_of_another_version_or_without_its_rows_decodes_to_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = memory_log(written([lambda maker: maker.shell()]))
    state = rebuild(log)
    assert checkpoint.decode(checkpoint.encode(state), log, []) is None
    data = checkpoint.encode(state)
    monkeypatch.setattr(checkpoint, "VERSION", checkpoint.VERSION + 1)
    assert checkpoint.decode(data, log, None) is None


def test_a_checkpoint_holds_no_history() -> None:
    sizes = []
    for turns in (3, 300):
        maker = Maker()
        maker.write(meta())
        for _ in range(turns):
            maker.start(True, "gpt-5.4")
            maker.user("word " * 1000)
            maker.agent()
            maker.finish("completed")
        sizes.append(len(checkpoint.encode(rebuild(memory_log(maker.lines)))))
    assert max(sizes) < 1000
