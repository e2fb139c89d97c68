"""Durable state is the fold of what is written, after any commands, on files and on databases (design rule 1)."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from engine import forks, restore
from engine.errors import BadRequest
from engine.rollout_files import open_rollout
from engine.turn.replies import TurnFailed
from projections import protocol as p
from projections.session import SessionState, rebuild
from projections.turns import build_turns, interrupt_stale
from rollouts import codec
from tests.engine.harness import Engine, engine, make_home, until
from tests.engine.harness_storages import KINDS, storage_of
from tests.projections.logs import STAMP, command_end

PLAN = ("update_plan", '{"plan":[{"step":"look","status":"pending"}]}')
SAID = Raw(b'{"type":"message","role":"user","content":[{"type":"input_text","text":"injected"}]}')


class Player:
    """Gives commands to threads. `current` is the thread they are for; refused ones are refused and nothing else."""

    def __init__(self, running: Engine, current: str) -> None:
        self.running = running
        self.host = running.host
        self.current = current
        self.archives = True
        self.theirs = b""

    async def turn(self, tool: bool) -> None:
        self.running.model.replies.extend([PLAN, "done"] if tool else ["fine"])
        await self.running.turn(self.current)

    async def failing_turn(self) -> None:
        self.running.model.replies.append(TurnFailed("it broke"))
        await self.running.turn(self.current)

    async def steered_turn(self) -> None:
        async with self._held_turn() as turn_id:
            given: list[p.UserInput] = [p.TextUserInput(text="and this")]
            params = p.TurnSteerParams(thread_id=self.current, expected_turn_id=turn_id, input=given)
            await self.host.turns.steer(params)
        await self.running.ended(turn_id)

    async def interrupted_turn(self) -> None:
        async with self._held_turn() as turn_id:
            answered = anyio.Event()
            self.host.turns.interrupt(p.TurnInterruptParams(thread_id=self.current, turn_id=turn_id), answered.set)
            await answered.wait()
        await self.running.ended(turn_id)

    @contextlib.asynccontextmanager
    async def _held_turn(self) -> AsyncIterator[str]:
        """A turn whose reply stops in the middle until the end of the block."""
        model = self.running.model
        model.gate, asked = anyio.Event(), len(model.requests)
        try:
            turn_id = self.running.begin(self.current)
            await until(lambda: len(model.requests) > asked)
            yield turn_id
        finally:
            model.gate.set()
            model.gate = None

    async def compact(self) -> None:
        before = len(self.running.sink.of("turn/completed"))
        self.host.turns.compact(p.ThreadCompactStartParams(thread_id=self.current))()
        await until(lambda: len(self.running.sink.of("turn/completed")) > before)

    async def inject(self) -> None:
        await self.host.edits.inject_items(p.ThreadInjectItemsParams(thread_id=self.current, items=[SAID]))

    async def rollback(self, count: int) -> None:
        await self.host.edits.rollback(p.ThreadRollbackParams(thread_id=self.current, num_turns=count))

    async def name(self) -> None:
        await self.host.filing.set_name(p.ThreadSetNameParams(thread_id=self.current, name="a name"))

    async def memory(self, mode: Any) -> None:
        await self.host.filing.memory_mode(p.ThreadMemoryModeSetParams(thread_id=self.current, mode=mode))

    async def branch(self, branch: Any) -> None:
        patch = p.ThreadMetadataGitInfoUpdateParams(branch=branch)
        await self.host.filing.metadata_update(p.ThreadMetadataUpdateParams(thread_id=self.current, git_info=patch))

    async def start(self) -> None:
        self.current = await self.running.start()
        await self.turn(tool=False)

    async def fork(self, by_reference: bool) -> None:
        with sizes(0 if by_reference else 1 << 40):
            self.current = (await self.running.fork(self.current)).thread.id

    async def resume(self, exclude_turns: bool, unload: bool) -> None:
        if unload:
            await self.host.threads.unload(self.current)
        await self.running.resume(self.current, exclude_turns=exclude_turns)

    async def foreign_line(self, size: int) -> None:
        """Another program appends a line about the first turn, in pieces of this size as often as it is told to."""
        thread = self.running.host.threads.get(self.current)
        turns = thread.journal.state.turns
        if thread.path is not None and turns is not None and len(turns):
            self.theirs = self.theirs or codec.encode(command_end("theirs", turns.between(0, 1)[0].id), STAMP)
            with thread.path.open("ab") as file:
                file.write(self.theirs[:size])
            self.theirs = self.theirs[size:]

    async def archive(self) -> None:
        if self.archives:
            await self.host.filing.archive(p.ThreadArchiveParams(thread_id=self.current))
            await self.branch("elsewhere")
            await self.host.filing.unarchive(p.ThreadUnarchiveParams(thread_id=self.current))
            await self.running.resume(self.current)


@contextlib.contextmanager
def sizes(size: int) -> Any:
    """Histories longer than this are forked by reference."""
    before = forks.LARGE_BYTES, forks.LARGE_LINES
    forks.LARGE_BYTES = forks.LARGE_LINES = size
    try:
        yield
    finally:
        forks.LARGE_BYTES, forks.LARGE_LINES = before


Command = Callable[[Player], Awaitable[None]]


def _command(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Command]:
    return st.tuples(*arguments).map(lambda drawn: lambda player: getattr(player, name)(*drawn))


COMMANDS = st.one_of(
    _command("turn", st.booleans()),
    _command("failing_turn"),
    _command("steered_turn"),
    _command("interrupted_turn"),
    _command("compact"),
    _command("inject"),
    _command("rollback", st.integers(1, 3)),
    _command("name"),
    _command("memory", st.sampled_from(["enabled", "disabled"])),
    _command("branch", st.sampled_from(["main", None, UNSET])),
    _command("start"),
    _command("fork", st.booleans()),
    _command("resume", st.booleans(), st.booleans()),
    _command("foreign_line", st.sampled_from([150, 1000])),
    _command("archive"),
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20, deadline=None)
@given(commands=st.lists(COMMANDS, min_size=1, max_size=8))
def test_after_any_commands_the_state_is_the_fold_of_the_log(
    tmp_path_factory: pytest.TempPathFactory, kind: str, commands: list[Command]
) -> None:
    home = make_home(tmp_path_factory.mktemp("durable"))
    anyio.run(play, home, kind, commands)
    shutil.rmtree(home)


async def play(home: Path, kind: str, commands: list[Command]) -> None:
    storage = storage_of(kind, home)
    async with engine(home, storage=storage) as running:
        player = Player(running, await running.start())
        player.archives = kind == "files"
        await player.turn(tool=False)
        for command in commands:
            with contextlib.suppress(BadRequest):
                await command(player)
            check_loaded(running)
        threads = running.host.threads.ids()
        seen = {thread_id: await read(running, thread_id) for thread_id in threads}
    async with engine(home, storage=storage) as again:
        for thread_id in threads:
            await again.resume(thread_id, exclude_turns=len(thread_id) % 2 == 0)
            check_loaded(again)
            assert await read(again, thread_id) == seen[thread_id]


@settings(max_examples=20, deadline=None)
@given(commands=st.lists(st.tuples(st.booleans(), COMMANDS), min_size=2, max_size=8), near=st.sampled_from([0, 5_000]))
def test_two_processes_with_the_same_thread_know_what_its_log_says(
    tmp_path_factory: pytest.TempPathFactory, commands: list[tuple[bool, Command]], near: int
) -> None:
    home = make_home(tmp_path_factory.mktemp("shared"))
    before, restore.NEAR_BYTES = restore.NEAR_BYTES, near  # so that short logs are kept in the index, too
    try:
        anyio.run(play_both, home, commands)
    finally:
        restore.NEAR_BYTES = before
    shutil.rmtree(home)


async def play_both(home: Path, commands: list[tuple[bool, Command]]) -> None:
    async with engine(home) as one, engine(home) as other:
        first = Player(one, await one.start())
        await first.turn(tool=True)
        await other.resume(first.current)
        players = (first, Player(other, first.current))
        for second, command in commands:
            with contextlib.suppress(BadRequest):
                await command(players[second])
            for running in (one, other):
                for thread_id in running.host.threads.ids():
                    await read(running, thread_id)
                    check_thread(running, thread_id)


def check_loaded(running: Engine) -> None:
    """Every loaded thread knows what a reader of its log would know, and shows the turns of its lines."""
    for thread_id in running.host.threads.ids():
        check_thread(running, thread_id)


def check_thread(running: Engine, thread_id: str) -> None:
    storage = running.host.storage
    thread = running.host.threads.get(thread_id)
    assert thread.place is not None
    log = open_rollout(storage, thread.place).log
    thread.catch_up()
    folded = rebuild(log)
    assert plain(thread.journal.state) == plain(folded)
    assert thread.journal.anchor().end == folded.end
    entry = storage.entry(thread.place)
    assert entry is not None
    assert entry.row.metadata == thread.journal.entry.row.metadata


def plain(state: SessionState) -> dict[str, Any]:
    """A state for comparison, part by part."""
    rows = None if state.turns is None else state.turns.all_rows()
    return {"facts": state.facts, "window": state.window.view(), "rows": rows, "end": state.end}


async def read(running: Engine, thread_id: str) -> list[p.Turn]:
    """The turns of a thread, which are those of its lines."""
    params = p.ThreadReadParams(thread_id=thread_id, include_turns=True)
    turns = (await running.host.reading.read(params)).thread.turns
    thread = running.host.threads.get(thread_id)
    assert thread.place is not None
    log = open_rollout(running.host.storage, thread.place).log
    assert turns == interrupt_stale(build_turns(codec.decode(record.data) for record in log.read()))
    return turns
