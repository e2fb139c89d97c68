"""Pages of turns: cursors of thread-lifecycle.md 5, and pages read from exactly their own lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.session import rebuild
from projections.turn_pages import CursorError, page, read_turns, select
from projections.turn_rows import Slots, TurnRow
from projections.turns import TurnTable, build_turns
from rollouts.log import FileLog, Log
from tests.projections.expected import NAMES, fixture_log
from tests.projections.logs import Maker, decoded, logs, memory_log


def rows(count: int) -> list[TurnRow]:
    return [TurnRow(id=f"t{i}", status="completed", line=i, slots=Slots(1)) for i in range(count)]


def scan(log: Log) -> TurnTable:
    table = rebuild(log).turns
    assert table is not None
    return table


def names(chosen: list[TurnRow]) -> list[str]:
    return [row.id for row in chosen]


def test_the_first_page_is_the_newest_and_cursors_lead_to_the_next_and_back() -> None:
    first = select(rows(5), limit=2)
    assert names(first.rows) == ["t4", "t3"]
    assert first.next_cursor == '{"turnId":"t3","includeAnchor":false}'
    assert first.backwards_cursor == '{"turnId":"t4","includeAnchor":true}'
    second = select(rows(5), limit=2, cursor=first.next_cursor)
    assert names(second.rows) == ["t2", "t1"]
    back = select(rows(6), limit=3, cursor=first.backwards_cursor, direction="asc")
    assert names(back.rows) == ["t4", "t5"] and back.next_cursor is None


@pytest.mark.parametrize(("limit", "size"), [(None, 25), (0, 1), (100, 100), (4000, 100)])
def test_limits(limit: int | None, size: int) -> None:
    assert len(select(rows(200), limit=limit).rows) == size


@pytest.mark.parametrize("text", ["", "x", "{}", '{"turnId":"t1"}', '{"turnId":1,"includeAnchor":true}'])
def test_a_cursor_that_is_none_is_refused_in_its_own_words(text: str) -> None:
    with pytest.raises(CursorError, match=r"^invalid cursor: ") as error:
        select(rows(2), cursor=text)
    assert str(error.value) == f"invalid cursor: {text}"


def test_a_cursor_whose_turn_was_rolled_back_is_refused() -> None:
    with pytest.raises(CursorError, match=r"^invalid cursor: anchor turn is no longer present$"):
        select(rows(2), cursor='{"turnId":"gone","includeAnchor":true}')


def test_an_empty_thread_takes_any_cursor() -> None:
    assert select([], cursor="x").rows == []


@given(st.integers(1, 30), st.integers(1, 7), st.sampled_from(["asc", "desc"]))
def test_following_the_cursors_gives_every_turn_once(count: int, limit: int, direction: Literal["asc", "desc"]) -> None:
    table, seen, cursor = rows(count), [], None
    while True:
        chosen = select(table, limit=limit, cursor=cursor, direction=direction)
        seen += names(chosen.rows)
        cursor = chosen.next_cursor
        if cursor is None:
            break
    assert seen == names(table if direction == "asc" else table[::-1])


@pytest.mark.parametrize("name", NAMES)
def test_a_fixtures_pages_are_its_turns(name: str) -> None:
    log = fixture_log(name)
    table = scan(log)
    turns = build_turns(decoded(record.data for record in log.read()))
    assert page(table.all_rows(), log, direction="asc").data == turns


@settings(max_examples=100, deadline=None)
@given(logs())
def test_every_turn_read_alone_equals_its_part_of_the_full_rebuild(lines: list[bytes]) -> None:
    log = memory_log(lines)
    turns = build_turns(decoded(lines))
    for row, turn in zip(scan(log).all_rows(), turns, strict=True):
        assert read_turns([row], log) == [turn]


@settings(max_examples=30, deadline=None)
@given(logs())
def test_spans_of_a_file_are_bytes(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = Path(tmp_path_factory.mktemp("log")) / "rollout.jsonl"
    path.write_bytes(b"".join(lines))
    log = FileLog(path)
    assert read_turns(scan(log).all_rows(), log) == build_turns(decoded(lines))


def test_a_page_reads_as_much_of_a_long_history_as_of_a_short_one(tmp_path: Path) -> None:
    costs = []
    for turns in (10, 1000):
        maker = Maker()
        for _ in range(turns):
            maker.start(False, "gpt-5.4")
            maker.user()
            maker.call(answered=True, extended=False)
            maker.agent()
            maker.finish("completed")
        path = tmp_path / f"{turns}.jsonl"
        path.write_bytes(b"".join(maker.lines))
        log = FileLog(path)
        table = scan(log)
        before = log.lines_read
        assert len(page(table.all_rows(), log, limit=5).data) == 5
        costs.append(log.lines_read - before)
    assert costs[0] == costs[1]


def test_cursor_text_is_json_with_the_published_members() -> None:
    cursor = select(rows(3), limit=1).next_cursor
    assert cursor is not None and json.loads(cursor) == {"turnId": "t2", "includeAnchor": False}
