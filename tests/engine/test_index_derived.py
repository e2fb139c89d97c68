"""Checkpoints and turn rows, and the anchors that say whether they still fit."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from engine.index import Anchor, Checkpoint, cover, holds
from engine.index.derived import Derived
from engine.index.store import Store
from engine.index.tables import SCHEMA, VERSION
from rollouts.log import FileLog, MemoryLog

LINES = [b'{"n":%d}' % n for n in range(5)]


def derived(tmp_path: Path) -> Derived:
    return Derived(Store(tmp_path / "i.sqlite", SCHEMA, VERSION))


def test_a_checkpoint_comes_back_with_its_anchor(tmp_path: Path) -> None:
    stored = Checkpoint(Anchor(10, 1, 2), b"state")
    tables = derived(tmp_path)
    assert tables.checkpoint("t") is None
    assert tables.put("t", stored)
    assert tables.checkpoint("t") == stored
    tables.forget("t")
    assert tables.checkpoint("t") is None


def test_turn_rows_are_kept_by_number_and_found_by_id(tmp_path: Path) -> None:
    tables, anchor = derived(tmp_path), Anchor(0, 0, 0)
    point = Checkpoint(anchor, b"")
    tables.put("t", point, [(n, f"turn-{n}", b"%d" % n) for n in range(10)], 10)
    assert tables.turns("t", anchor, 3, 5) == [b"3", b"4"]
    assert (tables.turn_number("t", anchor, "turn-7"), tables.turn_number("t", anchor, "x")) == (7, -1)
    tables.put("t", point, [(2, "turn-2", b"two")], 3)  # a rollback to three turns, and a late line
    assert tables.turns("t", anchor, 0, 9) == [b"0", b"1", b"two"]
    tables.put("t", point, [(3, "turn-0", b"again")], 4)
    assert tables.turn_number("t", anchor, "turn-0") == 0
    assert tables.turns("u", anchor, 0, 9) == []


def test_the_end_of_a_turn_writes_little_more_than_it_has_to_say(tmp_path: Path) -> None:
    tables, ahead = derived(tmp_path), tmp_path / "i.sqlite-wal"

    def put(turns: int) -> int:
        before = ahead.stat().st_size
        point = Checkpoint(Anchor(turns, 0, 0), bytes(800))
        for thread in map(str, range(50)):
            tables.put(thread, point, [(turns - 1, f"turn-{turns}", bytes(80))], turns)
        return (ahead.stat().st_size - before) // 50

    put(1)
    assert put(2) < 8_000


def test_turn_rows_are_seen_under_the_checkpoint_they_belong_to_only(tmp_path: Path) -> None:
    tables, old, new = derived(tmp_path), Anchor(1, 0, 0), Anchor(2, 0, 0)
    tables.put("t", Checkpoint(old, b""), [(0, "turn", b"row")], 1)
    tables.put("t", Checkpoint(new, b""), [], 1)
    assert (tables.turns("t", old, 0, 1), tables.turn_number("t", old, "turn")) == ([], None)
    assert (tables.turns("t", new, 0, 1), tables.turn_number("t", new, "turn")) == ([b"row"], 0)


def test_changes_are_kept_only_on_top_of_rows_they_go_on_from(tmp_path: Path) -> None:
    tables = derived(tmp_path)
    first, second, third = (Checkpoint(Anchor(end, 0, 0), b"%d" % end) for end in (100, 200, 300))
    row = [(0, "turn", b"row")]
    assert not tables.put("t", second, row, 1, since=first.anchor)  # what they are changes of is gone
    assert tables.put("t", first, row, 1)
    assert tables.put("t", third, row, 1, since=first.anchor)
    assert not tables.put("t", second, row, 1, since=first.anchor)  # somebody was faster
    assert tables.checkpoint("t") == third
    assert tables.put("t", third, row, 1, since=second.anchor)  # these changes say more than what is missing
    assert tables.put("t", second, row, 1)  # all rows there are
    assert not tables.put("t", third, row, 1, since=third.anchor)


def test_only_what_was_meant_is_forgotten(tmp_path: Path) -> None:
    tables, point = derived(tmp_path), Checkpoint(Anchor(10, 1, 2), b"state")
    tables.put("t", point)
    tables.forget("t", Anchor(9, 1, 2))
    assert tables.checkpoint("t") == point
    tables.forget("t", point.anchor)
    assert tables.checkpoint("t") is None


def test_an_anchor_holds_while_the_log_only_grows(tmp_path: Path) -> None:
    log = FileLog(tmp_path / "r.jsonl")
    end = log.append(LINES, expected_end=0)
    anchor = cover(log, end)
    log.append([b'{"more":1}'], expected_end=end)
    assert holds(log, anchor)


def test_an_anchor_does_not_hold_for_a_log_that_was_cut_or_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    end = FileLog(path).append(LINES, expected_end=0)
    anchor = cover(FileLog(path), end)
    text = path.read_bytes()
    for other in (text[:-1], text.replace(b'"n":0', b'"n":9'), text.replace(b'"n":4', b'"n":9'), b"\n" + text):
        path.write_bytes(other)
        assert not holds(FileLog(path), anchor), other


def test_nothing_covered_holds_for_any_log() -> None:
    assert holds(MemoryLog(), cover(MemoryLog(), 0))


@given(st.lists(st.binary(min_size=1, max_size=9).filter(lambda data: b"\n" not in data), min_size=1), st.data())
def test_an_anchor_holds_for_every_prefix(lines: list[bytes], data: st.DataObject) -> None:
    log = MemoryLog()
    log.append(lines, expected_end=0)
    end = data.draw(st.integers(0, len(lines)))
    assert holds(log, cover(log, end))
