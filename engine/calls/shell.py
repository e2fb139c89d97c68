"""The `shell_command` and `shell` tools (tools.md 3), and commands of the user (10): all are waited for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from engine.approvals import Command
from engine.calls.approval import REJECTED, Rejected, approve_command, approve_retry
from engine.calls.arguments import parse
from engine.calls.commands import patch_in_shell
from engine.calls.ops import RunShell
from engine.calls.wishes import Wishes, shell_escalation, shell_flag
from engine.commands import parse_command
from engine.processes import frames
from engine.processes.frames import Ended
from engine.sandbox.denial import likely_denied
from engine.turn.call import call_id
from engine.turn.ending import abort, complete
from engine.turn.machine import Interrupted, Run, Script, Turn
from engine.turn.replies import CallFailed
from engine.turn.setup import TurnSetup, open_turn
from engine.wording import U64
from rollouts import events as ev

if TYPE_CHECKING:
    from engine.calls.toolbox import Toolbox
    from engine.model.info import Truncation

DECLINED = "exec command rejected by user"
DEFAULT_TIMEOUT_MS = 10_000


class _Common(Wishes, frozen=True, kw_only=True):
    workdir: str | None = None
    timeout_ms: U64 | None = None
    timeout: U64 | None = None
    """Another name of `timeout_ms` that models use."""


class ShellCommandToolCallParams(_Common, frozen=True, kw_only=True):
    """Arguments of `shell_command`; times in milliseconds."""

    command: str
    login: bool | None = None


class ShellToolCallParams(_Common, frozen=True, kw_only=True):
    """Arguments of `shell`; times in milliseconds."""

    command: tuple[str, ...]


def shell_command(box: Toolbox, turn: Turn, call: ev.FunctionCall) -> Script:
    """A command line in the user's shell."""
    given = parse(call.arguments, ShellCommandToolCallParams)
    argv = (box.shell, shell_flag(box, given.login), given.command)
    return (yield from _run(box, turn, call, argv, given, frames.shell_command))


def shell(box: Toolbox, turn: Turn, call: ev.FunctionCall) -> Script:
    """An argv."""
    given = parse(call.arguments, ShellToolCallParams)
    return (yield from _run(box, turn, call, given.command, given, frames.shell))


def local_shell(box: Toolbox, turn: Turn, call: ev.LocalShellCall) -> Script:
    """An argv, from models whose shell tool is an item of its own. Its environment and user are not heeded."""
    own = call_id(call)
    if not own:
        raise CallFailed("LocalShellCall without call_id or id")
    action = call.action
    given = ShellToolCallParams(command=action.command, workdir=action.working_directory, timeout_ms=action.timeout_ms)
    named = ev.FunctionCall(name="local_shell", arguments="", call_id=own)
    return (yield from _run(box, turn, named, given.command, given, frames.shell))


def _run(
    box: Toolbox,
    turn: Turn,
    call: ev.FunctionCall,
    argv: tuple[str, ...],
    given: _Common,
    frame: Callable[[Ended, Truncation], str],
) -> Script:
    cwd = box.place(given.workdir)
    escalation = shell_escalation(box, given)
    patched = yield from patch_in_shell(box, turn, call, argv, cwd, call.name)
    if patched is not None:
        return patched
    command = Command(argv, cwd, escalation)
    shown = Shown(turn.emit, turn.id, call.call_id, argv, cwd, "agent")
    shown.begin()
    if not argv:
        shown.declined("command args are empty")
    try:
        permit = yield from approve_command(box, turn, call.call_id, command)
    except Rejected as rejected:
        shown.declined(DECLINED if rejected.reason == REJECTED else rejected.reason)
    limits = (given.timeout_ms, given.timeout, DEFAULT_TIMEOUT_MS)
    timeout = next(limit for limit in limits if limit is not None)
    op = RunShell(argv=argv, cwd=cwd, timeout_ms=timeout, sandboxed=permit.sandboxed)
    ended: Ended = yield Run(op, shown.chunk)
    if permit.sandboxed and likely_denied(ended.exit_code, ended.output):
        try:
            again = yield from approve_retry(box, turn, call.call_id, command, permit)
        except Rejected:
            shown.declined(DECLINED, ended.seconds)
        if again:
            ended = yield Run(msgspec.structs.replace(op, sandboxed=False), shown.chunk)
    shown.end(ended)
    if ended.failed:
        raise CallFailed(ended.output)
    return frame(ended, box.settings.info.truncation_policy)


class Shown:
    """The item of a command that is waited for."""

    def __init__(
        self,
        emit: Callable[[ev.Body], None],
        turn_id: str,
        call_id: str,
        argv: tuple[str, ...],
        cwd: str,
        source: ev.ExecSource,
    ) -> None:
        self._emit = emit
        self._turn_id = turn_id
        self._call_id = call_id
        self._about: dict[str, Any] = {
            "call_id": call_id,
            "turn_id": turn_id,
            "command": argv,
            "cwd": cwd,
            "parsed_cmd": parse_command(argv),
            "source": source,
        }

    def begin(self) -> None:
        """Show its start."""
        self._emit(ev.ExecCommandBegin(**self._about))

    def chunk(self, data: bytes) -> None:
        """Show more of its output."""
        self._emit(ev.ExecCommandOutputDelta(call_id=self._call_id, stream="stdout", chunk=data))

    def declined(self, text: str, seconds: float = 0.0) -> NoReturn:
        """Show that it was declined, and tell the model why."""
        self.end(Ended(text, -1, seconds), "declined")
        raise CallFailed(text)

    def end(self, ended: Ended, status: ev.ExecStatus | None = None) -> None:
        """Show how it ended; its exit code says which way, unless somebody declined it."""
        status = status or ("completed" if ended.exit_code == 0 else "failed")
        self._emit(
            ev.ExecCommandEnd(
                **self._about,
                stdout=ended.output,
                stderr="",
                aggregated_output=ended.output,
                exit_code=ended.exit_code,
                duration=ev.Duration.of_seconds(ended.seconds),
                formatted_output="",
                status=status,
            )
        )
        self._emit(
            ev.ToolRun(
                turn_id=self._turn_id,
                call_id=self._call_id,
                tool="shell",
                status=status,
                exit_code=ended.exit_code,
                duration_ms=round(ended.seconds * 1000),
            )
        )


def user_shell_turn(
    turn: Turn, setup: TurnSetup, command: str, argv: tuple[str, ...], cwd: str, policy: Truncation
) -> Script:
    """A turn that runs a command of the user, without sandbox and approval."""
    open_turn(turn, setup)
    shown = Shown(turn.emit, turn.id, next(turn.ids), argv, cwd, "user_shell")
    shown.begin()
    try:
        ended: Ended = yield Run(
            RunShell(argv=argv, cwd=cwd, timeout_ms=None, sandboxed=False, by_user=True), shown.chunk
        )
    except Interrupted as interruption:
        ended = aborted(turn.elapsed_ms / 1000)
        turn.emit(ran(command, ended, policy))
        shown.end(ended)
        abort(turn, interruption.reason)
        return
    shown.end(ended)
    turn.emit(ran(command, ended, policy))
    complete(turn, None)


def aborted(seconds: float) -> Ended:
    """How a command of the user ends that was interrupted after so long."""
    return Ended("command aborted by user", -1, seconds)


def ran(command: str, ended: Ended, policy: Truncation) -> ev.Message:
    """How the model hears of a command of the user."""
    return ev.Message(role="user", content=(ev.InputText(frames.user_shell_command(command, ended, policy)),))
