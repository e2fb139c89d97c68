"""Pages of the index: what they cost, and that they are what a plain scan of the files gives."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.index import Bound, Index, Query
from engine.index.entry import Entry
from engine.index.rows import Listed, Rows
from engine.index.tables import FILE_NAME
from projections.catalog import EMPTY, fold
from rollouts.errors import LogError
from rollouts.layout import Home, meta_id
from rollouts.lines import Record
from tests.engine.homes import (
    START,
    answered,
    line,
    meta,
    named,
    place,
    plain_row,
    plain_scan,
    said,
    thread,
    thread_id,
    write,
)

DAY = 86_400


def later() -> int:
    """A clock that takes every change for settled."""
    return time.time_ns() + 10_000_000_000


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    index = Index(Home(tmp_path), now=later)
    yield index
    index.close()


async def ids(index: Index, limit: int = 1000, **query: object) -> list[str]:
    rows = await index.page(Query(**query), limit)  # type: ignore[arg-type]
    return [row.entry.row.id for row in rows if row.entry]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10,000 threads on 141 days."""
    home = tmp_path_factory.mktemp("large")
    for day in range(141):
        place(home, "", START + timedelta(days=day)).parent.mkdir(parents=True)
    said_hi = said("hi")
    for number in range(10_000):
        when = START + timedelta(days=number % 141, seconds=number // 141)
        with open(place(home, thread_id(number), when), "wb", buffering=0) as out:
            out.write(meta(thread_id(number), when) + said_hi)
    return home


@pytest.mark.anyio
async def test_the_first_page_of_a_large_new_home_reads_what_it_shows(large: Path) -> None:
    (large / FILE_NAME).unlink(missing_ok=True)
    index = Index(Home(large), now=later)
    await index.page(Query(), 26)
    assert index.counters.opened == 26
    assert index.counters.folders <= 5 + 7 + 8  # years and months, then the newest days
    index.close()


@pytest.mark.anyio
async def test_a_page_of_a_known_home_opens_nothing(large: Path) -> None:
    index = Index(Home(large), now=later)
    await index.sweep()
    before = vars(index.counters).copy()
    rows = await index.page(Query(), 26)
    cost = {name: value - before[name] for name, value in vars(index.counters).items()}
    folders = 1 + 1 + 6 + 141
    assert len(rows) == 26
    assert cost == {"opened": 0, "bytes": 0, "folders": 0, "stats": folders + 26}
    index.close()


@pytest.mark.anyio
async def test_a_page_by_update_of_a_large_home_stats_its_rows_and_leaves_the_rest_to_the_sweep(large: Path) -> None:
    index = Index(Home(large), now=later)
    await index.sweep()
    before = index.counters.stats
    assert len(await index.page(Query(sort="updated"), 26)) == 26
    assert index.counters.stats - before <= 149 + 26
    index.close()


@pytest.mark.anyio
async def test_a_page_deep_down_costs_as_much_as_the_first(large: Path) -> None:
    index = Index(Home(large), now=later)
    await index.sweep()
    middle = (await index.page(Query(), 5000))[-1]
    before = vars(index.counters).copy()
    rows = await index.page(Query(bound=Bound(middle.time, middle.key)), 26)
    cost = {name: value - before[name] for name, value in vars(index.counters).items()}
    assert (len(rows), cost["opened"], cost["stats"]) == (26, 0, 149 + 26)
    index.close()


@pytest.mark.anyio
async def test_threads_of_other_writers_appear_and_deleted_ones_vanish(tmp_path: Path, index: Index) -> None:
    first = thread(tmp_path, 1)
    assert await ids(index) == [thread_id(1)]
    thread(tmp_path, 2, after=DAY)
    thread(tmp_path, 3)
    assert await ids(index) == [thread_id(2), thread_id(3), thread_id(1)]
    first.unlink()
    assert await ids(index) == [thread_id(2), thread_id(3)]
    shutil.rmtree(tmp_path / "sessions")
    assert await ids(index) == []


@pytest.mark.anyio
async def test_what_others_append_shows_on_the_next_page(tmp_path: Path, index: Index) -> None:
    old, new = thread(tmp_path, 1), thread(tmp_path, 2, after=60)
    assert await ids(index, sort="updated") == [thread_id(2), thread_id(1)]
    with old.open("ab") as out:
        out.write(answered("later"))
    os.utime(old, (2_000_000_000, 2_000_000_000))
    assert await ids(index, sort="updated") == [thread_id(1), thread_id(2)]
    write(new, [meta(thread_id(9), START), said("another thread"), answered("in the same file")], 1_900_000_000)
    assert await ids(index) == [thread_id(9), thread_id(1)]


@pytest.mark.anyio
async def test_a_file_that_comes_in_the_tick_of_the_last_look_is_not_missed(tmp_path: Path) -> None:
    index = Index(Home(tmp_path))
    for number in range(20):
        thread(tmp_path, number)
        assert len(await ids(index)) == number + 1
    index.close()


@pytest.mark.anyio
async def test_a_user_message_far_down_is_found_by_the_sweep(tmp_path: Path, index: Index) -> None:
    write(place(tmp_path, thread_id(1)), [meta(thread_id(1)), *[answered("y")] * 300, said("at last")])
    assert await ids(index) == []
    await index.sweep()
    assert await ids(index) == [thread_id(1)]


@pytest.mark.anyio
async def test_a_writer_of_a_long_file_does_not_make_the_sweep_start_again(tmp_path: Path, index: Index) -> None:
    path = write(place(tmp_path, thread_id(1)), [meta(thread_id(1)), said("hi"), *[answered("y" * 999)] * 2000])
    entry = index.entry(path)
    assert entry is not None and not entry.complete
    await index.sweep()
    end = path.stat().st_size
    with path.open("ab") as out:
        out.write(named(thread_id(1), "new"))
    before = index.counters.bytes
    index.put(path, entry.after([Record(end, named(thread_id(1), "new")[:-1], path.stat().st_size)]))
    await index.sweep()
    after = index.entry(path)
    assert after is not None and (after.complete, after.row.name) == (True, "new")
    assert index.counters.bytes - before < 1000


@pytest.mark.anyio
async def test_an_archived_file_moves_with_what_is_known_of_it(tmp_path: Path, index: Index) -> None:
    path = thread(tmp_path, 1)
    await index.sweep()
    before = index.counters.opened
    new = index.home.archive(path)
    index.moved(path, new)
    assert (await ids(index), await ids(index, archived=True)) == ([], [thread_id(1)])
    assert index.counters.opened == before
    assert index.find(thread_id(1), archived=True) == new


@pytest.mark.anyio
async def test_a_plain_file_wins_over_its_archive(tmp_path: Path, index: Index) -> None:
    path = thread(tmp_path, 1)
    path.with_name(path.name + ".zst").write_bytes(b"half written")
    assert await ids(index) == [thread_id(1)]


@pytest.mark.anyio
@pytest.mark.parametrize("folder", ["sessions", "sessions/2026/04/20/sub", "sessions/2026/04", "archived_sessions/sub"])
async def test_files_in_other_folders_are_not_listed(tmp_path: Path, index: Index, folder: str) -> None:
    path = thread(tmp_path, 1)
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    path = path.rename(tmp_path / folder / path.name)
    assert await ids(index) == await ids(index, archived=True) == []
    found = index.entry(path)
    assert found is not None and found.row.id == thread_id(1)
    assert await ids(index) == []


@pytest.mark.anyio
async def test_a_folder_that_cannot_be_read_takes_no_thread_off_the_list(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    day = thread(tmp_path, 1).parent.relative_to(tmp_path)
    thread(tmp_path, 2, after=DAY)
    assert await ids(index) == [thread_id(2), thread_id(1)]
    thread(tmp_path, 3)
    thread(tmp_path, 4, after=DAY)
    scan = os.scandir
    closed = {str(tmp_path / day)}

    def scandir(folder: str) -> object:
        if folder in closed:
            raise PermissionError(13, "Permission denied", folder)
        return scan(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    assert await ids(index) == [thread_id(4), thread_id(2), thread_id(1)]
    assert f"Permission denied: '{tmp_path / day}'" in caplog.text
    closed.clear()
    assert await ids(index) == [thread_id(number) for number in (4, 2, 3, 1)]


@pytest.mark.anyio
async def test_a_page_is_whole_although_the_index_is_lost_while_it_is_made(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread(tmp_path, 1)
    assert await ids(index) == [thread_id(1)]
    paging = Rows.page

    def broken(self: Rows, query: Query, limit: int) -> list[Listed]:
        if not index.store.lost:
            with sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None) as other:
                other.execute("DROP TABLE files")
            other.close()
        return paging(self, query, limit)

    monkeypatch.setattr(Rows, "page", broken)
    assert await ids(index) == [thread_id(1)]


@pytest.mark.anyio
async def test_a_list_is_not_empty_because_its_folder_cannot_be_read(tmp_path: Path, index: Index) -> None:
    (tmp_path / "sessions").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        await ids(index)
    (tmp_path / "sessions").unlink()
    assert await ids(index) == []


@pytest.mark.anyio
async def test_a_file_in_the_folder_of_another_day_is_listed_under_that_day(tmp_path: Path, index: Index) -> None:
    thread(tmp_path, 1, after=DAY)
    path = thread(tmp_path, 2, after=2 * DAY)
    path.rename(thread(tmp_path, 3).parent / path.name)
    assert await ids(index) == [thread_id(1), thread_id(2), thread_id(3)]


@pytest.mark.anyio
async def test_the_id_inside_counts_when_the_name_says_another(tmp_path: Path, index: Index) -> None:
    write(place(tmp_path, thread_id(1)), [meta(thread_id(2)), said("hi")])
    assert await ids(index) == [thread_id(2)]
    assert index.find(thread_id(2)) == place(tmp_path, thread_id(1))


@pytest.mark.anyio
async def test_looking_for_an_unknown_id_opens_no_file_that_is_known(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        thread(tmp_path, number)
    await index.sweep()
    odd = write(tmp_path / "sessions" / "odd.jsonl", [meta(thread_id(9)), said("odd")])
    opened: list[Path] = []

    def counted(path: Path) -> str | None:
        opened.append(path)
        return meta_id(path)

    monkeypatch.setattr("rollouts.layout.meta_id", counted)
    assert index.find(thread_id(77)) is None
    assert index.find(thread_id(9).upper()) == odd
    assert opened == [odd, odd]


@pytest.mark.anyio
async def test_deleting_the_index_loses_nothing(tmp_path: Path, index: Index) -> None:
    for number in range(5):
        thread(tmp_path, number, after=number)
    override = line("engine_event", {"type": "thread_metadata", "git": {"branch": "topic"}})
    path = write(
        place(tmp_path, thread_id(9)), [meta(thread_id(9)), said("hi"), *[answered("y" * 999)] * 300, override]
    )
    await index.sweep()
    rows = await index.page(Query(), 100)
    index.close()
    (tmp_path / FILE_NAME).unlink()
    again = Index(Home(tmp_path), now=later)
    await again.sweep()
    assert await again.page(Query(), 100) == rows
    entry = again.entry(path)
    assert entry is not None and entry.row.git is not None and entry.row.git.branch == "topic"
    again.close()


@pytest.mark.anyio
async def test_threads_without_a_file_are_listed_by_what_their_writer_says(index: Index) -> None:
    row = EMPTY
    for data in (meta(thread_id(1)), said("in a store")):
        row = fold(row, data)
    index.put(None, Entry(row))
    assert await ids(index) == [thread_id(1)]
    await index.sweep()
    assert await ids(index, sort="updated") == [thread_id(1)]


@pytest.mark.anyio
async def test_two_indexes_on_one_home_agree(tmp_path: Path, index: Index) -> None:
    other = Index(Home(tmp_path), now=later)
    thread(tmp_path, 1)
    assert await ids(index) == await ids(other) == [thread_id(1)]
    thread(tmp_path, 2)
    await other.sweep()
    assert await ids(index) == [thread_id(2), thread_id(1)]
    other.close()


@pytest.mark.anyio
async def test_a_locked_index_answers_with_what_it_has(tmp_path: Path, index: Index) -> None:
    thread(tmp_path, 1)
    assert await ids(index) == [thread_id(1)]
    thread(tmp_path, 2)
    other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert await ids(index) == [thread_id(1)]
    other.close()
    assert await ids(index) == [thread_id(2), thread_id(1)]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["new", "new", "append", "name", "rewrite", "delete", "archive", "list", "sweep", "forget"]),
        st.integers(0, 7),
        st.integers(0, 3),
    ),
    max_size=14,
)


@pytest.mark.anyio
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, limit=st.integers(1, 9), descending=st.booleans(), provider=st.sampled_from([None, "mock"]))
async def test_a_page_is_what_a_plain_scan_of_the_files_gives(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, int, int]],
    limit: int,
    descending: bool,
    provider: str | None,
) -> None:
    home = tmp_path_factory.mktemp("home")
    index = Index(Home(home))
    for step, number, day in steps:
        path = place(home, thread_id(number), START)
        live = sorted(home.glob("sessions/*/*/*/*.jsonl"))
        path = live[number % len(live)] if live else path
        if step == "new":
            thread(home, number, after=day * DAY, model_provider="mock" if day else "elsewhere")
        elif step == "list":
            await index.page(Query(), 3)
        elif step == "sweep":
            await index.sweep()
        elif step == "forget":
            index.close()
            (home / FILE_NAME).unlink()
            index = Index(Home(home))
        elif live:
            change(path, step, number)
    for archived in (False, True):
        wanted = plain_scan(home, archived=archived, fits=lambda row: provider is None or row.provider == provider)
        query = Query(archived=archived, descending=descending, providers=provider and [provider])
        rows = await index.page(query, limit)
        expected = (wanted if descending else wanted[::-1])[:limit]
        assert [(row.time, row.key) for row in rows] == [(time, key) for time, key, _ in expected]
        assert all(row.entry and row.entry.row.preview == plain_row(home / row.path).preview for row in rows)
        rows = await index.page(Query(archived=archived, sort="updated", providers=provider and [provider]), limit)
        updated = sorted(((when, key) for _, key, when in wanted), reverse=True)[:limit]
        assert [(row.time, row.key) for row in rows] == updated
    index.close()


def change(path: Path, step: str, number: int) -> None:
    """What another program does to a file."""
    identity = plain_row(path).id
    if step == "append":
        with path.open("ab") as out:
            out.write(answered("more"))
    elif step == "name":
        with path.open("ab") as out:
            out.write(named(identity, f"name {number}"))
    elif step == "rewrite":
        # A provider that changes is seen by the next sweep: no filter looks into files that it left out before.
        kept = meta(identity, model_provider=plain_row(path).provider)
        other = write(path.with_suffix(".new"), [kept, said(f"rewritten {number}")])
        os.replace(other, path)
    elif step == "delete":
        path.unlink()
    elif step == "archive":
        with contextlib.suppress(LogError):  # there may be one of that name
            Home(path.parents[4]).archive(path)
