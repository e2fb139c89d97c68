"""`command/exec` with real processes: results, streams, limits, and what is refused in which words."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import config
from engine.errors import BadRequest, BadValue, EngineError, Internal
from engine.processes.base64_input import BadBase64, decode
from engine.processes.command_exec import Commands
from projections import protocol as p

pytestmark = pytest.mark.anyio


class Client:
    """A connection that keeps what it is told."""

    def __init__(self, id: int = 1) -> None:
        self.id = id
        self.notes: list[p.CommandExecOutputDeltaNotification] = []
        self.gone = False
        self.reads = anyio.Event()
        self.reads.set()
        self._more = anyio.Event()

    def notify(self, method: str, params: object) -> None:
        assert method == "command/exec/outputDelta"
        assert isinstance(params, p.CommandExecOutputDeltaNotification)
        self.notes.append(params)
        self._more.set()
        self._more = anyio.Event()

    async def caught_up(self) -> None:
        await self.reads.wait()

    def output(self, stream: str = "stdout") -> bytes:
        return b"".join(base64.b64decode(note.delta_base64) for note in self.notes if note.stream == stream)

    async def until(self, wanted: bytes) -> None:
        with anyio.fail_after(20):
            while wanted not in self.output():
                await self._more.wait()


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/config.toml").write_text('sandbox_mode = "danger-full-access"\n')
    return Commands(lambda cwd: config.load(tmp_path / "home", {}, cwd), tmp_path)


def params(*command: str, **more: Any) -> p.CommandExecParams:
    found: p.CommandExecParams = msgspec.convert({"command": list(command), **more}, p.CommandExecParams)
    return found


async def run(commands: Commands, *command: str, **more: Any) -> tuple[int, str, str]:
    with anyio.fail_after(30):
        answer = await commands.run(Client(), params(*command, **more))
    return answer.exit_code, answer.stdout, answer.stderr


@asynccontextmanager
async def running(commands: Commands, *command: str, **more: Any) -> AsyncIterator[tuple[Client, list[Any]]]:
    """A command that runs while the block does; its answer is in the list afterwards."""
    client, answers = Client(), list[Any]()

    async def execute() -> None:
        answers.append(await commands.run(client, params(*command, **more)))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(execute)
            await anyio.sleep(0.02)
            yield client, answers


def write(process_id: str, data: bytes | None = None, close: bool = False) -> p.CommandExecWriteParams:
    delta = None if data is None else base64.b64encode(data).decode()
    return p.CommandExecWriteParams(process_id=process_id, delta_base64=delta, close_stdin=close)


async def test_a_command_answers_with_its_streams_and_its_exit_code(commands: Commands) -> None:
    assert await run(commands, "sh", "-c", "echo o; echo e >&2; exit 3") == (3, "o\n", "e\n")


async def test_the_folder_is_the_servers_or_relative_to_it(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    assert (await run(commands, "pwd"))[1] == f"{tmp_path}\n"
    assert (await run(commands, "pwd", cwd="sub"))[1] == f"{tmp_path}/sub\n"
    assert (await run(commands, "pwd", cwd=""))[1] == f"{tmp_path}\n"


async def test_variables_are_added_and_taken_away(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GONE", "x")
    changes = {"ADDED": "1", "GONE": None, "A=B": "2", "": "ignored"}
    assert (await run(commands, "sh", "-c", "echo [$ADDED] [$GONE] $A", env=changes))[1] == "[1] [] B=2\n"


async def test_output_in_another_encoding_is_read(commands: Commands) -> None:
    assert await run(commands, "sh", "-c", r"printf '\377x'; printf '\344' >&2") == (0, "ÿx", "ä")


async def test_time_ends_a_command_but_keeps_what_it_wrote(commands: Commands) -> None:
    assert await run(commands, "sh", "-c", "echo hi; sleep 60", timeoutMs=400) == (124, "hi\n", "")


async def test_a_cap_cuts_each_stream(commands: Commands) -> None:
    script = "echo abcdefghij; echo 1234567 >&2"
    assert await run(commands, "sh", "-c", script, outputBytesCap=5) == (0, "abcde", "12345")
    assert await run(commands, "sh", "-c", script, outputBytesCap=0) == (0, "", "")


async def test_without_cap_all_is_kept(commands: Commands) -> None:
    script = "head -c 2000000 /dev/zero | tr '\\0' y"
    assert len((await run(commands, "sh", "-c", script))[1]) == 1 << 20
    assert len((await run(commands, "sh", "-c", script, disableOutputCap=True))[1]) == 2_000_000


async def test_streamed_output_is_not_answered_again(commands: Commands) -> None:
    more = {"processId": "x", "streamStdoutStderr": True}
    async with running(commands, "sh", "-c", "echo o; echo e >&2", **more) as (client, answers):
        pass
    assert (client.output("stdout"), client.output("stderr")) == (b"o\n", b"e\n")
    assert answers == [p.CommandExecResponse(exit_code=0, stdout="", stderr="")]


async def test_the_last_piece_of_a_capped_stream_says_so(commands: Commands) -> None:
    more = {"processId": "x", "streamStdoutStderr": True, "outputBytesCap": 5}
    async with running(commands, "sh", "-c", "echo abcdefgh; sleep 0.1; echo more; echo e >&2", **more) as (client, _):
        pass
    assert [(note.stream, base64.b64decode(note.delta_base64), note.cap_reached) for note in client.notes] == [
        ("stdout", b"abcde", True),
        ("stderr", b"e\n", False),
    ]


async def test_input_is_streamed(commands: Commands) -> None:
    async with running(commands, "cat", processId="x", streamStdin=True) as (_, answers):
        await commands.write(1, write("x", b"hi"))
        await commands.write(1, write("x", b""))
        await commands.write(1, write("x", b"!", close=True))
    assert answers[0].stdout == "hi!"


async def test_a_terminal_streams_both_ways(commands: Commands) -> None:
    size = {"rows": 7, "cols": 8}
    script = "stty -echo; stty size; read x; stty size; echo got $x"
    async with running(commands, "sh", "-c", script, processId="x", tty=True, size=size) as (client, answers):
        await client.until(b"7 8\r\n")
        commands.resize(1, p.CommandExecResizeParams(process_id="x", size=p.CommandExecTerminalSize(rows=10, cols=20)))
        await commands.write(1, write("x", b"yo\n"))
    assert client.output().endswith(b"10 20\r\ngot yo\r\n")
    assert answers[0].stdout == ""


async def test_the_input_of_a_terminal_can_end(commands: Commands) -> None:
    async with running(commands, "sh", "-c", "stty -echo; echo ready; cat; echo eof", processId="x", tty=True) as (
        client,
        _,
    ):
        await client.until(b"ready")
        await commands.write(1, write("x", b"hi", close=True))
    assert client.output().endswith(b"hi\r\neof\r\n")


@pytest.mark.parametrize(("tty", "code"), [(False, -1), (True, 1)])
async def test_terminating_kills(commands: Commands, tty: bool, code: int) -> None:
    async with running(commands, "sh", "-c", "trap '' TERM; sleep 60", processId="x", tty=tty) as (_, answers):
        commands.terminate(1, p.CommandExecTerminateParams(process_id="x"))
    assert answers[0].exit_code == code


async def test_a_closed_connection_kills_its_commands_only(commands: Commands) -> None:
    forever = {"disableTimeout": True}
    async with (
        running(commands, "sleep", "60", **forever) as (_, answers),
        running(commands, "sleep", "60", processId="y", **forever) as (_, more),
    ):
        commands.client_gone(2)
        assert (answers, more) == ([], [])
        commands.client_gone(1)
    assert [each.exit_code for each in (*answers, *more)] == [-1, -1]


async def test_no_command_begins_for_a_client_that_has_left(commands: Commands, tmp_path: Path) -> None:
    client = Client()
    client.gone = True
    with pytest.raises(BadRequest, match="the connection was closed"):
        await commands.run(client, params("touch", "here"))
    assert not (tmp_path / "here").exists()


async def test_a_command_waits_for_a_client_that_does_not_read(commands: Commands) -> None:
    more = {"processId": "x", "streamStdoutStderr": True, "disableOutputCap": True}
    async with running(commands, "head", "-c", "3000000", "/dev/zero", **more) as (client, answers):
        client.reads = anyio.Event()
        await anyio.sleep(0.1)
        behind = len(client.output())
        await anyio.sleep(0.1)
        assert len(client.output()) - behind <= 8192
        client.reads.set()
    assert len(client.output()) == 3_000_000
    assert answers[0].exit_code == 0


async def test_cancelling_the_request_kills_the_command(commands: Commands) -> None:
    client, script = Client(), "echo $$; sleep 60"
    more = {"processId": "x", "streamStdoutStderr": True}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(commands.run, client, params("sh", "-c", script, **more))
        await client.until(b"\n")
        tasks.cancel_scope.cancel()
    assert not Path(f"/proc/{int(client.output())}").exists()


PROFILE = {"type": "managed", "network": {"enabled": True}, "fileSystem": {"type": "restricted", "entries": []}}
OUTSIDE = {"path": {"type": "path", "path": "/srv"}, "access": "write"}


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"command": []}, BadRequest, "command must not be empty"),
        (
            {"command": ["no-such-program-x"]},
            Internal,
            "failed to spawn command: No such file or directory (os error 2)",
        ),
        ({"cwd": "/no/such"}, Internal, "failed to spawn command: No such file or directory (os error 2)"),
        ({"command": [""]}, Internal, "failed to spawn command: missing program for pipe spawn"),
        ({"command": ["echo", "\0"]}, Internal, "failed to spawn command: nul byte found in provided data"),
        ({"timeoutMs": -1}, BadValue, "command/exec timeoutMs must be non-negative, got -1"),
        (
            {"timeoutMs": -1, "disableTimeout": True},
            BadValue,
            "command/exec cannot set both timeoutMs and disableTimeout",
        ),
        (
            {"outputBytesCap": 1, "disableOutputCap": True},
            BadValue,
            "command/exec cannot set both outputBytesCap and disableOutputCap",
        ),
        ({"tty": True}, BadRequest, "command/exec tty or streaming requires a client-supplied processId"),
        ({"streamStdin": True}, BadRequest, "command/exec tty or streaming requires a client-supplied processId"),
        ({"size": {"rows": 1, "cols": 2}}, BadValue, "command/exec size requires tty: true"),
        (
            {"size": {"rows": 0, "cols": 2}, "tty": True, "processId": "x"},
            BadValue,
            "command/exec size rows and cols must be greater than 0",
        ),
        (
            {"sandboxPolicy": {"type": "readOnly"}, "permissionProfile": PROFILE},
            BadRequest,
            "`permissionProfile` cannot be combined with `sandboxPolicy`",
        ),
        (
            {"permissionProfile": {**PROFILE, "fileSystem": {"type": "restricted", "entries": [OUTSIDE]}}},
            BadRequest,
            "invalid permission profile: permissions profile requests filesystem writes outside the workspace root,"
            " which is not supported until the runtime enforces FileSystemSandboxPolicy directly",
        ),
    ],
)
async def test_what_cannot_be_run(
    commands: Commands, given: dict[str, Any], kind: type[EngineError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        await commands.run(Client(), params(*given.pop("command", ["true"]), **given))
    assert caught.value.message == message


async def test_ids_are_unique_on_a_connection(commands: Commands) -> None:
    async with running(commands, "sleep", "60", processId='a"\\') as _:
        with pytest.raises(BadRequest, match=r'^duplicate active command/exec process id: "a\\"\\\\"$'):
            await commands.run(Client(), params("true", processId='a"\\'))
        await commands.run(Client(2), params("true", processId='a"\\'))
        commands.client_gone(1)


async def test_what_is_not_there_or_takes_no_input(commands: Commands) -> None:
    nobody = 'no active command/exec for process id "zz"'
    size = p.CommandExecTerminalSize(rows=1, cols=1)
    async with (
        running(commands, "sleep", "60", processId="n"),
        running(commands, "sleep", "60", processId="s", streamStdin=True),
    ):
        for wrong, kind, message in [
            (write("zz", b"x"), BadRequest, nobody),
            (write("n", b"x"), BadRequest, "stdin streaming is not enabled for this command/exec"),
            (write("s"), BadValue, "command/exec/write requires deltaBase64 or closeStdin"),
            (
                p.CommandExecWriteParams(process_id="zz", delta_base64="!!"),
                BadValue,
                "invalid deltaBase64: Invalid symbol 33, offset 0.",
            ),
        ]:
            with pytest.raises(kind) as caught:
                await commands.write(1, wrong)
            assert caught.value.message == message
        await commands.write(1, write("s", close=True))
        await commands.write(1, write("s", close=True))
        with pytest.raises(BadRequest, match=r"^stdin is already closed$"):
            await commands.write(1, write("s", b"x"))
        with pytest.raises(BadRequest, match=r"^failed to resize PTY: process is not attached to a PTY$"):
            commands.resize(1, p.CommandExecResizeParams(process_id="n", size=size))
        with pytest.raises(BadRequest, match=nobody):
            commands.resize(1, p.CommandExecResizeParams(process_id="zz", size=size))
        with pytest.raises(BadRequest, match=nobody):
            commands.terminate(1, p.CommandExecTerminateParams(process_id="zz"))
        commands.client_gone(1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("!!", "Invalid symbol 33, offset 0."),
        ("a", "Invalid input length: 1"),
        ("YQ", "Invalid padding"),
        ("YQ=", "Invalid padding"),
        ("YQ==x", "Invalid symbol 61, offset 2."),
        ("YQ==\n", "Invalid symbol 10, offset 4."),
        ("Y Q=", "Invalid symbol 32, offset 1."),
        ("YR==", "Invalid last symbol 82, offset 1."),
        ("=YQ=", "Invalid symbol 61, offset 0."),
        ("__8=", "Invalid symbol 95, offset 0."),
        ("YWJj====", "Invalid symbol 61, offset 4."),
        ("ä", "Invalid symbol 195, offset 0."),
    ],
)
def test_bad_base64_is_explained_as_the_reference_does(text: str, reason: str) -> None:
    with pytest.raises(BadBase64, match="^" + reason.replace(".", r"\.") + "$"):
        decode(text)


@given(st.binary(max_size=40))
def test_base64_comes_back(data: bytes) -> None:
    assert decode(base64.b64encode(data).decode()) == data


@given(st.text("ABRYQab+/=", max_size=12))
def test_only_canonical_base64_is_taken(text: str) -> None:
    try:
        data = decode(text)
    except BadBase64:
        return
    assert base64.b64encode(data).decode() == text
