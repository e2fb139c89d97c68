"""Asking before acting: the part of a call script between deciding that an approval is needed and having it.

Decisions that need nobody are made by `engine.approvals`. Here the question goes to the clients; what they answer is
an event, and anything but a clear yes is a no (spec tools 8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from engine.approvals import Escalation, Permit, Question, Refusal
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


class Rejected(Exception):
    """A command must not run; `reason` as the reference words it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def approve_command(
    box: Toolbox, turn: Turn, call_id: str, argv: tuple[str, ...], cwd: str, escalation: Escalation, *, begun: bool
) -> Script:
    """See that a command may run; the result is a `Permit`.

    :param begun: whether clients see the command already; else they do with the question.
    :raises Rejected: it may not, by a rule or by somebody's word.
    """
    verdict = box.judge.command(argv, cwd, escalation)
    if isinstance(verdict, Permit):
        return verdict
    if isinstance(verdict, Refusal):
        raise Rejected(verdict.text)
    about = _about(turn, call_id, argv, cwd)
    reason = verdict.reason if verdict.reason is not None else escalation.reason
    decision = yield from _ask(box, turn, about, verdict, reason, begun=begun)
    if decision == "decline":
        raise Rejected(REJECTED)
    if decision == "acceptForSession":
        box.judge.grants.allow_command(argv, cwd, escalation.wanted)
    return Permit(verdict.sandboxed, asked=True, approved=True)


def check_escalation(box: Toolbox, escalation: Escalation) -> None:
    """See that the model may ask for what it asks for.

    :raises CallFailed: it may not.
    """
    refusal = box.judge.refused_escalation(escalation)
    if refusal is not None:
        raise CallFailed(refusal)


def approve_retry(box: Toolbox, turn: Turn, call_id: str, argv: tuple[str, ...], cwd: str, permit: Permit) -> Script:
    """The sandbox stopped a command: may it run again without? True, False, or None for what nobody is asked about."""
    question = box.judge.retry(argv)
    if question is None:
        return None
    if permit.approved:
        return True
    decision = yield from _ask(box, turn, _about(turn, call_id, argv, cwd), question, question.reason, begun=True)
    return decision != "decline"


def _about(turn: Turn, call_id: str, argv: tuple[str, ...], cwd: str) -> dict[str, Any]:
    parsed = parse_command(argv)
    return {"call_id": call_id, "turn_id": turn.id, "command": argv, "cwd": cwd, "parsed_cmd": parsed}


def _ask(
    box: Toolbox, turn: Turn, about: dict[str, Any], question: Question, reason: str | None, *, begun: bool
) -> Script:
    """Ask about a command; the result is the decision by name. A rule that comes with it is kept."""
    call_id, argv, cwd = about["call_id"], about["command"], about["cwd"]
    turn.emit(ev.ExecApprovalRequest(**about, reason=reason))
    if not begun:
        turn.emit(ev.ExecCommandBegin(**about, source="agent"))
    params = p.CommandExecutionRequestApprovalParams(
        thread_id=box.thread_id,
        turn_id=turn.id,
        item_id=call_id,
        reason=reason if reason is not None else UNSET,
        command=join(argv),
        cwd=cwd,
        command_actions=command_actions(about["parsed_cmd"], cwd),
        proposed_execpolicy_amendment=list(question.amendment) if question.amendment else UNSET,
        available_decisions=_decisions(question),
    )
    answer: p.CommandExecutionRequestApprovalResponse = yield Run(Ask("item/commandExecution/requestApproval", params))
    decision, words = _read(answer.decision)
    if decision in ("decline", "cancel"):
        turn.emit(ev.CommandDeclined(**about))
    yield from _decided(turn, call_id, "command", decision)
    if words:
        box.judge.rules = yield Run(AllowPrefix(words))
        saved = f"Approved command prefix saved:\n- {msgspec.json.encode(words).decode()}"
        turn.beside.append(ev.Message(role="developer", content=(ev.InputText(saved),)))
    return decision


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
    turn.emit(ev.ApplyPatchApprovalRequest(call_id=call_id, turn_id=turn.id, changes=changes))
    params = p.FileChangeRequestApprovalParams(thread_id=box.thread_id, turn_id=turn.id, item_id=call_id)
    answer: p.FileChangeRequestApprovalResponse = yield Run(Ask("item/fileChange/requestApproval", params))
    if answer.decision in ("decline", "cancel"):
        turn.emit(ev.PatchDeclined(call_id=call_id, turn_id=turn.id, changes=changes))
    yield from _decided(turn, call_id, "patch", answer.decision)
    if answer.decision == "decline":
        # The reference completes the item twice: for the answer and for the end of the tool.
        turn.emit(ev.PatchDeclined(call_id=call_id, turn_id=turn.id, changes=changes))
        turn.show_diff()
        raise CallFailed("patch rejected by user")
    if answer.decision == "acceptForSession":
        box.judge.grants.allow_files(verified.paths)
    return Permit(sandboxed=False, asked=True)


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


def _read(decision: p.CommandExecutionApprovalDecision) -> tuple[str, tuple[str, ...]]:
    """The decision by name, and the words of a rule to keep; what is not about a command counts as no."""
    if isinstance(decision, str):
        return decision, ()
    amended = decision.accept_with_execpolicy_amendment
    if isinstance(amended, UnsetType):
        return "decline", ()
    return "acceptWithExecpolicyAmendment", tuple(amended.execpolicy_amendment)
