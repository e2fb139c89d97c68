"""Asking before acting: the part of a call script between deciding that an approval is needed and having it.

Decisions that need nobody are made by `engine.approvals`. Here the question goes to the clients; what they answer is
an event, and anything but a clear yes is a no (spec tools 8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from engine.approvals import Command, Permit, Question, Refusal
from engine.asks import CommandAnswerFailed, PatchAnswerFailed
from engine.calls.ops import AllowPrefix
from engine.commands import parse_command
from engine.patch.plan import Verified
from engine.turn.machine import Join, Run, Script, Turn
from engine.turn.ops import Ask
from engine.turn.replies import CallFailed
from projections import protocol as p
from projections.item_parts import command_actions
from projections.quoting import join
from rollouts import events as ev

if TYPE_CHECKING:
    from engine.calls.toolbox import Toolbox

REJECTED = "rejected by user"
PATCH_REJECTED = "patch rejected by user"


class Rejected(Exception):
    """A command must not run; `reason` as the reference words it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def approve_command(box: Toolbox, turn: Turn, call_id: str, command: Command) -> Script:
    """See that a command may run; the result is a `Permit`.

    :raises Rejected: it may not, by a rule or by somebody's word.
    """
    verdict = box.judge.command(command)
    if isinstance(verdict, Permit):
        return verdict
    if isinstance(verdict, Refusal):
        raise Rejected(verdict.text)
    yield from _ask(box, turn, call_id, command, verdict)
    return Permit(verdict.sandboxed, approved=True)


def approve_retry(box: Toolbox, turn: Turn, call_id: str, command: Command, permit: Permit) -> Script:
    """The sandbox stopped a command: may it run again without? False if nobody is asked about that.

    :raises Rejected: somebody said no.
    """
    needed = box.judge.retry(command, permit)
    if isinstance(needed, Question):
        yield from _ask(box, turn, call_id, command, needed)
    return needed is not None


def _ask(box: Toolbox, turn: Turn, call_id: str, command: Command, question: Question) -> Script:
    """Ask about a command; a yes for the session or a rule that comes with it is kept.

    :raises Rejected: the answer is no.
    """
    reason = question.reason if question.reason is not None else command.escalation.reason
    parsed = parse_command(command.argv)
    about: dict[str, Any] = {
        "call_id": call_id,
        "turn_id": turn.id,
        "command": command.argv,
        "cwd": command.cwd,
        "parsed_cmd": parsed,
    }
    turn.emit(ev.ExecApprovalRequest(**about, reason=reason))
    params = p.CommandExecutionRequestApprovalParams(
        thread_id=box.thread_id,
        turn_id=turn.id,
        item_id=call_id,
        reason=reason if reason is not None else UNSET,
        command=join(command.argv),
        cwd=command.cwd,
        command_actions=command_actions(parsed, command.cwd),
        proposed_execpolicy_amendment=list(question.amendment) if question.amendment else UNSET,
        available_decisions=_decisions(question),
    )
    answer: p.CommandExecutionRequestApprovalResponse = yield Run(Ask("item/commandExecution/requestApproval", params))
    decision, words = _read(answer.decision)
    if decision in ("decline", "cancel"):
        turn.emit(ev.CommandDeclined(**about, failed=isinstance(answer, CommandAnswerFailed)))
    yield from _decided(turn, call_id, "command", decision)
    if decision == "decline":
        raise Rejected(REJECTED)
    if decision == "acceptForSession":
        box.judge.grants.allow_command(command)
    if words is not None:
        yield from _keep(box, turn, words)


def _keep(box: Toolbox, turn: Turn, words: tuple[str, ...]) -> Script:
    """Keep a rule; when that fails, the answer holds for this command only."""
    try:
        yield Run(AllowPrefix(words))
    except CallFailed as failed:
        turn.emit(ev.Warning(f"Failed to apply execpolicy amendment: {failed.text}"))
        return
    box.judge.grants.allow_prefix(words)
    saved = f"Approved command prefix saved:\n- {msgspec.json.encode(words).decode()}"
    turn.beside.append(ev.Message(role="developer", content=(ev.InputText(saved),)))


def approve_patch(box: Toolbox, turn: Turn, call_id: str, verified: Verified) -> Script:
    """See that a patch may be written, and show the start of its item; the result is a `Permit`.

    :raises CallFailed: it may not; the text is for the model.
    """
    verdict = box.judge.patch(verified.paths)
    if isinstance(verdict, Refusal):
        raise CallFailed(verdict.text)
    asks = not isinstance(verdict, Permit)
    changes = verified.changes
    turn.emit(ev.PatchApplyBegin(call_id=call_id, turn_id=turn.id, auto_approved=not asks, changes=changes))
    if isinstance(verdict, Permit):
        return verdict
    decision = yield from _ask_about_patch(box, turn, call_id, verified, verdict)
    if decision == "acceptForSession":
        box.judge.grants.allow_files(verified.paths)
    return Permit(sandboxed=False, approved=True)


def approve_patch_retry(
    box: Toolbox, turn: Turn, call_id: str, verified: Verified, permit: Permit, failure: str
) -> Script:
    """A patch could not be written under the sandbox: may it be written without? False if nobody is asked about that.

    :param failure: why it could not; shown before the question
    :raises CallFailed: somebody said no; the text is for the model.
    """
    needed = box.judge.retry_patch(permit)
    if needed is not None:
        turn.emit(ev.PatchOutput(call_id=call_id, turn_id=turn.id, text=failure))
    if isinstance(needed, Question):
        yield from _ask_about_patch(box, turn, call_id, verified, needed)
    return needed is not None


def _ask_about_patch(box: Toolbox, turn: Turn, call_id: str, verified: Verified, question: Question) -> Script:
    """Ask about a patch; the result is the decision, some kind of yes.

    :raises CallFailed: the answer is no.
    """
    changes = verified.changes
    turn.emit(ev.ApplyPatchApprovalRequest(call_id=call_id, turn_id=turn.id, changes=changes, reason=question.reason))
    params = p.FileChangeRequestApprovalParams(
        thread_id=box.thread_id, turn_id=turn.id, item_id=call_id, reason=question.reason
    )
    answer: p.FileChangeRequestApprovalResponse = yield Run(Ask("item/fileChange/requestApproval", params))
    if answer.decision in ("decline", "cancel"):
        failed = isinstance(answer, PatchAnswerFailed)
        turn.emit(ev.PatchDeclined(call_id=call_id, turn_id=turn.id, changes=changes, failed=failed))
    yield from _decided(turn, call_id, "patch", answer.decision)
    if answer.decision == "decline":
        # The reference completes the item twice: for the answer and for the end of the tool.
        turn.emit(
            ev.PatchApplyEnd(
                call_id=call_id,
                turn_id=turn.id,
                stdout="",
                stderr=PATCH_REJECTED,
                success=False,
                changes=changes,
                status="declined",
            )
        )
        turn.show_diff()
        raise CallFailed(PATCH_REJECTED)
    return answer.decision


def _decided(turn: Turn, call_id: str, kind: str, decision: str) -> Script:
    """Somebody has answered: log it, wait for them no more; `cancel` ends the turn."""
    turn.emit(ev.Approval(turn_id=turn.id, call_id=call_id, kind=kind, decision=decision, decided_by="user"))
    turn.emit(ev.QuestionClosed(call_id=call_id))
    if decision == "cancel":
        turn.interrupt()
        yield Join([])


def _decisions(question: Question) -> list[p.CommandExecutionApprovalDecision]:
    """What clients are offered; `decline` and `acceptForSession` are honoured although not listed."""
    if question.amendment is None:
        return ["accept", "cancel"]
    amended = p.CommandExecutionApprovalDecisionAcceptWithExecpolicyAmendment(
        execpolicy_amendment=list(question.amendment)
    )
    return ["accept", p.CommandExecutionApprovalDecisionObject(accept_with_execpolicy_amendment=amended), "cancel"]


def _read(decision: p.CommandExecutionApprovalDecision) -> tuple[str, tuple[str, ...] | None]:
    """The decision by name, and the words of a rule to keep, None for no rule.

    To open or close a host is no answer to what is asked here; it counts as the yes or no that it sounds like.
    """
    if isinstance(decision, str):
        return decision, None
    amended, network = decision.accept_with_execpolicy_amendment, decision.apply_network_policy_amendment
    if not isinstance(amended, UnsetType):
        return "acceptWithExecpolicyAmendment", tuple(amended.execpolicy_amendment)
    opens = not isinstance(network, UnsetType) and network.network_policy_amendment.action == "allow"
    return "accept" if opens else "decline", None
