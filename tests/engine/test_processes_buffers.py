"""Output is cut at character boundaries and kept within bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.processes.buffers import (
    MAX_CHUNKS,
    MAX_SHOWN_BYTES,
    HeadTail,
    Live,
    Utf8Chunks,
    guessed_text,
    text,
)

CHARACTERS = st.text(st.sampled_from("aä€😀\n"), max_size=60)


def cuts(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({min(place, len(data)) for place in places} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def fed(pieces: list[bytes], limit: int) -> list[bytes]:
    chunks = Utf8Chunks(limit)
    found = [chunk for piece in pieces for chunk in chunks.feed(piece)]
    return [*found, *chunks.flush()]


@given(CHARACTERS, st.lists(st.integers(0, 300)), st.integers(4, 20))
def test_chunks_of_a_text_are_texts(original: str, places: list[int], limit: int) -> None:
    chunks = fed(cuts(original.encode(), places), limit)
    assert "".join(chunk.decode() for chunk in chunks) == original
    assert all(0 < len(chunk) <= limit for chunk in chunks)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300)), st.integers(1, 20))
def test_chunks_of_anything_lose_nothing(data: bytes, places: list[int], limit: int) -> None:
    chunks = fed(cuts(data, places), limit)
    assert b"".join(chunks) == data
    assert all(0 < len(chunk) <= max(limit, 3) for chunk in chunks)


@given(st.binary(max_size=60), st.integers(4, 20))
def test_chunks_read_as_the_whole_does(data: bytes, limit: int) -> None:
    assert "".join(map(text, fed([data], limit))) == text(data)


def test_a_torn_character_waits_for_its_rest() -> None:
    chunks = Utf8Chunks()
    assert list(chunks.feed("aä".encode()[:2])) == [b"a"]
    assert list(chunks.feed("ä".encode()[1:] + b"b")) == ["äb".encode()]
    assert list(chunks.flush()) == []


def test_bytes_that_are_no_text_do_not_wait() -> None:
    assert list(Utf8Chunks().feed(b"a\xff\x80\x80\x80\x80")) == [b"a\xff\x80\x80\x80\x80"]


@given(st.lists(st.binary(max_size=30)), st.integers(0, 40))
def test_head_and_tail_are_kept(pieces: list[bytes], cap: int) -> None:
    buffer = HeadTail(cap)
    for piece in pieces:
        buffer.push(piece)
    whole = b"".join(pieces)
    head, tail = cap // 2, cap - cap // 2
    kept = whole if len(whole) <= cap else whole[:head] + whole[len(whole) - tail :]
    assert buffer.data() == kept


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"caf\xe9 \x80", "caf\xe9 \u20ac"),
        (b"hole \x81", "hole \x81"),
        ("\u20ac".encode() + b"\xff", "\u20ac\ufffd"),
        ("na\xefve".encode(), "na\xefve"),
        (b"", ""),
    ],
)
def test_output_that_is_not_utf8_is_taken_for_western_text_unless_most_of_it_is_utf8(data: bytes, shown: str) -> None:
    assert guessed_text(data) == shown


def test_of_a_flood_clients_see_the_beginning() -> None:
    many, large = Live(), Live()
    assert [many.takes(b"x") for _ in range(MAX_CHUNKS + 2)] == [True] * MAX_CHUNKS + [False] * 2
    assert [large.takes(bytes(MAX_SHOWN_BYTES)), large.takes(b"x")] == [True, False]
