"""How old lines are found in a file: four passes, context lines, the end of the file, several chunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.patch.match import NotFound, patched
from engine.patch.parse import Chunk


def chunk(*lines: str, context: str | None = None, at_end: bool = False) -> Chunk:
    old = tuple(line[1:] for line in lines if line[0] in " -")
    new = tuple(line[1:] for line in lines if line[0] in " +")
    return Chunk(context, old, new, at_end)


FUNCTIONS = "def f():\n    x = 1\n    return x\n\n\ndef g():\n    x = 1\n    return x\n"


@pytest.mark.parametrize(
    ("text", "chunks", "result"),
    [
        # Spaces at the end, then at both ends, are ignored; the patch's own spelling wins.
        ("one  \ntwo\n", [chunk(" one", "-two", "+2")], "one\n2\n"),
        ("  one  \n\ttwo\nthree\n", [chunk(" one", "-two", "+TWO")], "one\nTWO\nthree\n"),
        ("d\u2013ash \u201cq\u201d\nit\u2019s\u00a0so\n", [chunk('-d-ash "q"', "+x", " it's so")], "x\nit's so\n"),
        # A stricter pass wins even further down.
        (" a\nb\na\nb\n", [chunk(" a", "-b", "+B")], " a\nb\na\nB\n"),
        # Context lines.
        (
            FUNCTIONS,
            [chunk("-    x = 1", "+    x = 2", context="def g():")],
            FUNCTIONS.replace("g():\n    x = 1", "g():\n    x = 2"),
        ),
        ("a\n\nb\nb\n", [chunk("-b", "+B", context="")], "a\n\nB\nb\n"),
        # Each chunk is sought after the one before.
        ("x\na\nx\n", [chunk("-a", "+A"), chunk("-x", "+y")], "x\nA\ny\n"),
        # The end of the file, and nowhere else.
        ("last\nlast\n", [chunk("-last", "+LAST", at_end=True)], "last\nLAST\n"),
        ("a\nb\na\n", [chunk("-b", "+B"), chunk("-a", "+A", at_end=True)], "a\nB\nA\n"),
        ("a\nb\n", [chunk("-b", "+B", context="b", at_end=True)], "a\nB\n"),
        # Old lines that end in an empty line are tried without it.
        ("one\ntwo\n", [chunk("-one", "+1", " ")], "1\ntwo\n"),
        ("one\n", [chunk("-one", "+1", "-")], "1\n"),
        ("one\n", [chunk("+zero", " ")], "zero\none\n"),
        # Only additions: at the end, before a trailing empty line, in order.
        ("a\n", [chunk("+b")], "a\nb\n"),
        ("a\n\n", [chunk("+b")], "a\nb\n"),
        ("", [chunk("+b")], "b\n"),
        ("a", [chunk("+b"), chunk("+c")], "a\nb\nc\n"),
        ("a\n", [chunk("+b", context="a")], "a\nb\n"),
        ("a\nb\n", [chunk("+c"), chunk(" b", "+b")], "a\nb\nb\nc\n"),
        # A final newline is there unless nothing is left.
        ("no newline", [chunk("-no newline", "+changed")], "changed\n"),
        ("a\n", [chunk("-a")], ""),
        ("a\n\n", [chunk("-a", "+b")], "b\n"),
        ("a\n\n\n", [chunk("-a", "+b")], "b\n\n"),
        # Line ends of the file stay where the patch does not touch them.
        ("one\r\ntwo\r\n", [chunk("-one", "+1")], "1\ntwo\r\n"),
        # Chunks may share context lines at the end.
        ("1\n2\n3\n", [chunk("-1", "+one", " 2"), chunk(" 2", "-3", "+three", at_end=True)], "one\n2\nthree\n"),
        # Added lines are kept when a chunk before them reaches over the trailing empty line.
        ("a\n\n", [chunk(" a", "-"), chunk("+b")], "a\nb\n"),
    ],
)
def test_where_lines_are_found(text: str, chunks: list[Chunk], result: str) -> None:
    assert patched(text, chunks) == result


@pytest.mark.parametrize(
    ("text", "chunks", "complaint"),
    [
        ("one\n", [chunk("-zzz", "-q", "+x")], "Failed to find expected lines in /w/f:\nzzz\nq"),
        ("one\n", [chunk("-zzz", " ")], "Failed to find expected lines in /w/f:\nzzz\n"),
        ("one\n", [chunk("-one", context="nowhere")], "Failed to find context 'nowhere' in /w/f"),
        ("one\nthree\n", [chunk("-three"), chunk("-one")], "Failed to find expected lines in /w/f:\none"),
        ("a\nb\n", [chunk("-a", at_end=True)], "Failed to find expected lines in /w/f:\na"),
        ("one\n", [chunk("-one", context="one")], "Failed to find expected lines in /w/f:\none"),
        ("", [chunk("-a")], "Failed to find expected lines in /w/f:\na"),
        # Two chunks that change the same line: one of the changes would be lost.
        (
            "a\nb\n",
            [chunk("-a", "-b", "+x"), chunk("-b", "+y", at_end=True)],
            "Failed to find expected lines in /w/f:\nb",
        ),
    ],
)
def test_what_does_not_fit(text: str, chunks: list[Chunk], complaint: str) -> None:
    with pytest.raises(NotFound) as problem:
        patched(text, chunks)
    assert problem.value.describe("/w/f") == complaint


LINES = st.sampled_from(
    ["a", "b", "c", " a", "a ", "\tb", "\u2013", "-", "", "\u201cc\u201d", '"c"', "x\u00a0y", "x y"]
)


@st.composite
def files_and_chunks(draw: st.DrawFn) -> tuple[list[str], list[Chunk]]:
    """A file, and chunks whose old lines come mostly from it, in any order."""
    lines = draw(st.lists(LINES, max_size=8))
    chunks = []
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(lines)))
        old = (
            lines[start : start + draw(st.integers(0, 3))] if draw(st.booleans()) else draw(st.lists(LINES, max_size=2))
        )
        kept = draw(st.lists(st.booleans(), min_size=len(old), max_size=len(old)))
        added = draw(st.lists(LINES, max_size=2))
        script = [f"{' ' if keep else '-'}{line}" for line, keep in zip(old, kept, strict=True)]
        context = draw(st.none() | LINES)
        chunks.append(chunk(*script, *(f"+{line}" for line in added), context=context, at_end=draw(st.booleans())))
    return lines, chunks


@given(files_and_chunks())
def test_a_naive_reading_of_the_rules_gives_the_same(example: tuple[list[str], list[Chunk]]) -> None:
    lines, chunks = example
    text = "".join(f"{line}\n" for line in lines)
    expected = naively_patched(lines, chunks)
    if expected is None:
        with pytest.raises(NotFound):
            patched(text, chunks)
    else:
        assert patched(text, chunks) == expected


def naively_patched(lines: list[str], chunks: Sequence[Chunk]) -> str | None:
    """The rules of the spec word by word, one line and one position at a time; None where a chunk does not fit.

    Chunks that overlap are no example: the rules say nothing of them.
    """
    odd = {"\u2013": "-", "\u201c": '"', "\u201d": '"', "\u00a0": " "}
    passes: list[Callable[[str], str]] = [
        str,
        str.rstrip,
        str.strip,
        lambda line: "".join(odd.get(c, c) for c in line.strip()),
    ]

    def seek(wanted: tuple[str, ...], start: int, at_end: bool) -> int | None:
        starts = range(start, len(lines) - len(wanted) + 1)
        if at_end:
            starts = range(len(lines) - len(wanted), len(lines) - len(wanted) + 1)
        for view in passes:
            for at in starts:
                if at >= 0 and all(view(lines[at + i]) == view(line) for i, line in enumerate(wanted)):
                    return at
        return None

    replacements: list[tuple[int, int, int, tuple[str, ...]]] = []
    at = 0
    for number, part in enumerate(chunks):
        if part.context is not None:
            found = seek((part.context,), at, False)
            if found is None:
                return None
            at = found + 1
        old, new = part.old, part.new
        if not old:
            end = len(lines) - (1 if lines and lines[-1] == "" else 0)
            replacements.append((end, number, 0, new))
            continue
        found = seek(old, at, part.at_end)
        if found is None and old[-1] == "":
            old, new = old[:-1], new[:-1] if new and new[-1] == "" else new
            found = seek(old, at, part.at_end) if old else at
        if found is None:
            return None
        replacements.append((found, number, len(old), new))
        at = found + len(old)
    replacements.sort()
    assume(all(a[0] + a[2] <= b[0] for a, b in pairwise(replacements)))
    result = list(lines)
    for start, _, size, new in reversed(replacements):
        result[start : start + size] = list(new)
    return "".join(f"{line}\n" for line in result[:-1]) + (f"{result[-1]}\n" if result and result[-1] else "")
