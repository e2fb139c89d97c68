"""The log in a file: what others left in it, what may go wrong, and what never changes."""

import os
import resource
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollouts.errors import Conflict, LogError, Moved
from rollouts.log import FileLog, follow, open_log
from tests.conftest import fixture_rollouts

NEW = b'{"timestamp":"2026-04-20T10:00:00.000Z","type":"event_msg","payload":{"type":"context_compacted"}}'
SMALL = ["foreign_lines", "old_lifecycle", "usage_null_info"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions" / "2026" / "04" / "20" / "rollout.jsonl"


@pytest.fixture
def log(path: Path) -> FileLog:
    """A log of two lines that somebody else wrote."""
    path.parent.mkdir(parents=True)
    path.write_bytes(b"one\ntwo\n")
    return FileLog(path)


def others_append(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


def check_append_after(prefix: bytes, path: Path) -> None:
    """A file of just these bytes opens, takes a line, and keeps all it had."""
    path.write_bytes(prefix)
    log = FileLog(path)
    before = [record.data for record in log.read()]
    end = log.append([NEW], expected_end=len(prefix))
    text = path.read_bytes()
    repair = b"" if not prefix or prefix.endswith(b"\n") else b"\n"
    assert text == prefix + repair + NEW + b"\n"
    assert end == len(text)
    assert [record.data for record in log.read()] == [*before, NEW]
    assert next(log.read_back()).data == NEW


class TestForeignFiles:
    @pytest.mark.parametrize("name", SMALL)
    def test_every_prefix_opens_and_appends(self, name: str, tmp_path: Path) -> None:
        (source,) = fixture_rollouts(name)
        text = source.read_bytes()
        for size in range(len(text) + 1):
            check_append_after(text[:size], tmp_path / "prefix.jsonl")

    @pytest.mark.parametrize("source", fixture_rollouts(), ids=lambda path: path.stem)
    def test_every_fixture_cut_around_every_line_break(self, source: Path, tmp_path: Path) -> None:
        text = source.read_bytes()
        breaks = [at for at, byte in enumerate(text) if byte == 10]
        for size in sorted({at + shift for at in breaks for shift in (-1, 0, 1, 60)}):
            check_append_after(text[:size], tmp_path / "prefix.jsonl")

    def test_a_torn_tail_is_read_and_marked_and_stays_as_it_is(self, log: FileLog) -> None:
        others_append(log.path, b'{"torn')
        assert [(r.data, r.torn) for r in log.read(4)] == [(b"two", False), (b'{"torn', True)]
        log.append([b"next"], expected_end=log.end())
        assert log.path.read_bytes() == b'one\ntwo\n{"torn\nnext\n'

    def test_the_repair_shows_in_the_range_from_the_expected_end(self, log: FileLog) -> None:
        others_append(log.path, b"torn")
        expected = log.end()
        end = log.append([b"next"], expected_end=expected)
        assert log.appended([b"next"], end)[0].offset == expected + 1
        assert [r.data for r in log.read(expected, end)] == [b"", b"next"]

    def test_crlf_stays_and_new_lines_end_in_lf(self, path: Path) -> None:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"one\r\ntwo\r\n")
        log = FileLog(path)
        log.append([b"three"], expected_end=log.end())
        assert [r.data for r in log.read()] == [b"one\r", b"two\r", b"three"]

    def test_a_line_of_20_mb_is_read_once_from_either_side(self, log: FileLog) -> None:
        line = bytes(range(11, 256)) * 80_000
        others_append(log.path, line + b"\n")
        log = FileLog(log.path, block=1 << 16)
        end = log.append([b"after"], expected_end=log.end())
        assert [r.data for r in log.read()] == [b"one", b"two", line, b"after"]
        assert [r.data for r in log.read_back()] == [b"after", line, b"two", b"one"]
        assert log.bytes_read == 2 * end

    def test_a_sparse_line_of_200_mb_is_passed_by_its_head(self, log: FileLog) -> None:
        os.truncate(log.path, 200 << 20)
        log.append([b"after"], expected_end=200 << 20)
        assert [(len(r.data), r.cut) for r in log.read_back(limit=100)] == [
            (5, False),
            (100, True),
            (3, False),
            (3, False),
        ]


class TestOtherWriters:
    def test_their_lines_are_a_conflict_and_then_history(self, log: FileLog) -> None:
        end = log.append([b"mine"], expected_end=8)
        others_append(log.path, b"theirs\n")
        with pytest.raises(Conflict) as caught:
            log.append([b"lost?"], expected_end=end)
        assert [r.data for r in log.read(end, caught.value.actual)] == [b"theirs"]
        log.append([b"not lost"], expected_end=caught.value.actual)
        assert log.path.read_bytes() == b"one\ntwo\nmine\ntheirs\nnot lost\n"

    def test_a_line_between_check_and_write_shows_in_the_end(
        self, log: FileLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write = os.write

        def slow(fd: int, text: bytes) -> int:
            others_append(log.path, b"theirs\n")
            return write(fd, text)

        monkeypatch.setattr(os, "write", slow)
        end = log.append([b"mine"], expected_end=8)
        assert end == log.end()
        assert log.appended([b"mine"], end)[0].offset == 8 + len(b"theirs\n")
        assert [r.data for r in log.read(8, end)] == [b"theirs", b"mine"]

    def test_a_file_that_appeared_first_is_a_conflict(self, path: Path) -> None:
        log = FileLog(path)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"theirs\n")
        with pytest.raises(Conflict):
            log.append([b"mine"], expected_end=0)

    def test_a_file_cut_short_is_a_conflict_with_a_smaller_end(self, log: FileLog) -> None:
        assert log.end() == 8
        os.truncate(log.path, 4)
        with pytest.raises(Conflict) as caught:
            log.append([b"mine"], expected_end=8)
        assert caught.value.actual == 4

    @given(
        st.lists(
            st.lists(st.sampled_from([b"{}", b"", b"a\r"]), max_size=3)
            | st.sampled_from([b"\n", b"torn", b"line\n", b"\r\n", b"\n\n"]),
            max_size=12,
        )
    )
    @settings(deadline=None, max_examples=60)
    def test_whatever_others_write_our_lines_are_lines_and_nothing_changes(
        self, tmp_path_factory: pytest.TempPathFactory, steps: list[list[bytes] | bytes]
    ) -> None:
        path = tmp_path_factory.mktemp("shared") / "a.jsonl"
        path.touch()
        log = FileLog(path, block=4)
        text = b""
        for step in steps:
            if isinstance(step, bytes):
                others_append(path, step)
                text += step
                continue
            repair = b"\n" if step and text and not text.endswith(b"\n") else b""
            end = log.append(step, expected_end=len(text))
            text += repair + b"".join(line + b"\n" for line in step)
            assert path.read_bytes() == text
            assert end == len(text)
            assert list(log.read(end - sum(len(line) + 1 for line in step))) == log.appended(step, end)


class TestFilesThatGo:
    def archive(self, path: Path) -> None:
        path.rename(path.with_name("elsewhere.jsonl"))

    def delete(self, path: Path) -> None:
        path.unlink()

    def replace(self, path: Path) -> None:
        other = path.with_name("other")
        other.write_bytes(path.read_bytes())
        other.replace(path)

    @pytest.mark.parametrize("how", [archive, delete, replace], ids=lambda how: how.__name__)
    @pytest.mark.parametrize(
        "use",
        [
            lambda log: log.end(),
            lambda log: list(log.read()),
            lambda log: list(log.read_back()),
            lambda log: log.append([b"x"], expected_end=8),
        ],
        ids=["end", "read", "read_back", "append"],
    )
    def test_are_named_and_not_made_anew(
        self,
        log: FileLog,
        how: Callable[["TestFilesThatGo", Path], None],
        use: Callable[[FileLog], object],
    ) -> None:
        log.end()
        how(self, log.path)
        left = sorted(log.path.parent.iterdir())
        with pytest.raises(Moved) as caught:
            use(log)
        assert str(log.path) in str(caught.value)
        assert "open the thread again" in str(caught.value)
        assert sorted(log.path.parent.iterdir()) == left

    def test_a_folder_is_no_log(self, path: Path) -> None:
        path.mkdir(parents=True)
        with pytest.raises(LogError, match="Is a directory"):
            FileLog(path).append([b"x"], expected_end=0)


class TestDisk:
    def test_a_full_disk_leaves_the_file_as_it_was(self, log: FileLog) -> None:
        old = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old[1]))
        try:
            with pytest.raises(LogError) as caught:
                log.append([b"fits", b"x" * 5000], expected_end=8)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
        assert (caught.value.path, caught.value.offset) == (log.path, 8)
        assert log.path.read_bytes() == b"one\ntwo\n"
        assert log.append([b"x" * 5000], expected_end=8) == 5009

    def test_short_writes_are_completed(self, log: FileLog, monkeypatch: pytest.MonkeyPatch) -> None:
        write = os.write
        monkeypatch.setattr(os, "write", lambda fd, text: write(fd, text[:3]))
        assert log.append([b"three", b"four"], expected_end=8) == 19
        assert log.path.read_bytes() == b"one\ntwo\nthree\nfour\n"

    def test_lines_behind_a_failed_write_are_not_taken_back(
        self, log: FileLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write = os.write
        calls = iter([True, False])

        def failing(fd: int, text: bytes) -> int:
            if next(calls):
                return write(fd, text[:2])
            others_append(log.path, b"theirs\n")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", failing)
        with pytest.raises(LogError, match="No space left"):
            log.append([b"mine"], expected_end=8)
        assert log.path.read_bytes().endswith(b"theirs\n")
        with pytest.raises(Conflict):
            log.append([b"mine"], expected_end=8)

    def test_sync_reaches_the_file_and_once_the_folders_that_are_new(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced: list[str] = []
        for name in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, name, lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
        log = FileLog(path)
        end = log.append([b"one"], expected_end=0)
        log.sync()
        assert synced[0] == str(path)
        assert {str(path.parents[n]) for n in range(5)} <= set(synced)
        synced.clear()
        log.append([b"two"], expected_end=end)
        log.sync()
        assert synced == [str(path)]

    def test_nothing_is_held_open(self, log: FileLog) -> None:
        before = os.listdir("/proc/self/fd")
        log.append([b"x"], expected_end=log.end())
        started = log.read()
        next(started)
        started.close()  # type: ignore[attr-defined]
        next(log.read_back())
        log.sync()
        assert os.listdir("/proc/self/fd") == before


class TestFollow:
    @pytest.mark.anyio
    async def test_a_line_comes_when_its_line_break_does(self, log: FileLog) -> None:
        others_append(log.path, b"th")
        async with aclosing(follow(log, interval=0.001)) as records:
            assert [(await anext(records)).data, (await anext(records)).data] == [b"one", b"two"]
            others_append(log.path, b"ree\nfo")
            assert (await anext(records)).data == b"three"
            log.append([b"five"], expected_end=log.end())
            assert [(await anext(records)).data, (await anext(records)).data] == [b"fo", b"five"]

    @pytest.mark.anyio
    async def test_an_archived_file_ends_it(self, log: FileLog) -> None:
        async with aclosing(follow(log, 4, interval=0.001)) as records:
            await anext(records)
            log.path.rename(log.path.with_name("elsewhere"))
            with pytest.raises(Moved):
                await anext(records)

    @pytest.mark.anyio
    async def test_a_cut_file_ends_it(self, log: FileLog) -> None:
        async with aclosing(follow(log, 4, interval=0.001)) as records:
            await anext(records)
            os.truncate(log.path, 2)
            with pytest.raises(LogError, match="was cut from 8 to 2"):
                await anext(records)


class TestOpenLog:
    def test_either_name_opens_the_plain_file_while_there_is_one(self, log: FileLog) -> None:
        packed = log.path.with_name(log.path.name + ".zst")
        packed.write_bytes(b"stale")
        for name in (log.path, packed):
            assert [r.data for r in open_log(name).read()] == [b"one", b"two"]

    def test_what_is_not_there_yet_is_a_plain_file_to_be(self, path: Path) -> None:
        assert open_log(path).append([b"first"], expected_end=0) == 6
        assert path.exists()
