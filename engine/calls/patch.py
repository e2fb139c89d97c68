"""The `apply_patch` tool in its three forms: free text, function, and a shell script that is one patch (tools.md 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from engine.approvals import Permit
from engine.calls.approval import approve_patch, approve_patch_retry
from engine.calls.arguments import parse
from engine.calls.ops import Applied, ApplyPatch, VerifyPatch
from engine.patch.plan import Verified
from engine.turn.machine import Run, Script, Turn
from engine.turn.replies import CallFailed
from rollouts import events as ev

if TYPE_CHECKING:
    from engine.calls.toolbox import Toolbox


class ApplyPatchToolArgs(msgspec.Struct, frozen=True):
    """Arguments of the function form."""

    input: str


def apply_patch_custom(box: Toolbox, turn: Turn, call: ev.CustomToolCall) -> Script:
    """The patch as raw text."""
    return (yield from apply_patch(box, turn, call.call_id, call.input, str(box.settings.cwd)))


def apply_patch_function(box: Toolbox, turn: Turn, call: ev.FunctionCall) -> Script:
    """The patch as an argument."""
    given = parse(call.arguments, ApplyPatchToolArgs)
    return (yield from apply_patch(box, turn, call.call_id, given.input, str(box.settings.cwd)))


def apply_patch(box: Toolbox, turn: Turn, call_id: str, text: str, cwd: str, *, warning: str | None = None) -> Script:
    """Check, ask if needed, write, show; what cannot be written under a sandbox may be allowed without.

    :param warning: what the model is told of a patch that passed the check.
    :raises CallFailed: it does not fit, may not be written, or could not be.
    """
    verified: Verified = yield Run(VerifyPatch(text, cwd))
    if warning is not None:
        turn.beside.append(ev.Message(role="user", content=(ev.InputText(warning),)))
    permit: Permit = yield from approve_patch(box, turn, call_id, verified)
    applied: Applied = yield Run(ApplyPatch(turn.id, verified, permit.sandboxed))
    if applied.unwritten and (yield from approve_patch_retry(box, turn, call_id, verified, permit, applied.text)):
        applied = yield Run(ApplyPatch(turn.id, verified, sandboxed=False))
    turn.tell_beside()
    turn.emit(
        ev.PatchApplyEnd(
            call_id=call_id,
            turn_id=turn.id,
            stdout=applied.text if applied.success else "",
            stderr="" if applied.success else applied.text,
            success=applied.success,
            changes=verified.changes,
            status="completed" if applied.success else "failed",
        )
    )
    turn.diff = applied.diff
    turn.show_diff()
    if not applied.success:
        raise CallFailed(output(applied))
    return output(applied)


def output(applied: Applied) -> str:
    """What the model gets: one JSON string with the text and how it went."""
    return msgspec.json.encode(
        {
            "output": applied.text,
            "metadata": {
                "exit_code": 0 if applied.success else 1,
                "duration_seconds": round(applied.seconds, 1),
            },
        }
    ).decode()
