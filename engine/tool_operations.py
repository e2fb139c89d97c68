"""The operations of the tools, carried out: commands, patches, rules (the runner's side of `engine.calls`)."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from engine import generated_images
from engine.calls.ops import AllowPrefix, Applied, ApplyPatch, Exec, Executed, ReadImage, RunShell, Type, VerifyPatch
from engine.commands import parse_command
from engine.commands.rules import RuleRefused, append_rule
from engine.context.user_input import guessed_type
from engine.errors import os_reason
from engine.images import InvalidImage, UnsupportedImage, image_url
from engine.mcp_operations import MCP_OPERATIONS
from engine.patch import apply, files, parse, plan
from engine.patch.apply import PatchFailed
from engine.patch.parse import PatchRefused
from engine.patch.plan import Verified
from engine.patch.turn_diff import TurnDiff
from engine.permissions.writable import can_write
from engine.processes import frames
from engine.processes.buffers import HeadTail, Live, guessed_text
from engine.processes.environment import command_environment, plain_output
from engine.processes.frames import Ended, join_streams
from engine.processes.session import Session, StdinClosed
from engine.processes.spawn import Command, Size, SpawnError, Stream
from engine.processes.store import Running, UnknownProcess
from engine.sandbox import SandboxUnsupported, confine, likely_denied, told
from engine.turn.ops import Op, ReadDiff, SavedImage, SaveImage
from engine.turn.replies import CallFailed
from rollouts import events as ev

if TYPE_CHECKING:
    from engine.thread import Thread

TIMED_OUT = 124
"""Exit code of a command that was ended because its time was over."""


async def _exec(thread: Thread, op: Exec) -> Executed:
    settings = thread.turn_settings
    command = Command(
        argv=op.argv,
        cwd=op.cwd,
        env=plain_output(command_environment(settings.config, os.environ, thread.id)),
        tty=Size() if op.tty else None,
        merged=True,
    )
    try:
        if op.sandboxed:
            command = await confine(command, settings.permissions, str(settings.cwd))
        else:
            command = told(command, settings.permissions)
        number = thread.processes.reserve()
        running = await thread.processes.start(number, op.call_id, command)
    except SandboxUnsupported as error:
        raise CallFailed(frames.exec_failed(op.argv, str(error))) from error
    except SpawnError as error:
        raise CallFailed(frames.exec_not_started(op.argv, error)) from error
    shown = _Shown(thread, op, number)
    denied = op.sandboxed and running.exit_code is not None and likely_denied(running.exit_code, running.output)
    if denied:
        thread.tell(shown.ran(running, seconds=0.0))
    elif running.exit_code is not None:
        thread.tell(shown.begin(), shown.end(running, seconds=0.0), shown.ran(running, seconds=0.0))
    else:
        thread.tell(shown.begin())
        thread.processes.watch(
            running,
            shown.chunk,
            lambda ended: thread.tell(shown.end(ended, ended.session.seconds), shown.ran(ended, ended.session.seconds)),
        )
    done = await thread.processes.collect(running, op.yield_ms)
    return Executed(done.text, done.seconds, done.exit_code, number, thread.processes.crowd, denied)


class _Shown:
    """The item of a command as clients see it, from begin to end, whatever becomes of its turn."""

    def __init__(self, thread: Thread, op: Exec, number: int) -> None:
        self._thread = thread
        self._about: dict[str, Any] = {
            "call_id": op.call_id,
            "process_id": str(number),
            "turn_id": op.turn_id,
            "command": op.argv,
            "cwd": op.cwd,
            "parsed_cmd": parse_command(op.argv),
            "source": "unified_exec_startup",
        }
        self._call_id = op.call_id
        self._turn_id = op.turn_id

    def begin(self) -> ev.ExecCommandBegin:
        return ev.ExecCommandBegin(**self._about)

    def chunk(self, data: bytes) -> None:
        self._thread.tell(ev.ExecCommandOutputDelta(call_id=self._call_id, stream="stdout", chunk=data))

    def end(self, running: Running, seconds: float) -> ev.ExecCommandEnd:
        code, status = _outcome(running)
        return ev.ExecCommandEnd(
            **self._about,
            stdout="",
            stderr="",
            aggregated_output=running.output,
            exit_code=code,
            duration=ev.Duration.of_seconds(seconds),
            formatted_output="",
            status=status,
        )

    def ran(self, running: Running, seconds: float) -> ev.ToolRun:
        code, status = _outcome(running)
        return ev.ToolRun(
            turn_id=self._turn_id,
            call_id=self._call_id,
            tool="exec_command",
            status=status,
            exit_code=code,
            duration_ms=round(seconds * 1000),
        )


def _outcome(running: Running) -> tuple[int, ev.ExecStatus]:
    code = running.exit_code if running.exit_code is not None else -1
    return code, "completed" if code == 0 else "failed"


async def run_shell(thread: Thread, op: RunShell, report: Callable[[object], None]) -> Ended:
    """Run a command to its end."""
    settings = thread.turn_settings
    outputs: dict[Stream, HeadTail] = {"stdout": HeadTail(), "stderr": HeadTail()}
    live = Live()

    def take(stream: Stream, data: bytes) -> None:
        outputs[stream].push(data)
        if live.takes(data):
            report(data)

    env = command_environment(settings.config, os.environ, thread.id)
    command = Command(argv=op.argv, cwd=op.cwd, env=env, leave_group=True)
    try:
        if op.sandboxed:
            command = await confine(command, settings.permissions, str(settings.cwd))
        elif not op.by_user:
            command = told(command, settings.permissions)
        session = Session(command, take)
    except SandboxUnsupported as error:
        return Ended(f"failed to run the command: {error}", -1, 0.0, failed=True)
    except SpawnError as error:
        return Ended(frames.shell_not_started(error), -1, 0.0, failed=True)
    timed_out = False
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.run)
        with anyio.move_on_after(None if op.timeout_ms is None else op.timeout_ms / 1000) as limit:
            await session.finished.wait()
        if limit.cancelled_caught:
            timed_out = True
            session.kill()
            await session.finished.wait()
    if session.death_signal is not None and not timed_out:
        return Ended(frames.shell_killed(session.death_signal), -1, session.seconds, failed=True)
    output = guessed_text(join_streams(outputs["stdout"].data(), outputs["stderr"].data()))
    code = TIMED_OUT if timed_out else session.exit_code
    return Ended(output, -1 if code is None else code, session.seconds, timed_out)


async def _type(thread: Thread, op: Type) -> Executed:
    try:
        running = thread.processes.get(op.number)
        if op.chars:
            await thread.processes.write(running, op.chars)
    except (UnknownProcess, StdinClosed) as error:
        raise CallFailed(f"write_stdin failed: {error}") from error
    done = await thread.processes.collect(running, op.yield_ms)
    thread.tell(ev.TerminalInteraction(call_id=running.call_id, process_id=str(op.number), stdin=op.chars))
    return Executed(done.text, done.seconds, done.exit_code, op.number)


async def _allow_prefix(thread: Thread, op: AllowPrefix) -> None:
    try:
        await anyio.to_thread.run_sync(append_rule, thread.turn_settings.config.home, op.words)
    except RuleRefused as refused:
        raise CallFailed(str(refused)) from refused


async def _verify(thread: Thread, op: VerifyPatch) -> Verified:
    def check() -> Verified:
        return plan.verify(parse.parse(op.text), op.cwd, files.read_text, home=os.path.expanduser("~"))

    try:
        return await anyio.to_thread.run_sync(check)
    except PatchRefused as refused:
        raise CallFailed(refused.text) from refused


def _turn_diff(thread: Thread, turn_id: str) -> TurnDiff:
    """The diff of a turn, begun anew for each one."""
    if thread.diffs is None or thread.diffs[0] != turn_id:
        thread.diffs = (turn_id, TurnDiff(files.blob, files.shown))
    return thread.diffs[1]


async def _apply(thread: Thread, op: ApplyPatch) -> Applied:
    """Write the patch; not to be cut off half-way, so a cancelled turn waits for it."""
    diff = _turn_diff(thread, op.turn_id)
    settings = thread.turn_settings

    def allowed(path: str) -> bool:
        tmpdir = os.environ.get("TMPDIR")
        return not op.sandboxed or can_write(settings.sandbox, str(settings.cwd), path, tmpdir, creates=True)

    def write() -> Applied:
        started = time.monotonic()
        diff.before(op.verified.changes)
        unwritten = False
        try:
            text, success = apply.apply(op.verified, files.read_text, allowed), True
            diff.applied(op.verified.changes)
        except PatchFailed as failed:
            text, success, unwritten = failed.text, False, failed.unwritten
        return Applied(text, success, diff.render(), time.monotonic() - started, unwritten)

    return await anyio.to_thread.run_sync(write)


async def _read_diff(thread: Thread, op: ReadDiff) -> str | None:
    return await anyio.to_thread.run_sync(_turn_diff(thread, op.turn_id).render)


async def _read_image(thread: Thread, op: ReadImage) -> str:
    def read() -> str:
        path = Path(op.path)
        if not path.exists():
            raise CallFailed(f"unable to locate image at `{op.path}`: No such file or directory (os error 2)")
        if not path.is_file():
            raise CallFailed(f"image path `{op.path}` is not a file")
        return image_url(path.read_bytes(), original=op.original)

    try:
        return await anyio.to_thread.run_sync(read)
    except OSError as error:
        raise CallFailed(f"unable to read image at `{op.path}`: {os_reason(error)}") from error
    except UnsupportedImage as error:
        reason = f"unsupported image `{guessed_type(op.path, 'unknown')}`"
        raise CallFailed(f"unable to process image at `{op.path}`: {reason}") from error
    except InvalidImage as error:
        reason = f"failed to decode image at {op.path}: {error.reason}"
        raise CallFailed(f"unable to process image at `{op.path}`: {reason}") from error


async def _save_image(thread: Thread, op: SaveImage) -> SavedImage | None:
    home = thread.turn_settings.config.home
    return await anyio.to_thread.run_sync(generated_images.save, home, thread.id, op.id, op.data)


TOOL_OPERATIONS: Mapping[type[Op], Callable[[Thread, Any], Awaitable[object]]] = {
    Exec: _exec,
    Type: _type,
    AllowPrefix: _allow_prefix,
    VerifyPatch: _verify,
    ApplyPatch: _apply,
    **MCP_OPERATIONS,
    ReadDiff: _read_diff,
    ReadImage: _read_image,
    SaveImage: _save_image,
}
