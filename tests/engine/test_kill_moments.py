"""Death at every write of a session, and at every byte of a file: what was published is there, and the thread goes on.

The counterpart of `test_kill` without processes: a log that notes at every append and sync how much is in the file and
what clients have been told by then. As files only grow, each such moment can be brought back by cutting the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import Clock
from engine.index import Index
from engine.storage import Files, Place
from projections import protocol as p
from projections.session import rebuild
from rollouts import codec
from rollouts import events as ev
from rollouts.layout import Home
from rollouts.log import FileLog, Log
from tests.engine.harness import Engine, engine, make_home, until
from tests.engine.test_threads_durable import plain

pytestmark = pytest.mark.anyio


class Moment(NamedTuple):
    """How much is in the file, how much of that survives a power cut, which turns clients were told are completed."""

    size: int
    synced: int
    completed: tuple[str, ...]


class Watched:
    """A log that notes moments; everything else is the log's."""

    def __init__(self, log: Log, storage: WatchedFiles) -> None:
        self._log = log
        self._storage = storage
        self._synced = 0

    def append(self, lines: Sequence[bytes], *, expected_end: int) -> int:
        self._note()
        end = self._log.append(lines, expected_end=expected_end)
        self._note()
        return end

    def sync(self) -> None:
        self._note()
        self._log.sync()
        self._synced = self._log.end()
        self._note()

    def _note(self) -> None:
        self._storage.moments.append(Moment(self._log.end(), self._synced, tuple(self._storage.completed())))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


class WatchedFiles(Files):
    """Files whose new logs are watched."""

    def __init__(self, home: Home, index: Index, clock: Clock) -> None:
        super().__init__(home, index)
        self.moments: list[Moment] = []
        self.running: Engine | None = None

    def create(self, thread_id: str, created: Any) -> tuple[Place, Log]:
        place, log = super().create(thread_id, created)
        return place, Watched(log, self)

    def completed(self) -> Iterator[str]:
        assert self.running is not None
        return (params.turn.id for params in self.running.sink.of("turn/completed"))


class Session:
    """A session that was played to its end: where its file is, what is in it, and all moments on the way."""

    def __init__(self, home: Path, thread_id: str, text: bytes, moments: list[Moment]) -> None:
        self.home = home
        self.thread_id = thread_id
        self.text = text
        self.moments = moments


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def session(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> Session:
    home = make_home(tmp_path_factory.mktemp("moments"))
    async with engine(home, storage=WatchedFiles) as running:
        storage = running.host.storage
        assert isinstance(storage, WatchedFiles)
        storage.running = running
        thread_id = await running.start()
        for text in ("one", "zwei – mit Umlauten äöü 🙂"):
            running.model.replies.extend([("update_plan", '{"plan":[{"step":"s","status":"pending"}]}'), "fertig ✓"])
            await running.turn(thread_id, text)
            await running.host.filing.set_name(p.ThreadSetNameParams(thread_id=thread_id, name=text))
        await interrupted(running, thread_id)
        await running.host.edits.rollback(p.ThreadRollbackParams(thread_id=thread_id, num_turns=1))
        running.host.turns.compact(p.ThreadCompactStartParams(thread_id=thread_id))()
        await until(lambda: len(running.sink.of("turn/completed")) == 4)
        await running.turn(thread_id, "last")
        path = running.host.threads.get(thread_id).path
        assert path is not None
        return Session(home, thread_id, path.read_bytes(), list(storage.moments))


async def interrupted(running: Engine, thread_id: str) -> None:
    running.model.gate, asked = anyio.Event(), len(running.model.requests)
    turn_id = running.begin(thread_id)
    await until(lambda: len(running.model.requests) > asked)
    over = anyio.Event()
    running.host.turns.interrupt(p.TurnInterruptParams(thread_id=thread_id, turn_id=turn_id), over.set)
    await over.wait()
    running.model.gate = None


def ended(text: bytes) -> set[str]:
    """Turns whose end is among these whole lines."""
    lines = (codec.decode(line) for line in text[: text.rfind(b"\n") + 1].splitlines())
    bodies = (line.body for line in lines if isinstance(line, codec.Line))
    return {body.turn_id or "" for body in bodies if isinstance(body, ev.TaskComplete | ev.TurnAborted)}


def test_what_was_published_as_completed_is_in_the_file_at_every_moment(session: Session) -> None:
    assert len({moment.size for moment in session.moments}) > 30
    for moment in session.moments:
        assert set(moment.completed) <= ended(session.text[: moment.size])


def test_what_was_published_as_completed_survives_a_power_cut(session: Session) -> None:
    for moment in session.moments:
        assert set(moment.completed) <= ended(session.text[: moment.synced])


async def test_a_session_that_died_at_any_write_goes_on(session: Session, tmp_path: Path) -> None:
    """Before, in the middle of and after each write."""
    sizes = sorted({moment.size for moment in session.moments} - {0})
    torn = [(one + other) // 2 for one, other in pairwise(sizes)][::3]
    for number, size in enumerate([*sizes, *torn]):
        await goes_on(make_home(tmp_path / str(number)), session, size)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_file_that_was_cut_at_any_byte_is_resumed(session: Session, data: st.DataObject) -> None:
    first = session.text.index(b"\n") + 1
    ends = [first + at for at in range(len(session.text) - first) if session.text[first + at] == 10]
    cuts = st.integers(first, len(session.text)) | st.sampled_from([*inside_characters(session.text), *ends])
    anyio.run(goes_on, make_home(session.home / str(uuid4())), session, data.draw(cuts))


def inside_characters(text: bytes) -> list[int]:
    """Places between the bytes of one character."""
    return [at for at in range(1, len(text)) if text[at] & 0xC0 == 0x80]


async def goes_on(home: Path, session: Session, size: int) -> None:
    """The first bytes of the session are resumed in a new home, a turn is run, and everything is coherent."""
    folder = home / "sessions" / "2026" / "04" / "20"
    folder.mkdir(parents=True)
    path = folder / f"rollout-2026-04-20T10-00-00-{session.thread_id}.jsonl"
    path.write_bytes(session.text[:size])
    whole = ended(session.text[:size] + b"\n")
    async with engine(home) as running:
        before = (await running.resume(session.thread_id)).thread.turns
        assert {turn.id for turn in before} >= {turn.id for turn in before if turn.status == "completed"}
        assert all(turn.status in ("completed", "interrupted") for turn in before)
        assert {turn.id for turn in before if turn.status == "completed"} <= whole
        check(running, session.thread_id)
        turn_id = await running.turn(session.thread_id)
        check(running, session.thread_id)
    assert path.read_bytes().startswith(session.text[:size])
    path.read_text("utf-8")  # the reference reads nothing of a file that is no text
    async with engine(home) as running:
        after = (await running.resume(session.thread_id)).thread.turns
        assert after[:-1] == before and (after[-1].id, after[-1].status) == (turn_id, "completed")
        check(running, session.thread_id)


def check(running: Engine, thread_id: str) -> None:
    thread = running.host.threads.get(thread_id)
    assert thread.path is not None
    assert plain(thread.journal.state) == plain(rebuild(FileLog(thread.path)))
