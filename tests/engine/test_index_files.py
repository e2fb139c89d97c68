"""Looking at rollout files: heads, what was appended, what was rewritten, what cannot be read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import zstandard
from msgspec.structs import replace

from engine.index.entry import Entry
from engine.index.files import HEAD, PIECE, Files
from projections.catalog import EMPTY
from rollouts.lines import Record
from tests.engine.homes import answered, line, meta, named, plain_row, said, thread_id, write

ID = thread_id(1)
CHATTER = answered("y" * 1000)


def file(tmp_path: Path, lines: Sequence[bytes]) -> Path:
    return write(tmp_path / "r.jsonl", lines)


def read(tmp_path: Path, known: Entry | None = None) -> Entry:
    entry = Files(tmp_path).read("r.jsonl", known)
    assert entry is not None
    return entry


def test_a_small_file_is_read_whole(tmp_path: Path) -> None:
    path = file(tmp_path, [meta(ID), said("hi"), answered("yes"), named(ID, "late")])
    entry = read(tmp_path)
    assert (entry.complete, entry.covered, entry.row.name) == (True, path.stat().st_size, "late")
    assert (entry.row.path, entry.row.archived) == (str(path), False)
    assert entry.row.updated_at == path.stat().st_mtime_ns // 1_000_000


SETTINGS = {"approval_policy": "never", "sandbox_policy": {"type": "read-only"}, "summary": "auto"}
CONTEXT = line("turn_context", {"cwd": "/w", "model": "m"} | SETTINGS)


def test_the_head_goes_as_far_as_the_first_words(tmp_path: Path) -> None:
    file(tmp_path, [meta(ID), CONTEXT, said(""), *[CHATTER] * 100, said("hi"), *[CHATTER] * 10])
    entry = read(tmp_path)
    assert (entry.complete, entry.row.preview) == (False, "hi")


def test_of_a_large_file_only_the_head_is_read(tmp_path: Path) -> None:
    file(tmp_path, [meta(ID), CONTEXT, said("hi"), *[CHATTER] * 100_000])
    files = Files(tmp_path)
    entry = files.read("r.jsonl")
    assert entry is not None
    assert (entry.complete, entry.row.preview, entry.row.model) == (False, "hi", "m")
    assert files.counters.bytes < 300_000


def test_a_user_message_is_found_within_the_first_lines(tmp_path: Path) -> None:
    file(tmp_path, [meta(ID), *[CHATTER] * 150, said("hi"), *[CHATTER] * 200])
    assert read(tmp_path).row.listed
    file(tmp_path, [meta(ID), *[CHATTER] * 250, said("hi")])
    entry = read(tmp_path)
    assert not entry.row.listed
    assert not entry.complete


def test_reading_on_piece_by_piece_ends_with_the_whole_file(tmp_path: Path) -> None:
    path = file(tmp_path, [meta(ID), *[CHATTER] * 450, said("hi"), *[CHATTER] * 250, named(ID, "late")])
    entry = read(tmp_path)
    while not entry.complete:
        before, entry = entry, read(tmp_path, entry)
        assert entry.covered > before.covered
    assert entry.row == replace(plain_row(path), path=str(path), updated_at=entry.row.updated_at)
    assert entry.row.name == "late"


def test_a_line_of_any_length_costs_no_memory_and_stops_nothing(tmp_path: Path) -> None:
    huge = line("compacted", {"message": "z" * (8 << 20)})
    file(tmp_path, [meta(ID), huge, said("x" * 100_000)])
    entry = read(tmp_path)
    while not entry.complete:
        entry = read(tmp_path, entry)
    assert entry.row.preview == "x" * 100_000


def test_what_was_appended_is_read_and_nothing_else(tmp_path: Path) -> None:
    path = file(tmp_path, [meta(ID), said("hi"), *[CHATTER] * 50])
    entry = read(tmp_path)
    with path.open("ab") as out:
        out.write(named(ID, "late"))
    files = Files(tmp_path)
    after = files.read("r.jsonl", entry)
    assert after is not None
    assert (after.row.name, after.complete) == ("late", True)
    assert files.counters.bytes < 1000


def test_a_torn_line_is_read_again_when_it_is_whole(tmp_path: Path) -> None:
    late = named(ID, "late")
    path = file(tmp_path, [meta(ID), said("hi"), late[:40]])
    entry = read(tmp_path)
    assert (entry.complete, entry.row.name) == (True, None)
    with path.open("ab") as out:
        out.write(late[40:])
    assert read(tmp_path, entry).row.name == "late"


def test_a_whole_last_line_without_line_break_counts(tmp_path: Path) -> None:
    file(tmp_path, [meta(ID), said("hi").rstrip()])
    assert read(tmp_path).row.preview == "hi"


@pytest.mark.parametrize(
    "lines",
    [
        [meta(ID), said("other"), answered("yes")],
        [meta(thread_id(2)), said("hi"), *[CHATTER] * 5],
        [meta(ID), said("shorter")],
    ],
    ids=["in place, same size", "rewritten, longer", "rewritten, shorter"],
)
def test_a_rewritten_file_is_read_anew(tmp_path: Path, lines: list[bytes]) -> None:
    path = file(tmp_path, [meta(ID), said("first"), answered("yes")])
    entry = read(tmp_path)
    write(path, lines, 1_800_000_000)
    assert read(tmp_path, entry).row.preview == plain_row(path).preview
    assert read(tmp_path, entry).row.id == plain_row(path).id


def test_another_file_in_its_place_is_read_anew(tmp_path: Path) -> None:
    path = file(tmp_path, [meta(ID), said("hi"), answered("yes")])
    entry = read(tmp_path)
    other = write(tmp_path / "other", [meta(ID), said("hi"), answered("yes"), said("more"), named(ID, "new")])
    os.replace(other, path)
    assert read(tmp_path, entry).row.name == "new"


@pytest.mark.parametrize("text", [b"", b"\n\n", b"\xef\xbb\xbf" + meta(ID), said("no meta"), b"\x00\xff\n" * 9])
def test_files_without_a_thread_are_not_listed(tmp_path: Path, text: bytes) -> None:
    file(tmp_path, [text])
    entry = read(tmp_path)
    assert (entry.complete, entry.row.listed) == (True, False)


def test_lines_that_cannot_be_read_are_skipped(tmp_path: Path) -> None:
    junk = [b"not json\n", b"[]\n", b"42\n", b"null\n", b"{}\n", b"\n", b"\xff\xfe\n", b"  \r\n"]
    file(tmp_path, [*junk, said("hi"), *junk, meta(ID).replace(b"\n", b"\r\n"), *junk])
    assert read(tmp_path).row.listed


def test_a_compressed_file_is_read_too(tmp_path: Path) -> None:
    text = b"".join([meta(ID), said("packed"), *[CHATTER] * 400])
    (tmp_path / "r.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(text))
    files = Files(tmp_path)
    entry = files.read("r.jsonl.zst")
    while entry is not None and not entry.complete:
        entry = files.read("r.jsonl.zst", entry, PIECE)
    assert entry is not None
    assert (entry.row.preview, entry.covered) == ("packed", len(text))


def test_an_archive_that_is_broken_is_not_listed_and_not_tried_again(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl.zst").write_bytes(b"\x28\xb5\x2f\xfd broken")
    entry = Files(tmp_path).read("r.jsonl.zst")
    assert entry is not None
    assert (entry.complete, entry.row.listed, entry.row.id) == (True, False, "")


def test_a_file_that_is_gone_has_no_entry(tmp_path: Path) -> None:
    assert Files(tmp_path).read("r.jsonl", None, HEAD) is None
    assert Files(tmp_path).seal("r.jsonl", Entry(EMPTY)) is None


def test_a_writer_folds_its_own_lines_and_reads_nothing(tmp_path: Path) -> None:
    lines = [meta(ID), said("hi"), named(ID, "mine")]
    records, offset = [], 0
    for data in lines:
        records.append(Record(offset, data[:-1], offset + len(data)))
        offset += len(data)
    path = file(tmp_path, lines)
    files = Files(tmp_path)
    sealed = files.seal("r.jsonl", Entry(EMPTY).after(records))
    assert sealed == read(tmp_path)
    assert files.counters.bytes == 0
    assert sealed is not None and sealed.row.path == str(path)


def test_a_writer_with_a_gap_before_its_lines_leaves_the_gap_to_be_read(tmp_path: Path) -> None:
    foreign = named(ID, "foreign")
    lines = [meta(ID), said("hi"), foreign, answered("yes")]
    file(tmp_path, lines)
    start = len(lines[0]) + len(lines[1])
    entry = Entry(EMPTY).after([Record(0, lines[0][:-1], len(lines[0])), Record(len(lines[0]), lines[1][:-1], start)])
    behind = start + len(foreign)
    entry = entry.after([Record(behind, lines[3][:-1], behind + len(lines[3]))])
    sealed = Files(tmp_path).seal("r.jsonl", entry)
    assert sealed is not None
    assert (sealed.complete, sealed.covered, sealed.row.name) == (False, start, None)
    assert read(tmp_path, sealed).row.name == "foreign"
