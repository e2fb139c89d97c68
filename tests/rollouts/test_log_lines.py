"""Lines found in blocks, from either end: the same lines, every byte once, whatever the block size."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from rollouts.lines import Pread, Record, backward, forward

TEXT = st.lists(st.sampled_from([b"\n", b"\r\n", b"a", b"bcdef", b"\x00\xff", b"{}"])).map(b"".join)
BLOCKS = st.integers(1, 12)


class Counted:
    """Bytes to read from, and how many of them were."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.read = 0

    def pread(self, size: int, offset: int) -> bytes:
        data = self.text[offset : offset + size]
        self.read += len(data)
        return data


def model(text: bytes, start: int, end: int) -> list[Record]:
    """What a range holds, by `bytes.split`."""
    *whole, rest = text[start:end].split(b"\n")
    records = []
    for line in whole:
        records.append(Record(start, line, start + len(line) + 1))
        start += len(line) + 1
    return records + ([Record(start, rest, end, torn=True)] if rest else [])


@given(TEXT, BLOCKS, st.data())
def test_forward_is_a_split_of_the_range(text: bytes, block: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    source = Counted(text)
    assert list(forward(source.pread, start, end, block=block)) == model(text, start, end)
    assert source.read == end - start


@given(TEXT, BLOCKS)
def test_forward_without_an_end_stops_where_the_text_does(text: bytes, block: int) -> None:
    assert list(forward(Counted(text).pread, 0, block=block)) == model(text, 0, len(text))


@given(TEXT, BLOCKS, BLOCKS, st.data())
def test_backward_is_forward_reversed(text: bytes, one: int, other: int, data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(text)))
    source = Counted(text)
    records = list(backward(source.pread, end, block=one))
    assert records[::-1] == list(forward(source.pread, 0, end, block=other))
    assert source.read == 2 * end


@given(st.binary(max_size=60), BLOCKS)
def test_arbitrary_bytes(text: bytes, block: int) -> None:
    records = list(forward(Counted(text).pread, 0, len(text), block=block))
    assert b"".join(r.data + b"\n" * (not r.torn) for r in records) == text
    assert list(backward(Counted(text).pread, len(text), block=block)) == records[::-1]


@given(TEXT, BLOCKS, st.integers(0, 10))
def test_a_limit_changes_the_data_and_nothing_else(text: bytes, block: int, limit: int) -> None:
    whole = model(text, 0, len(text))
    heads = [Record(r.offset, r.data[:limit], r.end, r.torn, len(r.data) > limit) for r in whole]
    assert list(forward(Counted(text).pread, 0, len(text), block=block, limit=limit)) == heads
    assert list(backward(Counted(text).pread, len(text), block=block, limit=limit)) == heads[::-1]


def huge(size: int) -> Pread:
    """A text of one line of `size` bytes, which is nowhere in memory."""

    def pread(count: int, offset: int) -> bytes:
        count = min(count, size + 1 - offset)
        return b"x" * (count - 1) + (b"\n" if offset + count > size else b"x")

    return pread


def test_the_head_of_a_huge_line_costs_no_memory() -> None:
    size = 300 << 20
    tracemalloc.start()
    try:
        (ahead,) = forward(huge(size), 0, size + 1, limit=200)
        (back,) = backward(huge(size), size + 1, limit=200)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert ahead == back == Record(0, b"x" * 200, size + 1, cut=True)
    assert peak < 8 << 20
