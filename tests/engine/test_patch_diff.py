"""Unified diffs of two texts: the hunks the reference shows, and that git can apply them."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.patch.diff import unified
from engine.patch.edits import Change, changes
from tests.engine.patches import LINES, TEXTS, write_tree

UNENDED = "\\ No newline at end of file\n"


@pytest.mark.parametrize(
    ("old", "new", "hunks"),
    [
        ("", "", ""),
        ("a\n", "a\n", ""),
        ("0\n", "1\n", "@@ -1 +1 @@\n-0\n+1\n"),
        ("", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n"),
        ("a\n", "", "@@ -1 +0,0 @@\n-a\n"),
        ("a\nb\nc\nd\n", "a\nb\nX\nd\n", "@@ -2,3 +2,3 @@\n b\n-c\n+X\n d\n"),
        ("a\nb\nc\nd\n", "A\nb\nc\nD\n", "@@ -1,4 +1,4 @@\n-a\n+A\n b\n c\n-d\n+D\n"),
        ("a\nb\nc\nd\ne\n", "A\nb\nc\nd\nE\n", "@@ -1,2 +1,2 @@\n-a\n+A\n b\n@@ -4,2 +4,2 @@\n d\n-e\n+E\n"),
        ("a", "b\n", f"@@ -1 +1 @@\n-a\n{UNENDED}+b\n"),
        ("a\nb", "A\nb", f"@@ -1,2 +1,2 @@\n-a\n+A\n b\n{UNENDED}"),
        ("a\r\nb\r\n", "a\r\nc\n", "@@ -1,2 +1,2 @@\n a\r\n-b\r\n+c\n"),
        # An added block slides down as far as it goes.
        ("{\na\n}\n{\nb\n}\n", "{\na\n}\n{\nx\n}\n{\nb\n}\n", "@@ -4,2 +4,5 @@\n {\n+x\n+}\n+{\n b\n"),
        ("a\n", "a\na\n", "@@ -1 +1,2 @@\n a\n+a\n"),
        # Removed lines stay where the search finds them: from the front.
        ("a\na\n", "a\n", "@@ -1,2 +1 @@\n a\n-a\n"),
    ],
)
def test_hunks_with_one_line_of_context(old: str, new: str, hunks: str) -> None:
    assert unified(old, new, 1) == hunks


def test_three_lines_of_context_join_what_six_lines_part() -> None:
    old = "".join(f"{number}\n" for number in range(9))
    new = old.replace("0", "x").replace("7", "y")
    assert unified(old, new, 3).count("@@ -") == 1
    assert unified(old, new.replace("y", "7").replace("8", "z"), 3).count("@@ -") == 2


@given(st.lists(LINES), st.lists(LINES))
def test_changes_tell_the_whole_story(old: list[str], new: list[str]) -> None:
    at = 0
    rebuilt: list[str] = []
    for change in changes(old, new):
        assert change.old_start > at or at == 0
        rebuilt += old[at : change.old_start]
        assert change.new_start == len(rebuilt)
        rebuilt += new[change.new_start : change.new_end]
        assert old[change.old_start : change.old_end] != new[change.new_start : change.new_end]
        at = change.old_end
    assert rebuilt + old[at:] == new


@given(st.lists(LINES, max_size=8), st.lists(LINES, max_size=8))
def test_the_script_is_as_short_as_can_be(old: list[str], new: list[str]) -> None:
    found = changes(old, new)
    size = sum(change.old_end - change.old_start + change.new_end - change.new_start for change in found)
    common = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i, line in enumerate(old):
        for j, other in enumerate(new):
            common[i + 1][j + 1] = common[i][j] + 1 if line == other else max(common[i][j + 1], common[i + 1][j])
    assert size == len(old) + len(new) - 2 * common[-1][-1]


def test_past_the_budget_a_diff_is_longer_but_true() -> None:
    old = [f"a{number}" for number in range(50)]
    new = [f"b{number}" if number % 2 else f"a{number}" for number in range(50)]
    assert len(changes(old, new)) == 25
    assert changes(old, new, budget=10) == [Change(1, 50, 1, 50)]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS, st.booleans(), st.booleans()), min_size=1, max_size=8), st.sampled_from([1, 3]))
def test_git_applies_the_hunks(pairs: list[tuple[str, str, bool, bool]], context: int) -> None:
    old = {str(n): text.removesuffix("\n" if cut else "") for n, (text, _, cut, _) in enumerate(pairs)}
    new = {str(n): text.removesuffix("\n" if cut else "") for n, (_, text, _, cut) in enumerate(pairs)}
    hunks = {name: unified(old[name], new[name], context) for name in old}
    diff = "".join(f"--- a/{name}\n+++ b/{name}\n{text}" for name, text in hunks.items() if text)
    with tempfile.TemporaryDirectory() as folder:
        write_tree(Path(folder), old)
        if diff:
            subprocess.run(["git", "apply", "-"], cwd=folder, input=diff.encode(), check=True)
        assert {path.name: path.read_bytes().decode() for path in Path(folder).iterdir()} == new
