"""May this command line run? What rules, the lists of safe and dangerous commands and the approval policy say together.

Pure. Every command of a plain script is looked at by itself: the rules for it, or else what the policy says of a
command without rules; the strictest word on any of them decides. The table of outcomes was taken from the reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from engine.commands.rules import Rules, commands_of
from engine.commands.rules_file import STRICTNESS, Decision, Rule
from engine.commands.safety import is_known_safe, might_be_dangerous
from projections import protocol as p
from projections.quoting import join

Words = tuple[str, ...]

_CODE_OPTIONS = {
    **dict.fromkeys(("python", "python3", "py", "pypy", "pypy3", "pythonw", "pyw"), ("-", "-c", "-3")),
    **dict.fromkeys(("bash", "sh", "zsh", "dash", "ksh", "fish", "/bin/bash", "/bin/sh", "/bin/zsh"), ("-c", "-lc")),
    **dict.fromkeys(("pwsh", "powershell", "powershell.exe"), ("-c", "-Command")),
    **dict.fromkeys(("node", "perl", "ruby", "lua"), ("-e",)),
    **dict.fromkeys(("git", "env", "sudo", "osascript"), ()),
    "php": ("-r",),
}
"""Programs that run anything: to allow them as a whole is never proposed, nor with an option that takes code."""


class Situation(msgspec.Struct, frozen=True):
    """Under what a command is judged."""

    approval: p.AskForApproval
    unrestricted: bool
    """Whether commands run without a sandbox of ours."""
    escalated: bool = False
    """Whether the model asks to leave the sandbox."""
    prefix: Words | None = None
    """The rule that the model proposes for later commands."""


class Allowed(msgspec.Struct, frozen=True):
    """It may run; `by_rule`: rules allow all of it, so it needs no sandbox."""

    by_rule: bool = False


class NeedsApproval(msgspec.Struct, frozen=True):
    """Somebody must be asked. `reason` is that of a rule, None to give the model's; `amendment` is the prefix that
    may be allowed for good, None for none."""

    reason: str | None = None
    amendment: Words | None = None


class Forbidden(msgspec.Struct, frozen=True):
    """It must not run; the text is for the model."""

    text: str


class _Word(msgspec.Struct, frozen=True):
    """What is said of one command; `rule` None when no rule is about it."""

    command: Words
    decision: Decision
    rule: Rule | None = None
    begin: Words = ()


def judge(argv: Sequence[str], situation: Situation, rules: Rules) -> Allowed | NeedsApproval | Forbidden:
    """May this command line run, must somebody be asked, or is it forbidden?"""
    commands, complex_script = commands_of(argv)
    words = [word for command in commands for word in _words(command, complex_script, situation, rules)]
    strictest = max((word.decision for word in words), key=STRICTNESS.index)
    if strictest == "forbidden":
        return Forbidden(_forbidden(argv, words))
    if strictest == "prompt":
        refusal = _may_not_ask(situation.approval, by_rule=_leading(words, "prompt") is not None)
        if refusal is not None:
            return Forbidden(refusal)
        amendment = _amendment(commands, complex_script, situation, rules, words)
        return NeedsApproval(reason=_prompt_reason(argv, words), amendment=amendment)
    ruled = {word.command for word in words if word.rule is not None}
    return Allowed(by_rule=all(command in ruled for command in commands))


def may_escalate(approval: p.AskForApproval) -> bool:
    """May the model ask to leave the sandbox at all? (Else the call is refused, see `refuse_escalation`.)"""
    return approval == "on-request"


def refuse_escalation(approval: p.AskForApproval, verb: str = "cannot") -> str:
    """The text for a model that asks to leave the sandbox where it may not; the `shell` tools say `should not`."""
    name = _DEBUG_NAMES[approval] if isinstance(approval, str) else _granular_name(approval)
    return (
        f"approval policy is {name}; reject command — you {verb} ask for escalated permissions if the approval policy"
        f" is {name}"
    )


def _words(command: Words, complex_script: bool, situation: Situation, rules: Rules) -> Iterator[_Word]:
    matches = rules.matches(command)
    for rule, begin in matches:
        yield _Word(command, rule.decision, rule, begin)
    if not matches:
        yield _Word(command, _without_rule(command, complex_script, situation))


def _without_rule(command: Words, complex_script: bool, situation: Situation) -> Decision:
    approval = situation.approval
    if is_known_safe(command) and not complex_script:
        return "allow"
    if might_be_dangerous(command):
        if approval != "never":
            return "prompt"
        return "allow" if situation.unrestricted else "forbidden"
    if approval in ("never", "on-failure"):
        return "allow"
    if approval == "untrusted":
        return "prompt"
    return "prompt" if situation.escalated and not situation.unrestricted else "allow"


def _leading(words: Sequence[_Word], decision: Decision) -> _Word | None:
    """The word of the most specific rule that decides so."""
    said = [word for word in words if word.rule is not None and word.decision == decision]
    return max(said, key=lambda word: len(word.begin), default=None)


def _forbidden(argv: Sequence[str], words: Sequence[_Word]) -> str:
    line = join(argv)
    word = _leading(words, "forbidden")
    if word is None or word.rule is None:
        return f"`{line}` rejected: blocked by policy"
    if word.rule.justification is not None:
        return f"`{line}` rejected: {word.rule.justification}"
    return f"`{line}` rejected: policy forbids commands starting with `{join(word.begin)}`"


def _prompt_reason(argv: Sequence[str], words: Sequence[_Word]) -> str | None:
    word = _leading(words, "prompt")
    if word is None or word.rule is None:
        return None
    if word.rule.justification is not None:
        return f"`{join(argv)}` requires approval: {word.rule.justification}"
    return f"`{join(argv)}` requires approval by policy"


def _may_not_ask(approval: p.AskForApproval, *, by_rule: bool) -> str | None:
    if approval == "never":
        return "approval required by policy, but AskForApproval is set to Never"
    if isinstance(approval, str):
        return None
    if by_rule and not approval.granular.rules:
        return "approval required by policy rule, but AskForApproval::Granular.rules is false"
    if not by_rule and not approval.granular.sandbox_approval:
        return "approval required by policy, but AskForApproval::Granular.sandbox_approval is false"
    return None


def _amendment(
    commands: Sequence[Words], complex_script: bool, situation: Situation, rules: Rules, words: Sequence[_Word]
) -> Words | None:
    """The prefix to propose: the model's when it would settle the matter, else the first command that needs asking."""
    prefix = situation.prefix
    if prefix and not _runs_anything(prefix) and not any(word.rule is not None for word in words):
        allowed = rules.allowing(prefix)
        after = [word for command in commands for word in _words(command, complex_script, situation, allowed)]
        if all(word.decision == "allow" for word in after):
            return prefix
    if complex_script or _leading(words, "prompt") is not None:
        return None
    return next((word.command for word in words if word.decision == "prompt"), None)


def _runs_anything(prefix: Words) -> bool:
    options = _CODE_OPTIONS.get(prefix[0])
    return options is not None and all(word in options for word in prefix[1:])


_DEBUG_NAMES = {
    "never": "Never",
    "on-failure": "OnFailure",
    "on-request": "OnRequest",
    "untrusted": "UnlessTrusted",
}


def _granular_name(approval: p.AskForApproval) -> str:
    members = msgspec.to_builtins(approval)["granular"]
    listed = ", ".join(f"{key}: {str(value).lower()}" for key, value in members.items())
    return f"Granular(GranularApprovalConfig {{ {listed} }})"
