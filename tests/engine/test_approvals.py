"""Who is asked, and what a yes is worth: the scripts of the command tools against answers given by hand."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine import settings as configured
from engine.approvals import Grants, Judge, Refusal
from engine.calls.commands import exec_command
from engine.calls.ops import AllowPrefix, Exec, Executed, RunShell
from engine.calls.shell import DECLINED, shell, shell_command
from engine.calls.toolbox import Toolbox
from engine.commands.rules import RuleRefused, Rules, append_rule
from engine.commands.rules_file import Rule
from engine.processes.frames import Ended
from engine.turn.effects import Emit
from engine.turn.machine import Run, Turn
from engine.turn.ops import Ask
from engine.turn.replies import CallFailed
from projections import protocol as p
from projections.usage import Usage
from rollouts import events as ev

DENIED = Ended("touch: cannot touch 'x': Read-only file system\n", 1, 0.1)
FINE = Ended("", 0, 0.1)


TOOLS = {"exec_command": exec_command, "shell": shell, "shell_command": shell_command}


def executed(denied: bool = False) -> Executed:
    return Executed("Read-only file system\n" if denied else "", 0.0, int(denied), 1234, denied=denied)


class Trial:
    """Calls of command tools under a policy; `answers` holds decisions and outcomes of runs, in order."""

    def __init__(self, home: Path, policy: str, sandbox: str = "read-only", rules: Rules | None = None) -> None:
        params = msgspec.convert(
            {"cwd": str(home), "approvalPolicy": policy, "sandbox": sandbox, "model": "m"}, p.ThreadStartParams
        )
        settings = configured.start(params, configured.configure(home, {}, params, home), "client")
        self.home = home
        grants = Grants()
        grants.rules = rules or Rules()
        self.box = Toolbox("t", settings, Judge(settings, grants), "/bin/bash", None)  # type: ignore[arg-type]
        self.ops: list[Any] = []
        self.turn = self._turn()

    def _turn(self) -> Turn:
        ids = (f"id-{n}" for n in itertools.count())
        return Turn("turn", ids, datetime(2026, 4, 20, tzinfo=UTC), Usage(), iter(()), self.box.serve)

    def call(self, command: object, *answers: object, tool: str = "shell_command", **more: object) -> str:
        """Run it; `ops` is what it wanted done."""
        line = "cmd" if tool == "exec_command" else "command"
        arguments = msgspec.json.encode({line: command, **more}).decode()
        call = ev.FunctionCall(name=tool, arguments=arguments, call_id="c")
        self.turn, self.ops = self._turn(), []
        script = TOOLS[tool](self.box, self.turn, call)
        given = iter(answers)
        try:
            effect = next(script)
            while True:
                assert isinstance(effect, Run)
                self.ops.append(effect.op)
                try:
                    outcome = self._outcome(effect.op, given)
                except RuleRefused as refused:
                    effect = script.throw(CallFailed(str(refused)))
                else:
                    effect = script.send(outcome)
        except StopIteration as end:
            return str(end.value)

    def _outcome(self, op: object, given: Any) -> object:
        if isinstance(op, AllowPrefix):
            append_rule(self.home, op.words)
            return None
        answer = next(given)
        if isinstance(op, Ask):
            return p.CommandExecutionRequestApprovalResponse(decision=answer)
        return answer

    @property
    def runs(self) -> list[bool]:
        """Of each run, whether it was in the sandbox."""
        return [op.sandboxed for op in self.ops if isinstance(op, RunShell | Exec)]

    @property
    def told(self) -> list[object]:
        """What the call emitted."""
        return [effect.event for effect in self.turn._effects if isinstance(effect, Emit)]

    @property
    def questions(self) -> list[p.CommandExecutionRequestApprovalParams]:
        found = [op.params for op in self.ops if isinstance(op, Ask)]
        return [each for each in found if isinstance(each, p.CommandExecutionRequestApprovalParams)]


def test_a_yes_does_not_take_a_command_out_of_the_sandbox(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "untrusted")
    trial.call("touch x", "accept", FINE)
    assert trial.runs == [True]
    assert [question.reason for question in trial.questions] == [msgspec.UNSET]


def test_what_was_approved_runs_again_without_the_sandbox_unasked(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "untrusted")
    trial.call("touch x", "accept", DENIED, FINE)
    assert trial.runs == [True, False]
    assert len(trial.questions) == 1


def test_on_failure_asks_only_after_the_sandbox_stopped_it(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "on-failure")
    assert "Exit code: 0" in trial.call("touch x", DENIED, "accept", FINE)
    assert trial.runs == [True, False]
    (question,) = trial.questions
    assert question.reason == "command failed; retry without sandbox?"
    assert question.proposed_execpolicy_amendment == ["touch", "x"]


def test_a_no_to_the_second_try_is_told_to_the_model(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "on-failure")
    with pytest.raises(CallFailed, match=DECLINED):
        trial.call("touch x", DENIED, "decline")
    assert trial.runs == [True]


@pytest.mark.parametrize("policy", ["on-request", "never"])
def test_other_policies_give_the_failure_to_the_model(tmp_path: Path, policy: str) -> None:
    trial = Trial(tmp_path, policy)
    assert "Read-only file system" in trial.call("touch x", DENIED)
    assert trial.runs == [True]
    assert not trial.questions


def test_a_failure_of_its_own_is_no_reason_to_ask(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "on-failure")
    trial.call("false", Ended("", 1, 0.1))
    assert not trial.questions


def test_what_the_sandbox_stopped_at_once_runs_again_when_somebody_allows_it(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "on-failure")
    output = trial.call("touch x", executed(denied=True), "accept", executed(), tool="exec_command")
    assert "exited with code 0" in output
    assert trial.runs == [True, False]
    with pytest.raises(CallFailed, match="rejected by user"):
        trial.call("touch y", executed(denied=True), "decline", tool="exec_command")
    trial = Trial(tmp_path, "on-request")
    assert "exited with code 1" in trial.call("touch x", executed(denied=True), tool="exec_command")
    assert not trial.questions


def test_a_yes_for_the_session_counts_for_the_second_try(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "on-failure")
    trial.call("touch x", DENIED, "acceptForSession", FINE)
    trial.call("touch x", DENIED, FINE)
    assert trial.runs == [True, False]
    assert not trial.questions


def test_the_same_command_is_known_without_its_shell(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "untrusted")
    trial.call(["touch", "a b"], "acceptForSession", FINE, tool="shell")
    trial.call(["bash", "-lc", "touch 'a b'"], FINE, tool="shell")
    trial.call("touch 'a b'", FINE)
    assert not trial.questions
    trial.call("touch 'a b' && true", "accept", FINE)
    assert len(trial.questions) == 1, "another script"
    trial.call("touch 'a b'", "accept", executed(), tool="exec_command")
    assert len(trial.questions) == 1, "another kind of tool"


def test_a_rule_forbids_what_was_allowed_for_the_session(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "untrusted")
    trial.call("touch x", "acceptForSession", FINE)
    trial.box.judge.grants.rules = Rules((Rule((("touch",),), "forbidden"),))
    with pytest.raises(CallFailed, match="policy forbids"):
        trial.call("touch x")


def keeping(*words: str) -> p.CommandExecutionApprovalDecision:
    return p.CommandExecutionApprovalDecisionObject(
        accept_with_execpolicy_amendment=p.CommandExecutionApprovalDecisionAcceptWithExecpolicyAmendment(
            execpolicy_amendment=list(words)
        )
    )


def test_a_rule_that_cannot_be_kept_is_a_warning(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "untrusted")
    trial.call("touch x", keeping(), FINE)
    (tmp_path / "rules").write_text("a file in the way")
    trial.call("touch y", keeping("touch"), FINE)
    assert trial.runs == [True]
    (warning,) = [event for event in trial.told if isinstance(event, ev.Warning)]
    place = tmp_path / "rules" / "default.rules"
    assert warning.message == f"Failed to apply execpolicy amendment: failed to update rules file {place}: " + (
        "File exists (os error 17)"
    )
    assert not trial.turn.beside
    assert len(Trial(tmp_path, "untrusted").box.judge.grants.rules.rules) == 0


@pytest.mark.parametrize("action", ["allow", "deny"])
def test_an_answer_about_a_host_counts_as_yes_or_no(tmp_path: Path, action: p.NetworkPolicyRuleAction) -> None:
    decision = p.CommandExecutionApprovalDecisionObject(
        apply_network_policy_amendment=p.CommandExecutionApprovalDecisionApplyNetworkPolicyAmendment(
            network_policy_amendment=p.NetworkPolicyAmendment(host="x.org", action=action)
        )
    )
    trial = Trial(tmp_path, "untrusted")
    if action == "allow":
        trial.call("touch x", decision, FINE)
    else:
        with pytest.raises(CallFailed, match=DECLINED):
            trial.call("touch x", decision)


def test_a_kept_rule_holds_from_the_next_command_on(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "untrusted")
    trial.call("touch x", keeping("touch"), FINE)
    trial.call("touch y", FINE)
    assert trial.runs == [False]
    assert not trial.questions


def test_allowed_for_the_session_is_this_command_only(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "untrusted")
    trial.call("touch x", "acceptForSession", FINE)
    trial.call("touch x", FINE)
    assert not trial.questions
    trial.call("touch y", "accept", FINE)
    assert len(trial.questions) == 1


def test_escalation_is_asked_for_with_the_reason_of_the_model(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "on-request")
    trial.call("touch x", "accept", FINE, sandbox_permissions="require_escalated", justification="please")
    assert trial.runs == [False]
    assert trial.questions[0].reason == "please"


def test_nobody_is_asked_to_escalate_under_never(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "never")
    with pytest.raises(CallFailed, match="you should not ask for escalated permissions"):
        trial.call("touch x", sandbox_permissions="require_escalated")


@pytest.mark.parametrize(
    ("sandbox", "why"),
    [("read-only", "writing is blocked by read-only sandbox"), ("workspace-write", "writing outside of the project")],
)
def test_a_patch_that_nobody_may_be_asked_about_is_refused(tmp_path: Path, sandbox: str, why: str) -> None:
    verdict = Trial(tmp_path, "never", sandbox).box.judge.patch(["/etc/x"])
    assert verdict == Refusal(f"patch rejected: {why}; rejected by user approval settings")


MORE = {"sandbox_permissions": "with_additional_permissions"}
DISABLED = "additional permissions are disabled; enable `features.exec_permission_approvals`"


@pytest.mark.parametrize("more", [MORE, {"additional_permissions": {}}, {"additional_permissions": {"network": {}}}])
@pytest.mark.parametrize(
    ("tool", "policy", "told"),
    [
        ("exec_command", "never", "approval policy is Never; reject command"),
        ("exec_command", "on-request", DISABLED),
        ("shell_command", "never", DISABLED),
        ("shell_command", "on-request", DISABLED),
    ],
)
def test_more_permissions_within_the_sandbox_are_refused(
    tmp_path: Path, tool: str, policy: str, told: str, more: dict[str, object]
) -> None:
    trial = Trial(tmp_path, policy)
    with pytest.raises(CallFailed, match=f"^{told}"):
        trial.call("echo x", tool=tool, **more)
    assert trial.ops == []


@pytest.mark.parametrize("tool", ["exec_command", "shell_command"])
def test_login_shells_can_be_forbidden(tmp_path: Path, tool: str) -> None:
    (tmp_path / "config.toml").write_text("allow_login_shell = false")
    trial = Trial(tmp_path, "never", "danger-full-access")
    with pytest.raises(CallFailed, match=r"^login shell is disabled by config"):
        trial.call("ls", tool=tool, login=True)
    trial.call("ls", executed() if tool == "exec_command" else FINE, tool=tool)
    assert trial.ops[0].argv[:2] == ("/bin/bash", "-c")


def test_no_words_are_shown_as_a_command_that_was_declined(tmp_path: Path) -> None:
    trial = Trial(tmp_path, "never")
    with pytest.raises(CallFailed, match=r"^command args are empty$"):
        trial.call([], tool="shell")
    assert trial.ops == []
