"""Commands on pipes and terminals: output, input, exit codes, and that nothing of them is left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from engine.processes import session as session_module
from engine.processes.session import NoTerminal, Session, StdinClosed
from engine.processes.spawn import Command, Size, SpawnError, Stream

pytestmark = pytest.mark.anyio


def command(*argv: str, tty: Size | None = None, stdin: bool = False, merged: bool = False, **more: object) -> Command:
    return Command(argv=argv, cwd="/", env={"PATH": os.environ["PATH"]}, tty=tty, stdin=stdin, merged=merged, **more)  # type: ignore[arg-type]


def shell(script: str, **more: object) -> Command:
    return command("sh", "-c", script, **more)  # type: ignore[arg-type]


class Seen:
    """What a command wrote."""

    def __init__(self) -> None:
        self.pieces: list[tuple[Stream, bytes]] = []
        self._more = anyio.Event()

    def __call__(self, stream: Stream, data: bytes) -> None:
        self.pieces.append((stream, data))
        self._more.set()
        self._more = anyio.Event()

    def of(self, stream: Stream) -> bytes:
        return b"".join(data for each, data in self.pieces if each == stream)

    async def until(self, wanted: bytes) -> None:
        with anyio.fail_after(10):
            while wanted not in self.of("stdout"):
                await self._more.wait()


@asynccontextmanager
async def running(wanted: Command, trailing: float = 0.1) -> AsyncIterator[tuple[Session, Seen]]:
    seen = Seen()
    session = Session(wanted, seen, trailing)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.run)
        yield session, seen


async def finished(wanted: Command) -> tuple[Session, Seen]:
    with anyio.fail_after(20):
        async with running(wanted) as (session, seen):
            pass
    return session, seen


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


async def dies(pid: int) -> bool:
    with anyio.move_on_after(10):
        while alive(pid):
            await anyio.sleep(0.01)
    return not alive(pid)


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert len(set(os.listdir("/proc/self/fd")) - before) <= 1  # the listing itself


async def test_streams_are_kept_apart() -> None:
    session, seen = await finished(shell("echo out; echo err >&2; exit 3"))
    assert (seen.of("stdout"), seen.of("stderr"), session.exit_code) == (b"out\n", b"err\n", 3)


async def test_merged_streams_keep_the_order_of_writing() -> None:
    _, seen = await finished(shell("echo 1; echo 2 >&2; echo 3; echo 4 >&2", merged=True))
    assert seen.of("stdout") == b"1\n2\n3\n4\n"


async def test_stdin_is_empty_unless_asked_for() -> None:
    session, seen = await finished(command("cat"))
    assert (seen.pieces, session.exit_code) == ([], 0)
    with pytest.raises(StdinClosed):
        await session.write(b"x")


async def test_input_is_written_whole_and_ends_when_closed() -> None:
    data = b"line\n" * 100_000
    async with running(command("wc", "-c", stdin=True)) as (session, seen):
        await session.write(data)
        await session.close_stdin()
    assert int(seen.of("stdout")) == len(data)


async def test_input_ends_after_what_is_still_being_written() -> None:
    data = b"line\n" * 100_000
    async with running(shell("read go; wc -c", stdin=True)) as (session, seen), anyio.create_task_group() as tasks:
        tasks.start_soon(session.write, data)
        await anyio.wait_all_tasks_blocked()
        await session.close_stdin()
    assert int(seen.of("stdout")) == len(data) - len(b"line\n")


async def test_a_writer_that_waits_is_told_when_the_session_ends() -> None:
    """The command is gone, but somebody else still holds the other end of its input."""
    with anyio.fail_after(20):
        async with running(shell("sleep 60", stdin=True)) as (session, _), anyio.create_task_group() as tasks:
            held = os.open(f"/proc/{session.pid}/fd/0", os.O_RDONLY)

            async def write() -> None:
                with pytest.raises(StdinClosed):
                    await session.write(b"x" * 10_000_000)

            tasks.start_soon(write)
            await anyio.wait_all_tasks_blocked()
            session.kill()
    os.close(held)


async def test_a_command_that_does_not_read_refuses_input() -> None:
    async with running(shell("exec 0<&-; sleep 60", stdin=True)) as (session, _):
        with pytest.raises(StdinClosed):
            for _ in range(200):
                await session.write(b"x" * 65536)
                await anyio.sleep(0.01)
        session.kill()


async def test_a_writer_that_waits_is_told_when_the_command_ends() -> None:
    async with running(shell("sleep 60", stdin=True)) as (session, _), anyio.create_task_group() as tasks:

        async def write() -> None:
            with pytest.raises(StdinClosed):
                await session.write(b"x" * 10_000_000)

        tasks.start_soon(write)
        await anyio.sleep(0.05)
        session.kill()


async def test_pieces_of_output_are_bounded() -> None:
    _, seen = await finished(shell("head -c 100000 /dev/zero"))
    assert max(len(data) for _, data in seen.pieces) <= 8192
    assert len(seen.of("stdout")) == 100_000


async def test_a_terminal_has_a_size_that_can_change() -> None:
    async with running(shell("stty size; read x; stty size", tty=Size(rows=7, cols=8))) as (session, seen):
        await seen.until(b"7 8\r\n")
        session.resize(Size(rows=10, cols=20))
        await session.write(b"\n")
    assert seen.of("stdout").endswith(b"10 20\r\n")


async def test_a_terminal_controls_its_command() -> None:
    waiting = "tty; trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.01; done"
    async with running(shell(waiting, tty=Size())) as (session, seen):
        await seen.until(b"ready")
        await session.write(b"\x03")
    assert seen.of("stdout").startswith(b"/dev/")
    assert b"interrupted" in seen.of("stdout")
    assert session.exit_code == 9


async def test_a_terminal_is_told_that_input_has_ended() -> None:
    async with running(shell("stty -echo; echo ready; cat; echo over", tty=Size())) as (session, seen):
        await seen.until(b"ready")
        await session.write(b"hi")
        await session.close_stdin()
        with pytest.raises(StdinClosed):
            await session.write(b"more")
    assert seen.of("stdout") == b"ready\r\nhi\r\nover\r\n"


async def test_without_terminal_there_is_nothing_to_resize() -> None:
    async with running(shell("true")) as (session, _):
        with pytest.raises(NoTerminal):
            session.resize(Size())


@pytest.mark.parametrize(("tty", "code"), [(None, -1), (Size(), 1)])
async def test_death_by_signal_has_the_exit_code_of_the_reference(tty: Size | None, code: int) -> None:
    session, _ = await finished(shell("kill -9 $$", tty=tty))
    assert (session.exit_code, session.death_signal) == (code, signal.SIGKILL)


@pytest.mark.parametrize(
    ("argv", "cwd", "reason"),
    [
        (("no-such-program-x",), "/", "No such file or directory (os error 2)"),
        (("true",), "/no/such/folder", "No such file or directory (os error 2)"),
        (("/etc/passwd",), "/", "Permission denied (os error 13)"),
        (("echo", "a\0b"), "/", "nul byte found in provided data"),
        (("",), "/", "missing program for "),
    ],
)
@pytest.mark.parametrize("tty", [None, Size()])
async def test_what_cannot_be_started_says_why(argv: tuple[str, ...], cwd: str, reason: str, tty: Size | None) -> None:
    with pytest.raises(SpawnError, match="^" + reason.replace("(", r"\(").replace(")", r"\)")):
        Session(Command(argv=argv, cwd=cwd, env={"PATH": "/bin:/usr/bin"}, tty=tty), lambda stream, data: None)


async def test_output_that_trails_the_end_is_still_seen() -> None:
    async with running(shell("(sleep 0.03; echo late) & echo hi"), trailing=20) as (_, seen):
        pass
    assert seen.of("stdout") == b"hi\nlate\n"


@pytest.mark.parametrize("redirect", ["", ">/dev/null 2>&1"])
@pytest.mark.parametrize("tty", [None, Size()])
async def test_children_die_with_their_command(redirect: str, tty: Size | None) -> None:
    _, seen = await finished(shell(f"sleep 600 {redirect} & echo $!", tty=tty))
    assert await dies(int(seen.of("stdout")))


async def test_children_may_be_left_alone() -> None:
    _, seen = await finished(shell("sleep 600 >/dev/null 2>&1 & echo $!", leave_group=True))
    child = int(seen.of("stdout"))
    assert alive(child)
    os.kill(child, signal.SIGKILL)


async def test_stop_asks_first() -> None:
    async with running(shell("trap 'echo asked; exit 5' TERM; echo ready; while :; do sleep 0.01; done")) as (
        session,
        seen,
    ):
        await seen.until(b"ready")
        await session.stop(10)
    assert (seen.of("stdout"), session.exit_code) == (b"ready\nasked\n", 5)


async def test_stop_insists() -> None:
    async with running(shell("trap '' TERM; echo ready; while :; do sleep 0.01; done")) as (session, seen):
        await seen.until(b"ready")
        await session.stop(0.05)
    assert session.death_signal == signal.SIGKILL


@pytest.mark.parametrize("tty", [None, Size()])
async def test_cancelling_kills_all_and_reaps(tty: Size | None) -> None:
    async with running(shell("trap '' TERM HUP; sleep 600 & echo $!; wait", tty=tty)) as (session, seen):
        await seen.until(b"\n")
        async with anyio.create_task_group() as tasks:
            again = Session(shell("sleep 600", tty=tty), seen)
            tasks.start_soon(again.run)
            await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        assert not Path(f"/proc/{again.pid}").exists()
        session.kill()
    assert await dies(int(seen.of("stdout")))
    assert not Path(f"/proc/{session.pid}").exists()


async def test_a_command_that_cannot_be_killed_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "kill_group", lambda *_: None)
    monkeypatch.setattr(session_module, "UNKILLABLE_SECONDS", 0.01)
    with anyio.fail_after(10):
        async with running(shell("exec sleep 600")) as (session, _):
            async with anyio.create_task_group() as tasks:
                again = Session(shell("exec sleep 600"), lambda stream, data: None)
                tasks.start_soon(again.run)
                await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()
            assert again.finished.is_set() and again.exit_code is None
            for each in (session, again):
                os.kill(each.pid, signal.SIGKILL)
    again._spawned.process.wait()


async def test_many_commands_in_every_state_leave_nothing_behind() -> None:
    scripts = ["true", "sleep 60", "yes", "sleep 60 & exit 3", "cat", "kill -9 $$", "exec 1>&- 2>&-; sleep 60"]
    sessions: list[Session] = []
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for at in range(42):
                tty = Size() if at % 2 else None
                sessions.append(Session(shell(scripts[at % 7], tty=tty, stdin=at % 3 == 0), lambda stream, data: None))
                tasks.start_soon(sessions[-1].run)
                if at % 5 == 0:
                    sessions[at // 2].kill()
            await anyio.sleep(0.2)
            async with anyio.create_task_group() as stopping:
                for session in sessions[::4]:
                    stopping.start_soon(session.stop, 0.05)
            tasks.cancel_scope.cancel()
    assert all(session.finished.is_set() and session.exit_code is not None for session in sessions)
    assert not [session.pid for session in sessions if Path(f"/proc/{session.pid}").exists()]


@pytest.mark.parametrize("program", ["sleep", shutil.which("sleep")])
@pytest.mark.parametrize("tty", ["None", "Size()"])
async def test_a_command_dies_with_the_process_that_started_it(program: str, tty: str) -> None:
    script = f"""
import anyio, os, sys
from engine.processes.session import Session
from engine.processes.spawn import Command, Size
async def main():
    session = Session(Command(argv=("{program}", "600"), cwd="/", env=dict(os.environ), tty={tty}), print)
    print(session.pid, flush=True)
    await session.run()
anyio.run(main)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
    assert alive(child)
    parent.kill()
    parent.wait()
    assert await dies(child)
