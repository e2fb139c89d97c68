"""Who must be asked before a command runs or a patch is written (spec tools 8). Pure.

Decides, never asks: a verdict is a permit, a question for somebody, or a refusal. Whatever is not clearly allowed is
one of the other two.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import msgspec

from engine.commands import policy
from engine.commands.rules import Rules, commands_of
from engine.commands.words import canonical
from engine.permissions.writable import can_write
from engine.settings import Settings
from projections import protocol as p

RETRY = "command failed; retry without sandbox?"
_PATCH_REFUSED = "patch rejected: {}; rejected by user approval settings"
READ_ONLY = _PATCH_REFUSED.format("writing is blocked by read-only sandbox")
OUTSIDE = _PATCH_REFUSED.format("writing outside of the project")


class Escalation(msgspec.Struct, frozen=True):
    """What the model asks for with a command: to leave the sandbox, why, and for which commands from then on."""

    wanted: bool = False
    reason: str | None = None
    prefix: tuple[str, ...] | None = None
    verb: str = "cannot"
    """How a refusal is worded, which depends on the tool."""


class Command(msgspec.Struct, frozen=True):
    """A command that the model wants to run; `tty` is None for tools that know no terminals."""

    argv: tuple[str, ...]
    cwd: str
    escalation: Escalation
    tty: bool | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Commands with one key are the same to somebody who allows one for the session."""
        return canonical(self.argv), self.cwd, self.escalation.wanted, self.tty


class Permit(msgspec.Struct, frozen=True):
    """It may run; `approved`: somebody said so, now or for the session."""

    sandboxed: bool
    approved: bool = False


class Question(msgspec.Struct, frozen=True):
    """Somebody has to say yes; `amendment` is the rule they may keep with it, None for none; `reason` is that of a
    rule that asks, None to give the model's. A yes does not take it out of the sandbox, unless the model asked for
    that."""

    amendment: tuple[str, ...] | None = None
    reason: str | None = None
    sandboxed: bool = False


class Refusal(msgspec.Struct, frozen=True):
    """It must not run; `text` is for the model."""

    text: str


Verdict: TypeAlias = Permit | Question | Refusal


class Grants:
    """What clients allowed for the rest of the session. Ends with the process; restored approvals grant nothing."""

    def __init__(self) -> None:
        self.rules = Rules()
        """Those the session began with, and kept ones. Files that change meanwhile count for later sessions."""
        self._commands: set[tuple[object, ...]] = set()
        self._files: set[str] = set()

    def allow_prefix(self, words: tuple[str, ...]) -> None:
        """Commands that begin so need not be asked about again."""
        self.rules = self.rules.allowing(words)

    def allow_command(self, command: Command) -> None:
        """This very command, here, with these permissions, need not be asked about again."""
        self._commands.add(command.key)

    def allows_command(self, command: Command) -> bool:
        """Whether it was allowed for the session."""
        return command.key in self._commands

    def allow_files(self, paths: Iterable[str]) -> None:
        """Patches of these files need not be asked about again."""
        self._files.update(paths)

    def allows_files(self, paths: Iterable[str]) -> bool:
        """Whether patches of all these files were allowed for the session."""
        return set(paths) <= self._files


class Judge:
    """Decides under the settings of one turn."""

    def __init__(self, settings: Settings, grants: Grants) -> None:
        self.grants = grants
        self._settings = settings

    @property
    def _free(self) -> bool:
        return isinstance(self._settings.sandbox, p.DangerFullAccessSandboxPolicy | p.ExternalSandboxSandboxPolicy)

    def command(self, command: Command) -> Verdict:
        """May this command run?"""
        approval, escalation = self._settings.approval_policy, command.escalation
        sandboxed = not (self._free or escalation.wanted)
        situation = policy.Situation(approval, self._free, escalation.wanted, escalation.prefix)
        match policy.judge(command.argv, situation, self.grants.rules):
            case policy.Allowed(by_rule):
                return Permit(sandboxed and not by_rule)
            case policy.NeedsApproval() if self.grants.allows_command(command):
                return Permit(sandboxed, approved=True)
            case policy.NeedsApproval(reason, amendment):
                return Question(amendment, reason, sandboxed)
            case policy.Forbidden(text):
                return Refusal(text)

    def refused_escalation(self, escalation: Escalation) -> str | None:
        """Why the model may not even ask to leave the sandbox, None if it may."""
        approval = self._settings.approval_policy
        if not escalation.wanted or policy.may_escalate(approval):
            return None
        return policy.refuse_escalation(approval, escalation.verb)

    def retry(self, command: Command, permit: Permit) -> Permit | Question | None:
        """What is needed to run a command again without the sandbox that stopped it; None if nobody may be asked."""
        if self._settings.approval_policy in ("never", "on-request") or not self._may_ask("sandbox_approval"):
            return None
        if permit.approved or self.grants.allows_command(command):
            return msgspec.structs.replace(permit, sandboxed=False)
        commands, complex_script = commands_of(command.argv)
        return Question(None if complex_script else commands[0], RETRY)

    def patch(self, paths: Sequence[str]) -> Verdict:
        """May these files be written?"""
        settings = self._settings
        asked = Permit(sandboxed=False, approved=True) if self.grants.allows_files(paths) else Question()
        if settings.approval_policy == "untrusted":
            return asked
        if all(can_write(settings.sandbox, str(settings.cwd), path, os.environ.get("TMPDIR")) for path in paths):
            return Permit(sandboxed=True)
        if settings.approval_policy == "never" or not self._may_ask("sandbox_approval"):
            return Refusal(READ_ONLY if isinstance(settings.sandbox, p.ReadOnlySandboxPolicy) else OUTSIDE)
        return asked

    def retry_patch(self, permit: Permit) -> Permit | Question | None:
        """What is needed to write a patch again that the sandbox has stopped; None if nobody may be asked. What was
        allowed for the session does not count here (observed)."""
        if self._free or not self._may_ask("sandbox_approval"):
            return None
        return permit if permit.approved else Question(reason=RETRY)

    def _may_ask(self, kind: str) -> bool:
        policy = self._settings.approval_policy
        if isinstance(policy, str):
            return policy != "never"
        return bool(getattr(policy.granular, kind))
