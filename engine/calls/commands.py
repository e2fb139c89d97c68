"""The `exec_command` and `write_stdin` tools (tools.md 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from engine.approvals import Command
from engine.calls.approval import Rejected, approve_command, approve_retry
from engine.calls.arguments import parse
from engine.calls.ops import Exec, Executed, Type
from engine.calls.patch import apply_patch
from engine.calls.wishes import Wishes, session_escalation, shell_flag
from engine.patch.parse import PatchRefused
from engine.patch.plan import resolve
from engine.patch.shell import shell_form
from engine.processes import frames
from engine.processes.shells import resolve_shell
from engine.processes.store import WARN_AT, call_yield_ms, poll_yield_ms
from engine.turn.machine import Run, Script, Turn
from engine.turn.replies import CallFailed
from engine.wording import I32, U64, USIZE
from rollouts import events as ev

if TYPE_CHECKING:
    from engine.calls.toolbox import Toolbox


class ExecCommandArgs(Wishes, frozen=True, kw_only=True):
    """Arguments of `exec_command`; times in milliseconds."""

    cmd: str
    workdir: str | None = None
    shell: str | None = None
    login: bool | None = None
    tty: bool = False
    yield_time_ms: U64 = 10_000
    max_output_tokens: USIZE | None = None


class WriteStdinArgs(msgspec.Struct, frozen=True):
    """Arguments of `write_stdin`; times in milliseconds."""

    session_id: I32
    chars: str = ""
    yield_time_ms: U64 = 250
    max_output_tokens: USIZE | None = None


def exec_command(box: Toolbox, turn: Turn, call: ev.FunctionCall) -> Script:
    """Run a command line; one that does not end in time goes on in the background."""
    given = parse(call.arguments, ExecCommandArgs)
    cwd = box.place(given.workdir)
    argv = (resolve_shell(given.shell, box.shell), shell_flag(box, given.login), given.cmd)
    escalation = session_escalation(box, given)
    started = turn.now
    patched = yield from patch_in_shell(box, turn, call, argv, cwd, "exec_command")
    if patched is not None:
        return f"Wall time: {(turn.now - started).total_seconds():.4f} seconds\nOutput:\n{patched}"
    command = Command(argv, cwd, escalation, given.tty)
    try:
        done = yield from _run(box, turn, call.call_id, command, call_yield_ms(given.yield_time_ms))
    except Rejected as rejected:
        raise CallFailed(frames.exec_failed(argv, rejected.reason)) from rejected
    if done.crowd:
        warning = (
            f"The maximum number of unified exec processes you can keep open is {WARN_AT} and you currently have "
            f"{done.crowd} processes open. Reuse older processes or close them to prevent automatic pruning of old "
            "processes"
        )
        turn.beside.append(ev.Message(role="user", content=(ev.InputText(f"Warning: {warning}"),)))
    return _frame(box, turn, done, given.max_output_tokens)


def _run(box: Toolbox, turn: Turn, call_id: str, command: Command, yield_ms: int) -> Script:
    """Run a command once it may; when the sandbox has stopped it, perhaps once more without. Result: `Executed`.

    :raises Rejected: it may not run.
    """
    permit = yield from approve_command(box, turn, call_id, command)
    op = Exec(
        turn_id=turn.id,
        call_id=call_id,
        argv=command.argv,
        cwd=command.cwd,
        tty=bool(command.tty),
        yield_ms=yield_ms,
        sandboxed=permit.sandboxed,
    )
    done: Executed = yield Run(op)
    if done.denied and (yield from approve_retry(box, turn, call_id, command, permit)):
        done = yield Run(msgspec.structs.replace(op, sandboxed=False))
    return done


def write_stdin(box: Toolbox, turn: Turn, call: ev.FunctionCall) -> Script:
    """Type into a running command, or see what it has written since."""
    given = parse(call.arguments, WriteStdinArgs)
    wait = call_yield_ms(given.yield_time_ms) if given.chars else poll_yield_ms(given.yield_time_ms)
    done: Executed = yield Run(Type(given.session_id, given.chars, wait))
    return _frame(box, turn, done, given.max_output_tokens)


def _frame(box: Toolbox, turn: Turn, done: Executed, wanted: int | None) -> str:
    return frames.exec_command(
        done.text,
        chunk_id=next(turn.ids).replace("-", "")[:6],
        seconds=done.seconds,
        exit_code=done.exit_code,
        session_id=done.number,
        max_tokens=frames.exec_budget(wanted, box.settings.info.truncation_policy),
    )


def patch_in_shell(
    box: Toolbox, turn: Turn, call: ev.FunctionCall, argv: tuple[str, ...], cwd: str, tool: str
) -> Script:
    """A script that is one patch is applied as a patch; the model is told to use the tool. None for other scripts."""
    try:
        form = shell_form(argv)
    except PatchRefused as refused:
        raise CallFailed(str(refused)) from refused
    if form is None:
        return None
    text = f"Warning: apply_patch was requested via {tool}. Use the apply_patch tool instead of exec_command."
    folder = resolve(cwd, form.workdir, box.home) if form.workdir else cwd
    return (yield from apply_patch(box, turn, call.call_id, form.patch, folder, warning=text))
