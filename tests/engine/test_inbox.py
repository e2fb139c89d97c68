"""A thread's inbox: order, answers, and what becomes of it at the end."""

from __future__ import annotations

import anyio
import pytest

from engine.inbox import Action, Inbox

pytestmark = pytest.mark.anyio


async def serve(inbox: Inbox) -> None:
    async for action in inbox:
        await action()


def noting(done: list[str], word: str) -> Action:
    async def note() -> None:
        done.append(word)

    return note


async def test_all_that_was_posted_before_the_end_is_done_in_order() -> None:
    inbox, done = Inbox(), list[str]()

    async def posts_more() -> None:
        inbox.post(noting(done, "third"))
        await noting(done, "first")()

    inbox.post(posts_more)
    inbox.post(noting(done, "second"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, inbox)
        await anyio.wait_all_tasks_blocked()
        assert done == ["first", "second", "third"]
        inbox.post(noting(done, "last"))
        inbox.close()
        inbox.post(noting(done, "too late"))
    assert done == ["first", "second", "third", "last"]


async def test_whoever_asks_gets_the_result_or_the_error_and_the_owner_goes_on() -> None:
    inbox = Inbox()

    async def fails() -> None:
        raise ValueError("no")

    async def answers() -> int:
        return 7

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, inbox)
        with pytest.raises(ValueError, match="no"):
            await inbox.ask(fails)
        assert await inbox.ask(answers) == 7
        inbox.close()


async def test_an_owner_that_never_rests_lets_others_run() -> None:
    inbox = Inbox()
    ended = anyio.Event()

    async def again() -> None:
        if not ended.is_set():
            inbox.post(again)

    inbox.post(again)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, inbox)
        await anyio.lowlevel.checkpoint()
        ended.set()
        inbox.close()
