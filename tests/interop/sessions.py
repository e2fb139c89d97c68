"""Steps that tests of one session in two engines share."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from typing import Any

from tests.interop.history import asked
from tests.interop.peer import Peer
from tests.interop.place import Place
from tests.interop.programs import Engine
from tests.mock_model import MockModel, Usage

ENGINES: tuple[Engine, ...] = ("ours", "reference")


def usage(turn: int) -> Usage:
    """A usage that names its turn."""
    return (100 + turn, 10 * turn, 20 + turn, turn)


def resumed(peer: Peer, thread_id: str, **params: Any) -> dict[str, Any]:
    """The answer to `thread/resume`."""
    return dict(peer.call("thread/resume", threadId=thread_id, **params))


def restored(peer: Peer, thread_id: str) -> dict[str, Any]:
    """The usage that a resume replays."""
    return peer.wait("thread/tokenUsage/updated", lambda params: params["threadId"] == thread_id)


def read_by(engine: Engine, place: Place, thread_ids: Iterable[str]) -> dict[str, Any]:
    """Threads with their turns, as a fresh server of this engine reads them."""
    with Peer(engine, place) as peer:
        threads = {one: peer.call("thread/read", threadId=one, includeTurns=True)["thread"] for one in thread_ids}
    for thread in threads.values():
        # The reference takes both from its database, which knows its own writes only, and not all of those: a run
        # of many lost the first message of a thread whose server was killed, and showed the second as its preview.
        del thread["updatedAt"]
        preview = thread.pop("preview")
        if engine == "ours":
            assert preview == first_message(thread)
    return threads


def first_message(thread: dict[str, Any]) -> str:
    """The text of the first user message in a thread's turns."""
    items = (item for turn in thread["turns"] for item in turn["items"])
    return str(next(item for item in items if item["type"] == "userMessage")["content"][0]["text"])


def continued_by(
    engine: Engine, place: Place, model: MockModel, thread_ids: Iterable[str]
) -> dict[str, list[dict[str, Any]]]:
    """What the model is sent when a fresh server of this engine goes on with threads. The files stay as they were."""
    before = shutil.copytree(place.home, place.root / f"before {engine}")
    inputs = {}
    with Peer(engine, place) as peer:
        for thread_id in thread_ids:
            resumed(peer, thread_id)
            peer.turn(thread_id, "and now?")
            inputs[thread_id] = asked(model)[-1].json["input"]
    shutil.rmtree(place.home)
    before.rename(place.home)
    return inputs
