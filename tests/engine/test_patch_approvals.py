"""Patches that could not be written under a sandbox: who is asked whether they may be written without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.approvals import RETRY
from engine.calls.ops import Applied, ApplyPatch, VerifyPatch
from engine.calls.patch import apply_patch
from engine.patch.parse import parse
from engine.patch.plan import verify
from engine.turn.machine import Run
from engine.turn.ops import Ask
from engine.turn.replies import CallFailed
from projections import protocol as p
from rollouts import events as ev
from tests.engine.patches import framed
from tests.engine.test_approvals import Trial

STOPPED = Applied("Failed to write file x\n", success=False, diff=None, seconds=0.0, unwritten=True)
FAILED = Applied("Failed to delete file x\n", success=False, diff=None, seconds=0.0)
DONE = Applied("Success.\n", success=True, diff=None, seconds=0.0)


class PatchTrial(Trial):
    """One patch of a new file; `answers` holds outcomes of attempts and decisions, in order."""

    def patch(self, *answers: Applied | p.FileChangeApprovalDecision, path: str = "x") -> str:
        self.turn, self.ops = self._turn(), []
        script = apply_patch(self.box, self.turn, "c", framed(f"*** Add File: {path}", "+x"), str(self.home))
        given: Iterator[Any] = iter(answers)
        outcome: Any = None
        try:
            while True:
                effect = script.send(outcome)
                assert isinstance(effect, Run)
                self.ops.append(effect.op)
                match effect.op:
                    case VerifyPatch(text=text, cwd=cwd):
                        outcome = verify(parse(text), cwd, lambda path: "", home="/home/me")
                    case Ask():
                        outcome = p.FileChangeRequestApprovalResponse(decision=next(given))
                    case _:
                        outcome = next(given)
        except StopIteration as end:
            return str(end.value)
        except CallFailed as failed:
            return failed.text

    @property
    def runs(self) -> list[bool]:
        return [op.sandboxed for op in self.ops if isinstance(op, ApplyPatch)]

    @property
    def reasons(self) -> list[str | None]:
        """Of each question."""
        found = [op.params for op in self.ops if isinstance(op, Ask)]
        return [each.reason for each in found if isinstance(each, p.FileChangeRequestApprovalParams)]


def test_a_yes_lets_a_patch_be_written_without_the_sandbox(tmp_path: Path) -> None:
    trial = PatchTrial(tmp_path, "on-request", "workspace-write")
    assert '"exit_code":0' in trial.patch(STOPPED, "accept", DONE)
    assert (trial.runs, trial.reasons) == ([True, False], [RETRY])
    assert [event.text for event in trial.told if isinstance(event, ev.PatchOutput)] == [STOPPED.text]


def test_a_no_leaves_the_patch_unwritten(tmp_path: Path) -> None:
    trial = PatchTrial(tmp_path, "on-failure", "workspace-write")
    assert trial.patch(STOPPED, "decline") == "patch rejected by user"
    assert trial.runs == [True]


def test_a_yes_for_the_session_does_not_answer_the_next_retry(tmp_path: Path) -> None:
    trial = PatchTrial(tmp_path, "on-request", "workspace-write")
    trial.patch(STOPPED, "acceptForSession", DONE)
    trial.patch(STOPPED, "accept", DONE)
    assert trial.reasons == [RETRY]


def test_what_was_approved_is_tried_again_unasked(tmp_path: Path) -> None:
    trial = PatchTrial(tmp_path, "on-request", "read-only")
    assert '"exit_code":1' in trial.patch("accept", STOPPED, STOPPED)
    assert trial.reasons == [None]


@pytest.mark.parametrize(
    ("policy", "sandbox", "outcome"),
    [
        ("never", "workspace-write", STOPPED),
        ("on-request", "danger-full-access", STOPPED),
        ("on-request", "workspace-write", FAILED),
    ],
)
def test_nobody_is_asked_where_that_is_no_matter_of_the_sandbox(
    tmp_path: Path, policy: str, sandbox: str, outcome: Applied
) -> None:
    trial = PatchTrial(tmp_path, policy, sandbox)
    assert '"exit_code":1' in trial.patch(outcome)
    assert trial.reasons == []
