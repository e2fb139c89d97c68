"""Rules files: what they may say, what is wrong with them, and adding a rule."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.commands.policy import Allowed, Forbidden, NeedsApproval, Situation, judge
from engine.commands.rules import (
    Rules,
    RulesUnreadable,
    append_rule,
    commands_of,
    load_rules,
    parse_rules,
)
from engine.commands.rules_file import Decision, Rule, RulesError
from engine.commands.words import heredoc_command


def rules(text: str) -> Rules:
    return parse_rules(text, Path("/h/rules/my.rules"))


def decision(given: Rules, argv: Sequence[str]) -> Decision | None:
    """What the rules say, where nothing else has anything to say."""
    match judge(argv, Situation(approval="on-failure", unrestricted=False), given):
        case Forbidden():
            return "forbidden"
        case NeedsApproval():
            return "prompt"
        case Allowed(by_rule=by_rule):
            return "allow" if by_rule else None


TEXT = """
# things I trust
WORDS = ["mk", "dir"]
prefix_rule(pattern=["touch"], decision="allow")
prefix_rule(["git", ["push", "fetch"]], "prompt", justification="careful")
prefix_rule(
    pattern = ["rm", "-rf"],
    decision = "forbidden",
    match = ["rm -rf x", ["rm", "-rf", "y"]],
    not_match = ["rm x"],
)
prefix_rule(pattern=WORDS + ["now" + "!"])
host_executable(name="tool", paths=["/opt/x/tool"])
prefix_rule(pattern=["tool"])
network_rule(host="example.com", protocol="https", decision="allow")
"""


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("touch a", "allow"),
        ("touch", "allow"),
        ("touched a", None),
        ("git push", "prompt"),
        ("git fetch x", "prompt"),
        ("git pull", None),
        ("git", None),
        ("rm -rf x", "forbidden"),
        ("rm x", None),
        ("mk dir now! x", "allow"),
        ("touch a && mkdir b", None),
        ("touch a && touch b", "allow"),
        ("touch a && git push", "prompt"),
        ("mkdir b && git push && rm -rf x", "forbidden"),
        ("/usr/bin/touch a", "allow"),
        ("./touch a", None),
        ("/opt/x/tool a", "allow"),
        ("/opt/y/tool a", None),
        ("tool a", "allow"),
        ("touch $X", None),
        ("rm -rf x <<E\nE", "forbidden"),
    ],
)
def test_the_strictest_rule_decides(script: str, expected: Decision | None) -> None:
    assert decision(rules(TEXT), ("bash", "-lc", script)) == expected


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [
        ('\nprefix_rule(pattern=["touch"]', "Parse error", 2),
        ("frobnicate(1)", "Variable `frobnicate` not found", 1),
        ('prefix_rule(pattern=["x"], decision="maybe")', "invalid decision: maybe", 1),
        ("\n\nprefix_rule(pattern=[])", "pattern cannot be empty", 3),
        ('prefix_rule(pattern="x")', 'expected `list`, actual `string (repr: "x")`', 1),
        ('prefix_rule(pattern=["x", 3])', "must be a string or list of strings", 1),
        ('prefix_rule(pattern=[["x"], []])', "pattern alternatives cannot be empty", 1),
        ('prefix_rule(pattern=["x"], justification=" ")', "justification cannot be empty", 1),
        ('prefix_rule(pattern=["x"], match=["y z"])', "expected every example to match", 1),
        ('prefix_rule(pattern=["x"], not_match=["x y"])', 'matched_prefix: ["x"], decision: Allow, ', 1),
        ("prefix_rule(pattern=['x'], match=['x \"y'])", "invalid example: example string has invalid shell", 1),
        ('prefix_rule(pattern=["x"], zzz=1)', "Found `zzz` extra named parameter", 1),
        ("prefix_rule(1, 2, 3, 4, 5, 6)", "extra positional", 1),
        ("import os", "only calls of rules and assignments", 1),
        ("x = __import__('os')", "is not understood", 1),
        ("x = [y for y in z]", "is not understood", 1),
        ("prefix_rule(pattern=[().__class__])", "is not understood", 1),
        ("prefix_rule(*x)", "is not understood", 1),
        ("prefix_rule()", "Missing parameter `pattern` for call to `prefix_rule`", 1),
        ("x = [1, y]", "Variable `y` not found", 1),
        ('network_rule("h", "ftp", "deny")', "must be one of http, https, socks5_tcp, socks5_udp (got ftp)", 1),
        ("prefix_rule(**x)", "extra named parameter", 1),
        ('host_executable(name="a/b", paths=[])', "must be a bare executable name (got a/b)", 1),
        ('host_executable(name="a", paths=["b"])', "paths must be absolute (got b)", 1),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, reason: str, line: int) -> None:
    with pytest.raises(RulesError) as caught:
        rules(text)
    assert reason in caught.value.reason
    assert caught.value.span.line == line
    assert str(caught.value).startswith("failed to parse rules file /h/rules/my.rules: ")


def test_the_place_is_shown() -> None:
    with pytest.raises(RulesError) as caught:
        rules('x = 1\nprefix_rule(\n  ["é"], "no")\n')
    assert caught.value.reason == (
        "starlark error: Traceback (most recent call last):\n"
        "  * /h/rules/my.rules:2, in <module>\n"
        "      prefix_rule(\n"
        "error: invalid decision: no\n"
        " --> /h/rules/my.rules:2:1\n"
        "  |\n"
        "2 | / prefix_rule(\n"
        '3 | |   ["é"], "no")\n'
        "  | |______________^\n"
        "  |\n"
    )
    with pytest.raises(RulesError) as caught:
        rules("\n" * 9 + 'y = "é" + z')
    assert caught.value.reason == (
        "starlark error: error: Variable `z` not found\n"
        "  --> /h/rules/my.rules:10:11\n"
        "   |\n"
        '10 | y = "é" + z\n'
        "   |           ^\n"
        "   |\n"
    )


def test_all_files_of_all_folders_count(tmp_path: Path) -> None:
    for folder, name, word in (("home", "a.rules", "x"), ("home", "b.rules", "y"), ("project", "c.rules", "z")):
        (tmp_path / folder / "rules").mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "rules" / name).write_text(f'prefix_rule(pattern=["{word}"])\n')
    (tmp_path / "home/rules/notes.txt").write_text("not a rule")
    found = load_rules(tmp_path / "home", tmp_path / "project", tmp_path / "nowhere")
    assert [rule.pattern for rule in found.rules] == [(("x",),), (("y",),), (("z",),)]
    assert found.problem is None


@pytest.mark.parametrize(
    "broken", [b"frobnicate()", b"x(" * 3000, b"-" * 100_000 + b"1", b'prefix_rule(pattern=["\\ud800"])']
)
def test_one_broken_file_means_no_rules(tmp_path: Path, broken: bytes) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/a.rules").write_text('prefix_rule(pattern=["x"], decision="allow")\n')
    (tmp_path / "rules/b.rules").write_bytes(broken)
    found = load_rules(tmp_path)
    assert found.rules == ()
    assert found.problem is not None
    assert found.problem.path == tmp_path / "rules/b.rules"


def test_rules_that_cannot_be_read_are_no_absence_of_rules(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/folder.rules").mkdir()
    assert load_rules(tmp_path).rules == ()
    (tmp_path / "rules/b.rules").write_bytes(b"\xff")
    with pytest.raises(RulesUnreadable, match=r"read rules file .*b\.rules: stream did not contain valid UTF-8"):
        load_rules(tmp_path)
    (tmp_path / "home").mkdir()
    (tmp_path / "home/rules").touch()
    with pytest.raises(RulesUnreadable, match=r"failed to read rules files from .*: Not a directory \(os error 20\)"):
        load_rules(tmp_path / "home")


def test_a_rule_is_added_once(tmp_path: Path) -> None:
    append_rule(tmp_path, ["touch"])
    append_rule(tmp_path, ['say "hi"', "ä\\"])
    append_rule(tmp_path, ["touch"])
    file = tmp_path / "rules/default.rules"
    assert file.read_text() == (
        'prefix_rule(pattern=["touch"], decision="allow")\n'
        'prefix_rule(pattern=["say \\"hi\\"", "ä\\\\"], decision="allow")\n'
    )
    assert decision(load_rules(tmp_path), ('say "hi"', "ä\\", "x")) == "allow"


def test_a_missing_line_end_is_made_good(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/default.rules").write_text("# mine")
    append_rule(tmp_path, ["touch"])
    assert (
        tmp_path / "rules/default.rules"
    ).read_text() == '# mine\nprefix_rule(pattern=["touch"], decision="allow")\n'


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("cat <<EOF\nx\nEOF", ("cat",)),
        ("cat <<'EOF'\n$(x)\nEOF\n", ("cat",)),
        ('cat -n <<"EOF"\nx\nEOF', ("cat", "-n")),
        ("cat <<EOF\n$(x)\nEOF", None),
        ("cat <<EOF\n`x`\nEOF", None),
        ("cat <<EOF\nx\nEOF\nrm x", None),
        ("cat <<EOF > f\nx\nEOF", None),
        ("cat a && cat <<EOF\nx\nEOF", None),
        ("cat <<EOF\nx", None),
        ("cat x", None),
        ("cat <<<x", None),
        ("$X <<EOF\nEOF", None),
    ],
)
def test_the_command_before_a_here_document(script: str, words: tuple[str, ...] | None) -> None:
    assert heredoc_command(script) == words


@pytest.mark.parametrize(
    ("script", "fed"),
    [
        ("cat > x <<'EOF'\nhi\nEOF", True),
        ("cat <<'EOF' >> x\nhi\nEOF\n", True),
        ("cat <<-EOF 2>/dev/null\n\t$HOME\n\tEOF", True),
        ("A=1 cat <<EOF\nhi\nEOF", True),
        ("cat <<EOF > x\n$(ls)\nEOF", False),
        ("cat <<'EOF' > x\nhi\nEOF\necho done", False),
        ("cat <<'EOF' > x && ls\nhi\nEOF", False),
        ("mkdir d && cat <<'EOF' > x\nhi\nEOF", False),
        ("cat <<'EOF'\nhi", False),
        ('cat "a$b" <<EOF\nhi\nEOF', False),
        ("cat < x", False),
    ],
)
def test_a_document_that_goes_to_a_file_is_no_case_for_a_rule(script: str, fed: bool) -> None:
    argv = ("bash", "-lc", script)
    assert commands_of(argv) == ([argv], fed)
    cat = Rules((Rule((("cat",),)),))
    assert not any(cat.matches(command) for command in commands_of(argv)[0])
