"""What commands are said to do: the reference's answers, and what is better left unknown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.commands import parse_command
from engine.commands.words import plain_commands, script_of
from projections.item_parts import command_actions
from projections.quoting import join
from rollouts import events as ev

CASES = json.loads((Path(__file__).parents[1] / "fixtures/commands/actions.json").read_text())["cases"]


def script(text: str) -> tuple[str, ...]:
    return ("bash", "-lc", text)


@pytest.mark.parametrize("case", CASES, ids=[str(case["command"]) for case in CASES])
def test_actions_are_those_of_the_reference(case: dict[str, Any]) -> None:
    command = case["command"]
    argv = script(command) if isinstance(command, str) else command
    assert msgspec.to_builtins(command_actions(parse_command(argv), "/w")) == case["actions"]


@pytest.mark.parametrize(
    ("command", "path"), [("cat a\\ b.txt", "a b.txt"), ('cat "a\\"b"', 'a"b'), ("cat a\\\nb", "ab")]
)
def test_escapes_are_taken_off_as_a_shell_does(command: str, path: str) -> None:
    (part,) = parse_command(script(command))
    assert isinstance(part, ev.ParsedRead)
    assert part.path == path


def words(text: str) -> list[tuple[str, ...]] | None:
    commands = plain_commands(text)
    return None if commands is None else [command.words for command in commands]


def test_a_script_of_plain_commands() -> None:
    commands = plain_commands("cd src && ls -la|head -n 3; cat 'a b' \"c\"d\n\ngrep x y ||\n true\n")
    assert commands is not None
    assert [(command.joint, *command.words) for command in commands] == [
        ("", "cd", "src"),
        ("&&", "ls", "-la"),
        ("|", "head", "-n", "3"),
        (";", "cat", "a b", "cd"),
        (";", "grep", "x", "y"),
        ("||", "true"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "\n", ";", "&& ls", "ls &&", "ls |", "ls ; ; ls", "ls && ; ls", "ls ;; ls", "ls |& cat"),
        *("ls &", "ls & cat", "ls > f", "ls >> f", "cat < f", "cat <<E\nx\nE", "cat <<<x", "ls 2>&1"),
        *("echo $X", 'echo "$X"', "echo `x`", 'echo "`x`"', "echo $(x)", "echo $((1))", "cat <(ls)", "echo ${X}"),
        *("(ls)", "{ ls; }", "f() { ls; }", "if x; then ls; fi", "for i in a; do ls; done", "while x; do y; done"),
        *("X=1 ls", "X=1", "X+=1 ls", "a[1]=2 ls", "! ls", "[[ -f x ]]", "select x in y; do z; done"),
        *("'ls' x", '"ls" x', "l\\s x", "l''s", "ls 'x", 'ls "x', "ls x\\", "ls # note", "#x", "ls {a,b}"),
        *(
            "find . -{delete,x}",
            "find . {-delete,'x'}",
            "ls '{'}",
            "ls \r\n",
            "ls \0",
            "echo $'x'",
            'echo $"x"',
            "case x in y) z;; esac",
        ),
    ],
)
def test_a_script_that_does_more_is_not_plain(text: str) -> None:
    assert words(text) is None


def test_patterns_that_may_become_options_are_marked() -> None:
    commands = plain_commands("find * ; ls src/*.py; ls '*'; rg [a]; find ''*; find -d*")
    assert commands is not None
    assert [command.opens_with_pattern for command in commands] == [True, False, False, True, True, True]


@given(st.lists(st.text(st.sampled_from("ab' \"\\$`*#~&|;<>(){}\n=!"), max_size=6), min_size=1, max_size=4))
def test_quoted_words_come_back(arguments: list[str]) -> None:
    assert words(join(("cat", *arguments))) in ([("cat", *arguments)], None)


@given(st.text(st.sampled_from("ab '\"\\$&|;\n#*"), max_size=12))
def test_any_script_is_summarised(text: str) -> None:
    parts = parse_command(script(text))
    assert all(isinstance(part, ev.ParsedUnknown) for part in parts) or plain_commands(text) is not None


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (("bash", "-lc", "ls"), "ls"),
        (("/usr/bin/zsh", "-c", "ls"), "ls"),
        (("bash", "-lic", "ls"), None),
        (("bash", "-lc", "ls", "x"), None),
        (("fish", "-c", "ls"), None),
        (("ls",), None),
    ],
)
def test_which_commands_are_scripts(argv: tuple[str, ...], found: str | None) -> None:
    assert script_of(argv) == found
