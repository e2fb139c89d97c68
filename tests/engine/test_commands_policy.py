"""May a command run: the reference's verdicts by policy, sandbox and rules, and where ours are stricter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.commands.policy import (
    Allowed,
    Forbidden,
    NeedsApproval,
    Situation,
    judge,
    may_escalate,
    refuse_escalation,
)
from engine.commands.rules import Rules, parse_rules
from engine.commands.safety import is_known_safe, might_be_dangerous
from projections import protocol as p

FIXTURES = Path(__file__).parents[1] / "fixtures/commands"
VERDICTS = json.loads((FIXTURES / "verdicts.json").read_text())
SAFE = json.loads((FIXTURES / "safe.json").read_text())["cases"]
RULES = parse_rules(VERDICTS["rules"], Path("my.rules"))

STRICTER = [
    "uniq a b",
    "git -p log",
    "git --paginate log",
    "./ls",
    "/tmp/x/cat f",
    "find *",
    "find . -\\exec rm",
    "rg -zl x",
    "base64 -Do x",
]


def argv(command: str | list[str]) -> tuple[str, ...]:
    return ("bash", "-lc", command) if isinstance(command, str) else tuple(command)


def approval(policy: object) -> p.AskForApproval:
    found: p.AskForApproval = msgspec.convert(policy, p.AskForApproval)
    return found


def verdict(case: dict[str, Any]) -> dict[str, Any]:
    policy = approval(case["approval"])
    if case.get("escalated") and not may_escalate(policy):
        return {"refused": refuse_escalation(policy, "should not")}
    situation = Situation(
        approval=policy,
        unrestricted=case["sandbox"] == "danger-full-access",
        escalated=case.get("escalated", False),
        prefix=tuple(case["prefix"]) if "prefix" in case else None,
    )
    match judge(argv(case["command"]), situation, RULES if case["rules"] else Rules()):
        case Forbidden(text):
            return {"refused": text}
        case NeedsApproval(reason, amendment):
            return {"ask": {"reason": reason, "amendment": amendment and list(amendment)}}
    return {"run": True}


def named(case: dict[str, Any]) -> str:
    policy = case["approval"] if isinstance(case["approval"], str) else "granular"
    return f"{policy}-{case['sandbox']}-{'rules' if case['rules'] else 'none'}-{case['command']}"


@pytest.mark.parametrize("case", VERDICTS["cases"], ids=named)
def test_verdicts_are_those_of_the_reference(case: dict[str, Any]) -> None:
    expected = {key: case[key] for key in ("ask", "run", "refused") if key in case}
    assert verdict(case) == expected


@pytest.mark.parametrize("case", SAFE, ids=[str(case["command"]) for case in SAFE])
def test_safe_commands_are_those_of_the_reference(case: dict[str, Any]) -> None:
    assert is_known_safe(argv(case["command"])) == (case["safe"] and case["command"] not in STRICTER)


@pytest.mark.parametrize(
    "script",
    [
        *("git log --outp=x", "git log --ext-dif", "git --exec=x status", "git --git-di x status", "base64 --out=x"),
        *("find ''*", "find . -d*", "git status *", "cat f | find *", "/repo/bin/cat f", "bash -c 'rm x'"),
        *("find . -files0-from x", "rg --pre=x y", "git branch --list x", "sed -n 1,2p a b c", "sed -n w a"),
    ],
)
def test_what_might_be_walked_around_is_not_safe(script: str) -> None:
    assert not is_known_safe(argv(script))


def test_no_command_is_not_safe() -> None:
    assert not is_known_safe(())
    assert not is_known_safe(argv(""))


@pytest.mark.parametrize(
    ("command", "dangerous"),
    [("rm -rf x", True), ("ls && rm -f x", True), ("sudo rm -rf /", True), ("rm x", False), ("echo rm -rf", False)],
)
def test_what_is_dangerous(command: str, dangerous: bool) -> None:
    assert might_be_dangerous(argv(command)) is dangerous


@pytest.mark.parametrize(
    ("script", "by_rule"),
    [
        ("touch a", True),
        ("touch a && mkdir b", False),
        ("touch c && cat f", False),
        ("touch c; touch d", True),
        ("touch e <<E\nE", True),
        ("touch e <<E\n$(rm x)\nE", False),
        ("cat f", False),
    ],
)
def test_the_sandbox_is_left_when_rules_allow_every_command(script: str, by_rule: bool) -> None:
    rules = parse_rules('prefix_rule(pattern=["touch"], decision="allow")', Path("x"))
    situation = Situation(approval="on-request", unrestricted=False)
    assert judge(argv(script), situation, rules) == Allowed(by_rule=by_rule)


@pytest.mark.parametrize("prefix", [("python3",), ("bash",), ("sudo",), ("node", "-e"), ("git",), ("env",)])
def test_a_rule_for_everything_is_never_proposed(prefix: tuple[str, ...]) -> None:
    situation = Situation(approval="on-request", unrestricted=False, escalated=True, prefix=prefix)
    asked = judge((*prefix, "x"), situation, Rules())
    assert asked == NeedsApproval(amendment=(*prefix, "x"))
