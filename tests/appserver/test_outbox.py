"""The outbox keeps order, forgets nothing under its bound and never waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.appserver import memory
from engine.appserver.outbox import BATCH, LARGE, Outbox

pytestmark = pytest.mark.anyio


async def test_messages_come_out_in_order_in_batches() -> None:
    box = Outbox()
    sent = [str(n).encode() for n in range(1000)]
    for message in sent:
        box.put(message)
    box.close()
    taken: list[bytes] = []
    while batch := await box.take():
        assert sum(map(len, batch)) <= BATCH
        taken += batch
    assert taken == sent
    assert box.drained.is_set()


async def test_what_is_being_written_counts_until_the_next_batch_is_asked_for() -> None:
    box = Outbox(limit=10)
    box.put(b"12345678")
    await box.take()
    box.put(b"12345678")
    assert box.overflow.is_set()


@pytest.mark.parametrize(("size", "times"), [(LARGE, 0), (LARGE + 1, 1)])
async def test_memory_is_given_back_when_a_large_message_is_written(
    size: int, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []
    monkeypatch.setattr(memory, "give_back", lambda: given.append(1))
    box = Outbox()
    box.put(b"x" * size)
    box.put(b"y")
    await box.take()
    assert not given
    await box.take()
    assert len(given) == times


def test_giving_back_harms_nothing() -> None:
    memory.give_back()
    memory.give_back()


async def test_a_message_above_the_bound_passes_when_nothing_else_waits() -> None:
    box = Outbox(limit=10)
    box.put(b"x" * 100)
    assert await box.take() == [b"x" * 100]
    assert not box.overflow.is_set()


async def test_an_overflow_drops_everything_for_good() -> None:
    box = Outbox(limit=10)
    box.put(b"123456")
    box.put(b"123456")
    box.put(b"1")
    assert box.overflow.is_set()
    assert await box.take() is None


@given(sizes=st.lists(st.integers(1, 40)), limit=st.integers(1, 100))
def test_never_more_waits_than_the_bound_or_one_message(sizes: list[int], limit: int) -> None:
    box = Outbox(limit)
    for size in sizes:
        box.put(b"x" * size)
        assert box.size <= limit or box.waiting == 1
