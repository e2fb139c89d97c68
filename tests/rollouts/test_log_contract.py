"""The contract of `Log`, run on every kind of store the engine may be given."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, aclosing
from pathlib import Path

import anyio
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollouts.archive import ArchiveLog, compress
from rollouts.errors import Conflict, LogError
from rollouts.log import FileLog, Log, MemoryLog, Record, follow, open_log
from rollouts.recorded import Store, open_store

LINES = [b'{"type":"session_meta","payload":{}}', b"", b"\xff\x00 not json", b"crlf\r", b"\xc3\xa9" * 40]

Open = Callable[[], Log]
Fresh = Callable[[], Open]
"""Gives a new, empty log, as a function that opens it, again and again."""


def _ids() -> Iterator[str]:
    return (f"019db5b4-882e-7f63-98df-{n:012x}" for n in itertools.count())


def _files(folder: Path) -> Fresh:
    numbers = itertools.count()

    def fresh() -> Open:
        path = folder / "sessions" / f"{next(numbers)}.jsonl"
        return lambda: FileLog(path, block=16)

    return fresh


def _memory(folder: Path) -> Fresh:
    def fresh() -> Open:
        log = MemoryLog()
        return lambda: log

    return fresh


def _stored(store: Store) -> Fresh:
    ids = _ids()

    def fresh() -> Open:
        thread_id = next(ids)
        return lambda: store.log(thread_id)

    return fresh


@pytest.fixture(params=["file", "memory", "sqlite", "popo"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fresh]:
    with ExitStack() as stack:
        if request.param in ("file", "memory"):
            yield {"file": _files, "memory": _memory}[request.param](tmp_path)
        else:
            name = {"SQLITE_DBNAME": str(tmp_path / "store.db")} if request.param == "sqlite" else {}
            store = open_store({"PERSISTENCE_MODULE": f"eventsourcing.{request.param}", **name})
            stack.callback(store.close)
            yield _stored(store)


def fill(log: Log, lines: list[bytes]) -> int:
    return log.append(lines, expected_end=log.end())


def data(records: Iterator[Record]) -> list[bytes]:
    return [record.data for record in records]


class TestAppend:
    def test_a_new_log_is_empty_and_not_there(self, fresh: Fresh) -> None:
        log = fresh()()
        assert (log.end(), log.exists(), list(log.read()), list(log.read_back())) == (0, False, [], [])

    def test_lines_come_back_for_whoever_opens_the_log(self, fresh: Fresh) -> None:
        reopen = fresh()
        end = reopen().append(LINES, expected_end=0)
        reopen().sync()
        assert data(reopen().read()) == LINES
        assert reopen().end() == end
        assert reopen().exists()

    def test_no_lines_leave_no_trace(self, fresh: Fresh) -> None:
        log = fresh()()
        assert log.append([], expected_end=0) == 0
        assert not log.exists()
        with pytest.raises(Conflict):
            log.append([], expected_end=1)

    def test_a_line_may_bring_its_line_break(self, fresh: Fresh) -> None:
        log = fresh()()
        fill(log, [b"a\n", b"b", b"\n"])
        assert data(log.read()) == [b"a", b"b", b""]

    def test_a_line_break_inside_a_line_is_refused_before_anything_is_written(self, fresh: Fresh) -> None:
        log = fresh()()
        with pytest.raises(ValueError, match="line break inside"):
            log.append([b"fine", b"two\nlines"], expected_end=0)
        assert not log.exists()

    def test_the_records_of_an_append_are_known_without_reading(self, fresh: Fresh) -> None:
        log = fresh()()
        start = fill(log, [b"before"])
        end = log.append(LINES, expected_end=start)
        assert log.appended(LINES, end) == list(log.read(start))
        assert log.appended(LINES, end)[0].offset == start

    @pytest.mark.parametrize("shift", [-1, 1])
    def test_another_end_than_expected_is_a_conflict_and_writes_nothing(self, fresh: Fresh, shift: int) -> None:
        log = fresh()()
        end = fill(log, LINES)
        with pytest.raises(Conflict) as caught:
            log.append([b"late"], expected_end=end + shift)
        assert (caught.value.expected, caught.value.actual) == (end + shift, end)
        assert data(log.read()) == LINES

    def test_the_loser_of_two_writers_folds_and_tries_again(self, fresh: Fresh) -> None:
        reopen = fresh()
        mine, theirs = reopen(), reopen()
        start = fill(mine, [b"common"])
        fill(theirs, [b"theirs"])
        with pytest.raises(Conflict) as caught:
            mine.append([b"mine"], expected_end=start)
        assert data(mine.read(start, caught.value.actual)) == [b"theirs"]
        mine.append([b"mine"], expected_end=caught.value.actual)
        assert data(theirs.read()) == [b"common", b"theirs", b"mine"]


class TestRead:
    def test_positions_chain_from_zero_to_the_end(self, fresh: Fresh) -> None:
        log = fresh()()
        end = fill(log, LINES)
        records = list(log.read())
        assert [0, *(record.end for record in records)] == [*(record.offset for record in records), end]

    def test_every_range_between_records(self, fresh: Fresh) -> None:
        log = fresh()()
        fill(log, LINES)
        records = list(log.read())
        edges = [0, *(record.end for record in records)]
        for i, j in itertools.combinations_with_replacement(range(len(edges)), 2):
            assert list(log.read(edges[i], edges[j])) == records[i:j]
            assert list(log.read_back(edges[j])) == records[:j][::-1]

    @pytest.mark.parametrize(("start", "end"), [(0, 10_000), (10_000, None), (2, 1), (-1, None)])
    def test_a_range_that_is_not_there_is_an_error(self, fresh: Fresh, start: int, end: int | None) -> None:
        log = fresh()()
        fill(log, LINES)
        with pytest.raises(LogError, match="the log ends at"):
            list(log.read(start, end))

    def test_a_limit_keeps_the_heads_of_long_lines(self, fresh: Fresh) -> None:
        log = fresh()()
        fill(log, [b"short", b"x" * 100, b"exactly-10"])
        for records in (list(log.read(limit=10)), list(log.read_back(limit=10))[::-1]):
            assert [(record.data, record.cut) for record in records] == [
                (b"short", False),
                (b"x" * 10, True),
                (b"exactly-10", False),
            ]
        assert [r.end for r in log.read(limit=10)] == [r.end for r in log.read()]

    def test_a_read_ends_where_the_log_ended_at_its_start(self, fresh: Fresh) -> None:
        log = fresh()()
        fill(log, [b"1", b"2"])
        records = log.read()
        first = next(records)
        fill(log, [b"3"])
        assert [first.data, *data(records)] == [b"1", b"2"]

    def test_the_last_line_costs_the_last_line(self, fresh: Fresh) -> None:
        log = fresh()()
        fill(log, [b"x" * 100] * 1000)
        assert next(log.read_back()).data == b"x" * 100
        assert log.lines_read == 1
        assert log.bytes_read < 5000

    def test_any_lines_in_any_batches(self, fresh: Fresh) -> None:
        line = st.binary(max_size=40).map(lambda text: text.replace(b"\n", b" "))

        @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.nested_given])
        @given(st.lists(st.lists(line, max_size=4), max_size=6))
        def check(batches: list[list[bytes]]) -> None:
            log = fresh()()
            for batch in batches:
                fill(log, batch)
            lines = list(itertools.chain(*batches))
            assert data(log.read()) == lines
            assert data(log.read_back()) == lines[::-1]

        check()


class TestFollow:
    @pytest.mark.anyio
    async def test_what_is_there_and_then_what_comes(self, fresh: Fresh) -> None:
        reopen = fresh()
        log = reopen()
        fill(log, [b"old", b"seen"])
        first = next(log.read())
        async with aclosing(follow(reopen(), first.end, interval=0.001)) as records:
            assert (await anext(records)).data == b"seen"
            fill(log, [b"new", b"newer"])
            assert [(await anext(records)).data, (await anext(records)).data] == [b"new", b"newer"]

    @pytest.mark.anyio
    async def test_a_log_that_is_not_there_yet(self, fresh: Fresh) -> None:
        reopen = fresh()
        async with aclosing(follow(reopen(), interval=0.001)) as records, anyio.create_task_group() as group:
            group.start_soon(_write_later, reopen())
            assert (await anext(records)).data == b"at last"


async def _write_later(log: Log) -> None:
    await anyio.sleep(0.01)
    fill(log, [b"at last"])


def _seekable(path: Path) -> Log:
    return ArchiveLog(compress(path, frame=64), block=16)


def _foreign(path: Path) -> Log:
    """One frame that does not say its size, as a streaming writer leaves it."""
    target = path.with_name(path.name + ".zst")
    with path.open("rb") as source, target.open("wb") as sink:
        zstandard.ZstdCompressor().copy_stream(source, sink)
    path.unlink()
    return open_log(target)


class TestArchive:
    """Archives answer reads as the plain file did."""

    @pytest.mark.parametrize("pack", [_seekable, _foreign])
    @pytest.mark.parametrize("tail", [b"", b"torn"])
    def test_reads_like_the_plain_file(self, tmp_path: Path, pack: Callable[[Path], Log], tail: bytes) -> None:
        plain = FileLog(tmp_path / "a.jsonl")
        fill(plain, LINES * 5)
        with plain.path.open("ab") as file:
            file.write(tail)
        end = plain.end()
        records = list(plain.read())
        log = pack(plain.path)
        assert not plain.path.exists()
        assert list(log.read()) == records
        assert log.end() == end
        assert list(log.read_back()) == records[::-1]
        for first, last in itertools.product(records, records[::3]):
            if first.offset < last.end:
                inside = [r for r in records if first.offset <= r.offset and r.end <= last.end]
                assert list(log.read(first.offset, last.end)) == inside
        assert list(log.read_back(records[7].end, limit=3)) == [
            Record(r.offset, r.data[:3], r.end, cut=len(r.data) > 3) for r in records[7::-1]
        ]
        with pytest.raises(LogError, match="the log ends at"):
            list(log.read(0, end + 1))
        log.close()
        assert next(log.read_back()) == records[-1]
        log.close()
