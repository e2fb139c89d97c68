"""The files of a home: names and ids, finding, walking, archiving; laid out as the reference lays them out."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollouts.archive import compress
from rollouts.errors import LogError
from rollouts.ids import Ids
from rollouts.layout import Home, Name, check_id, id_time, meta_id, new_id, parse_name

CREATED = datetime(2026, 4, 20, 23, 30, 5, tzinfo=UTC)
ONE = "019dad11-0000-7000-8000-000000000001"
TWO = "019dad11-0000-7000-8000-000000000002"
NO_UUID7 = "5f7b8a52-8b8f-4d57-9f21-0a4d5d6e7f80"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, zone=UTC)


def meta(thread_id: str) -> bytes:
    return b'{"timestamp":"t","type":"session_meta","payload":{"id":"%s"}}\n' % thread_id.encode()


def put(path: Path, text: bytes = b"{}\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    return path


class TestNames:
    def test_a_new_path_carries_the_local_time_of_creation(self, tmp_path: Path) -> None:
        home = Home(tmp_path, zone=ZoneInfo("Europe/Berlin"))
        path = home.new_path(ONE, CREATED)
        assert path == tmp_path / f"sessions/2026/04/21/rollout-2026-04-21T01-30-05-{ONE}.jsonl"
        assert list(tmp_path.iterdir()) == []

    def test_the_zone_of_the_process_is_the_default(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import time

        monkeypatch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        try:
            assert Home(tmp_path).new_path(ONE, CREATED).parts[-4:-1] == ("2026", "04", "21")
        finally:
            monkeypatch.undo()
            time.tzset()

    @pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.zst"])
    def test_a_name_reads_back(self, home: Home, suffix: str) -> None:
        name = parse_name(home.new_path(ONE, CREATED).with_suffix(suffix))
        assert name == Name(datetime(2026, 4, 20, 23, 30, 5), ONE)

    @pytest.mark.parametrize(
        "name",
        [
            f"rollout-2026-13-20T23-30-05-{ONE}.jsonl",
            f"rollout-2026-02-30T23-30-05-{ONE}.jsonl",
            f"rollout-2026-04-20T23-30-05-{ONE}.json",
            f"rollout-2026-04-20T23-30-05-{ONE}.jsonl.gz",
            f"rollout-2026-04-20T23-30-05-{ONE[:-1]}.jsonl",
            f"other-2026-04-20T23-30-05-{ONE}.jsonl",
            f"{ONE}.jsonl",
            "",
        ],
    )
    def test_other_names_are_not_those_of_rollouts(self, name: str) -> None:
        assert parse_name(name) is None

    @pytest.mark.parametrize(
        "bad", ["", "..", "../../x", ONE[:-1], ONE + "0", ONE + "\n", "/" + ONE[1:], ONE.replace("-", "")]
    )
    def test_an_id_that_is_no_uuid_never_becomes_a_path(self, home: Home, bad: str) -> None:
        for use in (check_id, home.find, home.find_archived):
            with pytest.raises(ValueError, match="not a thread id"):
                use(bad)
        with pytest.raises(ValueError, match="not a thread id"):
            home.new_path(bad, CREATED)

    def test_the_meta_is_the_first_that_parses(self, tmp_path: Path) -> None:
        bad = b'{"type":"session_meta","payload":{"id":5}}\n[]\n\n'
        assert meta_id(put(tmp_path / "a.jsonl", bad + meta(ONE) + meta(TWO))) == ONE
        assert meta_id(put(tmp_path / "b.jsonl", b"{}\n" * 10 + meta(ONE))) is None
        assert meta_id(put(tmp_path / "c.jsonl", b"\xff\n" + meta(ONE).rstrip())) == ONE
        assert meta_id(tmp_path / "none.jsonl") is None
        assert meta_id(put(tmp_path / "d.jsonl.zst", b"damaged")) is None


class TestIds:
    moments = st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))

    @given(moments, st.integers(0, 2**62 - 1))
    def test_are_uuids_of_version_7_with_the_time_in_front(self, now: datetime, random: int) -> None:
        import uuid

        made = uuid.UUID(new_id(now, lambda bits: random))
        assert (made.version, made.variant) == (7, uuid.RFC_4122)
        assert id_time(str(made)) == now.replace(microsecond=now.microsecond // 1000 * 1000)

    @given(moments, st.integers(0, 2**62 - 1), st.integers(0, 2**62 - 1))
    def test_of_different_microseconds_sort_by_time(self, now: datetime, one: int, other: int) -> None:
        assert new_id(now, lambda _: one) < new_id(now + timedelta(microseconds=1), lambda _: other)

    @given(st.lists(moments, min_size=2, max_size=20), st.sampled_from([0, 1, 2**62 - 2, 2**62 - 1]))
    def test_from_one_source_only_grow_whatever_the_clock_does(self, moments: list[datetime], random: int) -> None:
        ids = Ids(lambda _: random)
        made = [ids.new(moment) for moment in moments]
        assert made == sorted(set(made))
        assert all(check_id(one) == one and one[14] == "7" and one[19] in "89ab" for one in made)

    def test_of_other_versions_have_no_time(self) -> None:
        assert id_time(NO_UUID7) is None


class TestFind:
    def test_by_the_name_in_its_day(self, home: Home) -> None:
        thread_id = home.new_id(CREATED)
        path = put(home.new_path(thread_id, CREATED))
        put(home.new_path(home.new_id(CREATED), CREATED))
        assert home.find(thread_id) == path
        assert home.find(thread_id.upper()) == path
        assert home.find_archived(thread_id) is None

    @pytest.mark.parametrize("zone", [-14, 0, 12])
    def test_whatever_the_zone_was_then(self, tmp_path: Path, zone: int) -> None:
        thread_id = new_id(CREATED)
        there = Home(tmp_path, zone=timezone(timedelta(hours=zone)))
        path = put(there.new_path(thread_id, CREATED))
        assert Home(tmp_path, zone=UTC).find(thread_id) == path

    @pytest.mark.parametrize(
        "place",
        [
            f"2026/04/20/copy-{ONE}.jsonl",
            f"rollout-2026-04-20T23-30-05-{ONE}.jsonl",
            f"elsewhere/rollout-2026-04-20T23-30-05-{ONE}.jsonl",
            f"2026/04/20/rollout-2026-99-20T23-30-05-{ONE}.jsonl",
            f"2019/01/01/rollout-2019-01-01T00-00-00-{ONE}.jsonl",
            f"2026/04/20/rollout-2026-04-20T23-30-05-{ONE}.jsonl.zst",
        ],
    )
    def test_wherever_a_file_with_the_id_in_its_name_lies(self, home: Home, place: str) -> None:
        path = put(home.sessions / place)
        assert home.find(ONE) == path

    def test_by_the_id_inside_where_no_name_says_it(self, home: Home) -> None:
        path = put(home.sessions / "2026/04/20/renamed.jsonl", meta(ONE))
        assert home.find(ONE) == path
        assert home.find(TWO) is None

    def test_by_either_id_where_name_and_meta_differ(self, home: Home) -> None:
        path = put(home.new_path(ONE, CREATED), meta(NO_UUID7))
        assert home.find(ONE) == home.find(NO_UUID7) == path

    def test_the_proper_name_before_a_copy_and_the_plain_file_before_its_archive(self, home: Home) -> None:
        path = put(home.new_path(ONE, CREATED))
        put(path.with_name(f"zz-copy-{ONE}.jsonl"))
        put(path.with_name(path.name + ".zst"))
        assert home.find(ONE) == path

    def test_a_compressed_thread_by_the_id_inside(self, home: Home) -> None:
        packed = compress(put(home.sessions / "renamed.jsonl", meta(ONE)))
        assert home.find(ONE) == packed

    def test_archived_ones_are_found_apart(self, home: Home) -> None:
        path = home.archive(put(home.new_path(ONE, CREATED), meta(TWO)))
        assert home.find_archived(ONE) == home.find_archived(TWO) == path
        assert home.find(ONE) is None

    def test_nothing_in_a_home_that_is_empty(self, home: Home) -> None:
        assert home.find(ONE) is None
        assert home.find_archived(ONE) is None
        assert not [*home.walk(), *home.walk(archived=True), *home.days()]


class TestWalk:
    def fill(self, home: Home, count: int = 40) -> list[Path]:
        """Threads nine hours apart, newest first."""
        times = [CREATED - timedelta(hours=9 * n) for n in range(count)]
        return [put(home.new_path(new_id(moment), moment)) for moment in times]

    def test_newest_first(self, home: Home) -> None:
        paths = self.fill(home)
        found = list(home.walk())
        assert [one.path for one in found] == paths
        assert [one.created for one in found] == sorted((one.created for one in found), reverse=True)
        assert all(one.thread_id in one.path.name for one in found)

    def test_goes_on_behind_a_path_even_if_it_is_gone(self, home: Home) -> None:
        paths = self.fill(home)
        for number, path in enumerate(paths):
            path.unlink()
            assert [one.path for one in home.walk(before=path)] == paths[number + 1 :]

    def test_reads_only_the_folders_it_needs(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        import os

        self.fill(home)
        seen: list[Path] = []
        scandir = os.scandir

        def counted(folder: Path) -> object:
            seen.append(folder)
            return scandir(folder)

        monkeypatch.setattr(os, "scandir", counted)
        walk = home.walk()
        for _ in range(3):
            next(walk)
        assert len(seen) <= 5

    def test_leaves_out_what_the_reference_does_not_list(self, home: Home) -> None:
        (path,) = self.fill(home, 1)
        name = path.name
        put(path.with_name("renamed.jsonl"))
        put(path.with_name(name.replace("04-20", "04-31")))
        put(home.sessions / name)
        put(home.sessions / "2026" / "4" / "20" / name)
        put(home.sessions / "2026" / "xx" / "20" / name)
        put(home.sessions / "9999")
        assert [one.path for one in home.walk()] == [path]

    def test_an_archive_counts_where_there_is_no_plain_file(self, home: Home) -> None:
        first, second = self.fill(home, 2)
        packed = compress(first)
        put(second.with_name(second.name + ".zst"))
        assert [one.path for one in home.walk()] == [packed, second]
        assert [one.path for one in home.walk(before=packed)] == [second]

    def test_archived_ones(self, home: Home) -> None:
        paths = [home.archive(path) for path in self.fill(home)]
        assert [one.path for one in home.walk(archived=True)] == paths
        assert [one.path for one in home.walk(archived=True, before=paths[4])] == paths[5:]
        assert list(home.walk()) == []

    def test_days(self, home: Home) -> None:
        self.fill(home, 6)
        put(home.sessions / "2025/12/31/x.jsonl")
        assert [str(day.relative_to(home.sessions)) for day in home.days()] == [
            "2026/04/20",
            "2026/04/19",
            "2025/12/31",
        ]


class TestArchive:
    def test_and_back_to_the_day_in_the_name(self, home: Home) -> None:
        path = put(home.new_path(ONE, CREATED), b"text\n")
        archived = home.archive(path)
        assert archived == home.path / "archived_sessions" / path.name
        assert not path.exists()
        assert home.unarchive(archived) == path
        assert path.read_bytes() == b"text\n"
        assert not archived.exists()

    def test_the_name_not_the_old_folder_tells_the_day(self, home: Home) -> None:
        name = home.new_path(ONE, CREATED).name
        archived = home.archive(put(home.sessions / "2001/01/01" / name))
        assert home.unarchive(archived) == home.new_path(ONE, CREATED)

    def test_archiving_keeps_the_time_and_unarchiving_makes_it_now(self, home: Home) -> None:
        import os

        path = put(home.new_path(ONE, CREATED))
        os.utime(path, (1_700_000_000, 1_700_000_000))
        archived = home.archive(path)
        assert archived.stat().st_mtime == 1_700_000_000
        assert home.unarchive(archived).stat().st_mtime > 1_700_000_000

    def test_an_archive_moves_like_a_plain_file_and_along_with_it(self, home: Home) -> None:
        path = put(home.new_path(ONE, CREATED))
        beside = put(path.with_name(path.name + ".zst"))
        assert home.archive(beside) == home.archived / path.name
        assert sorted(p.name for p in home.archived.iterdir()) == [path.name, beside.name]
        (home.archived / path.name).unlink()
        assert home.unarchive(home.archived / beside.name) == beside

    def test_nothing_is_overwritten(self, home: Home) -> None:
        path = put(home.new_path(ONE, CREATED), b"live\n")
        put(home.archived / path.name, b"archived\n")
        with pytest.raises(LogError, match="there already"):
            home.archive(path)
        with pytest.raises(LogError, match="there already"):
            home.unarchive(home.archived / path.name)
        assert path.read_bytes() == b"live\n"
        assert (home.archived / path.name).read_bytes() == b"archived\n"

    def test_only_what_lies_in_the_home_is_moved(self, home: Home, tmp_path: Path) -> None:
        name = home.new_path(ONE, CREATED).name
        outside = put(tmp_path / "outside" / name)
        (home.sessions).mkdir()
        link = home.sessions / "link"
        link.symlink_to(outside.parent)
        for path in (outside, home.sessions / ".." / "outside" / name, link / name):
            with pytest.raises(LogError, match="not a file in"):
                home.archive(path)
        with pytest.raises(LogError, match="not a file in"):
            home.unarchive(put(home.sessions / name))
        assert outside.exists()

    def test_a_name_without_a_day_stays_archived(self, home: Home) -> None:
        path = home.archive(put(home.sessions / "renamed.jsonl"))
        with pytest.raises(LogError, match="day"):
            home.unarchive(path)
        assert path.exists()

    def test_what_is_not_there_is_an_error(self, home: Home) -> None:
        with pytest.raises(LogError, match="no such file"):
            home.archive(home.new_path(ONE, CREATED))


class TestThreadNames:
    def test_the_last_one_wins(self, home: Home) -> None:
        for name in ("first", "größer", "last"):
            home.append_name(ONE, name, CREATED)
        home.append_name(TWO, "other", CREATED)
        assert home.names() == {ONE: "last", TWO: "other"}
        assert (home.name(ONE), home.name(NO_UUID7)) == ("last", None)

    def test_lines_are_those_of_the_reference(self, home: Home) -> None:
        home.append_name(ONE, 'a "quoted" größer', CREATED.astimezone(timezone(timedelta(hours=2))))
        assert (home.path / "session_index.jsonl").read_text() == (
            f'{{"id":"{ONE}","thread_name":"a \\"quoted\\" größer","updated_at":"2026-04-20T23:30:05.000000000Z"}}\n'
        )

    def test_malformed_lines_are_skipped_and_stay(self, home: Home) -> None:
        index = home.path / "session_index.jsonl"
        text = b'\xff\n[]\n{"id":"x"}\n{"id":"%s","thread_name":"kept"}\n{"id":"torn' % ONE.encode()
        index.write_bytes(text)
        assert home.names() == {ONE: "kept"}
        home.append_name(TWO, "new", CREATED)
        assert home.names() == {ONE: "kept", TWO: "new"}
        assert index.read_bytes().startswith(text + b"\n")

    def test_a_blank_name_is_none(self, home: Home) -> None:
        for thread, name in ((ONE, "kept"), (ONE, " "), (TWO, "")):
            home.append_name(thread, name, CREATED)
        assert home.names() == {ONE: "kept"}

    def test_names_of_others_are_seen_and_nothing_is_read_twice(self, home: Home) -> None:
        other = Home(home.path)
        other.append_name(ONE, "x" * 10_000, CREATED)
        assert home.names() == {ONE: "x" * 10_000}
        other.append_name(ONE, "short", CREATED)
        read = home._names._log.bytes_read
        assert home.names() == {ONE: "short"}
        assert home._names._log.bytes_read - read < 200

    @pytest.mark.parametrize("how", ["replaced", "cut", "deleted"])
    def test_an_index_that_was_changed_is_read_anew(self, home: Home, how: str) -> None:
        index = home.path / "session_index.jsonl"
        home.append_name(ONE, "old", CREATED)
        assert home.names() == {ONE: "old"}
        if how == "replaced":
            put(index.with_name("new"), b'{"id":"%s","thread_name":"new"}\n' % TWO.encode()).replace(index)
        elif how == "cut":
            index.write_bytes(b'{"id":"%s","thread_name":"new"}\n' % TWO.encode())
        else:
            index.unlink()
            home.append_name(TWO, "new", CREATED)
        assert home.names() == {TWO: "new"}
