"""Compressed rollouts: random access that costs a frame, foreign archives, damage, packing and restoring."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from rollouts.archive import ArchiveLog, compress, restore
from rollouts.errors import Conflict, LogError, Moved
from rollouts.log import FileLog, Record, open_log
from rollouts.packed import FrameSize, decode_table, encode_table, open_text
from tests.conftest import fixture_rollouts

Walk = Callable[[ArchiveLog], Iterator[Record]]


def lines(count: int) -> list[bytes]:
    return [b'{"line":%d,"text":"%s"}' % (n, os.urandom(20).hex().encode()) for n in range(count)]


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "rollout.jsonl"
    FileLog(path).append(lines(2000), expected_end=0)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


class TestCompress:
    @pytest.mark.parametrize("source", fixture_rollouts("basic*"), ids=lambda path: path.stem)
    def test_and_restore_give_the_same_bytes_mode_and_times(self, source: Path, tmp_path: Path) -> None:
        path = tmp_path / source.name
        path.write_bytes(source.read_bytes() + b"torn")
        path.chmod(0o640)
        os.utime(path, (1_700_000_000, 1_700_000_000))
        text, status = path.read_bytes(), path.stat()
        packed = compress(path)
        assert list(tmp_path.iterdir()) == [packed]
        assert packed.name == source.name + ".zst"
        assert restore(packed) == path
        assert list(tmp_path.iterdir()) == [path]
        assert path.read_bytes() == text
        assert (path.stat().st_mtime, path.stat().st_mode) == (status.st_mtime, status.st_mode)

    def test_any_zstd_reads_it(self, plain: Path) -> None:
        text = plain.read_bytes()
        packed = compress(plain, frame=5000)
        with packed.open("rb") as file:
            reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            assert reader.read() == text

    def test_frames_hold_whole_lines_unless_a_line_is_longer(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_bytes(b"a" * 30 + b"\n" + b"b" * 250 + b"\n" + b"c\n" * 10)
        with compress(path, frame=100).open("rb") as file:
            sizes = [frame.text for frame in decode_table(file) or []]
        assert sizes == [31, 100, 100, 71]

    @pytest.mark.parametrize("text", [b"", b"\n", b"no line break"])
    def test_small_files(self, text: bytes, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_bytes(text)
        packed = compress(path)
        assert ArchiveLog(packed).end() == len(text)
        assert restore(packed).read_bytes() == text

    def test_a_line_that_comes_meanwhile_stops_it(self, plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fsync = os.fsync

        def late(fd: int) -> None:
            with plain.open("ab") as file:
                file.write(b"late\n")
            fsync(fd)

        monkeypatch.setattr(os, "fsync", late)
        with pytest.raises(Conflict):
            compress(plain)
        assert plain.read_bytes().endswith(b"late\n")
        assert list(plain.parent.iterdir()) == [plain]

    def test_a_writer_that_had_the_file_open_learns_that_it_is_gone(
        self, plain: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import fcntl

        log = FileLog(plain)
        end = log.end()
        flock = fcntl.flock

        def waits(fd: int, operation: int) -> None:
            monkeypatch.setattr(fcntl, "flock", flock)
            compress(plain)
            flock(fd, operation)

        monkeypatch.setattr(fcntl, "flock", waits)
        with pytest.raises(Moved):
            log.append([b"lost?"], expected_end=end)
        assert not plain.exists()

    def test_what_is_not_there_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(Moved):
            compress(tmp_path / "none.jsonl")


class TestCost:
    def test_a_range_costs_its_frame(self, plain: Path) -> None:
        records = list(FileLog(plain).read())
        log = ArchiveLog(compress(plain, frame=4096))
        wanted = records[1000]
        assert list(log.read(wanted.offset, wanted.end)) == [wanted]
        assert log.bytes_read <= 4096

    @pytest.mark.parametrize("walk", [ArchiveLog.read, ArchiveLog.read_back])
    def test_a_walk_unpacks_each_frame_once(self, plain: Path, walk: Walk) -> None:
        size = plain.stat().st_size
        log = ArchiveLog(compress(plain, frame=4096), block=4096)
        assert len(list(walk(log))) == log.lines_read == 2000
        assert log.bytes_read == size

    def test_the_head_of_a_foreign_archive_costs_the_head(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl.zst"
        text = b"\n".join(lines(40_000))
        path.write_bytes(zstandard.ZstdCompressor().compress(text))
        log = ArchiveLog(path, block=4096)
        assert next(log.read()).data == text.split(b"\n", 1)[0]
        assert log.bytes_read < len(text) / 4
        log.close()


class TestForeign:
    def test_several_frames_and_skippable_ones(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl.zst"
        frame = zstandard.ZstdCompressor(write_content_size=False).compress
        skipped = (0x184D2A50).to_bytes(4, "little") + (3).to_bytes(4, "little") + b"abc"
        path.write_bytes(frame(b"one\ntw") + skipped + frame(b"o\nthree") + frame(b"") + skipped)
        assert [r.data for r in ArchiveLog(path).read()] == [b"one", b"two", b"three"]

    def test_a_table_with_checksums_and_huge_frames(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl.zst"
        packed = zstandard.ZstdCompressor().compress(b"x" * (17 << 20) + b"\nlast\n")
        table = len(packed).to_bytes(4, "little") + ((17 << 20) + 6).to_bytes(4, "little") + b"sum!"
        content = table + (1).to_bytes(4, "little") + b"\x80" + (0x8F92EAB1).to_bytes(4, "little")
        header = (0x184D2A5E).to_bytes(4, "little") + len(content).to_bytes(4, "little")
        path.write_bytes(packed + header + content)
        with path.open("rb") as file:
            assert decode_table(file) == [FrameSize(len(packed), (17 << 20) + 6)]
        log = ArchiveLog(path)
        assert next(log.read_back()).data == b"last"
        log.close()

    @given(st.binary(max_size=80))
    @settings(deadline=None)
    def test_a_table_is_believed_only_if_it_fits(self, tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
        path = tmp_path_factory.getbasetemp() / "noise.zst"
        path.write_bytes(noise + encode_table([FrameSize(len(noise) + 1, 5)]))
        with path.open("rb") as file:
            assert decode_table(file) is None


class TestDamage:
    @pytest.mark.parametrize("cut", [1, 20, 1000])
    def test_a_cut_archive_is_an_error_not_a_shorter_history(self, plain: Path, cut: int) -> None:
        packed = compress(plain, frame=4096)
        os.truncate(packed, packed.stat().st_size - cut)
        with pytest.raises(LogError, match="cannot be unpacked") as caught:
            ArchiveLog(packed).end()
        assert caught.value.path == packed

    def test_a_wrong_byte_is_an_error_where_it_is_and_nowhere_else(self, plain: Path) -> None:
        packed = compress(plain, frame=4096)
        text = bytearray(packed.read_bytes())
        text[20_000] ^= 0x40
        packed.write_bytes(text)
        log = ArchiveLog(packed, block=4096)
        assert next(log.read()).offset == 0
        with pytest.raises(LogError, match="cannot be unpacked") as caught:
            list(log.read())
        assert caught.value.offset is not None

    def test_restoring_a_damaged_one_changes_nothing(self, plain: Path) -> None:
        packed = compress(plain, frame=4096)
        os.truncate(packed, packed.stat().st_size - 100)
        with pytest.raises(LogError):
            restore(packed)
        assert list(plain.parent.iterdir()) == [packed]

    def test_no_zstd_at_all(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl.zst"
        path.write_bytes(b'{"type":"session_meta"}\n')
        with pytest.raises(LogError, match="cannot be unpacked"):
            list(ArchiveLog(path).read())


class TestAppend:
    def test_restores_the_plain_file_and_goes_on_there(self, plain: Path) -> None:
        text = plain.read_bytes()
        log = open_log(compress(plain))
        assert log.end() == len(text)
        end = log.append([b"new"], expected_end=len(text))
        log.sync()
        assert list(plain.parent.iterdir()) == [plain]
        assert plain.read_bytes() == text + b"new\n"
        assert next(log.read_back()).data == b"new"
        assert log.append([b"newer"], expected_end=end) == log.end()

    def test_a_conflict_restores_nothing(self, plain: Path) -> None:
        packed = compress(plain)
        with pytest.raises(Conflict):
            open_log(packed).append([b"new"], expected_end=1)
        assert list(packed.parent.iterdir()) == [packed]

    def test_a_plain_file_that_another_program_restored_wins(self, plain: Path) -> None:
        text = plain.read_bytes()
        packed = compress(plain)
        log = ArchiveLog(packed)
        assert len(list(log.read())) == 2000
        plain.write_bytes(text + b"theirs\n")
        assert next(log.read_back()).data == b"theirs"
        assert log.append([b"ours"], expected_end=len(text) + 7) == log.end()
        assert packed.exists()

    def test_restoring_never_takes_the_place_of_a_plain_file(self, plain: Path) -> None:
        text = plain.read_bytes()
        packed = compress(plain)
        plain.write_bytes(text + b"newer\n")
        assert restore(packed) == plain
        assert plain.read_bytes() == text + b"newer\n"

    def test_a_moved_archive_is_named(self, plain: Path) -> None:
        log = open_log(compress(plain))
        log.end()
        plain.with_name("rollout.jsonl.zst").unlink()
        with pytest.raises(Moved):
            log.end()
        with pytest.raises(Moved):
            log.append([b"x"], expected_end=0)
        assert list(plain.parent.iterdir()) == []


@given(st.lists(st.binary(max_size=30), max_size=12), st.integers(1, 40), st.data())
@settings(deadline=None, max_examples=60)
def test_any_range_of_any_text(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], frame: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    text = b"\n".join(pieces)
    path.write_bytes(text)
    unpacked = open_text(compress(path, frame=frame))
    offset = data.draw(st.integers(0, len(text)))
    size = data.draw(st.integers(0, len(text) + 5))
    assert unpacked.pread(size, offset) == text[offset : offset + size]
    unpacked.close()
