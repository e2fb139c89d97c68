"""The grammar of patches: what is read, what is forgiven, and the words and line numbers of every complaint."""

from __future__ import annotations

import pytest

from engine.patch.parse import AddHunk, Chunk, DeleteHunk, PatchRefused, UpdateHunk, parse

HEADERS = "Valid hunk headers: '*** Add File: {path}', '*** Delete File: {path}', '*** Update File: {path}'"
LINE_RULE = "Every line should start with ' ' (context line), '+' (added line), or '-' (removed line)"


def framed(body: str) -> str:
    return f"*** Begin Patch\n{body}\n*** End Patch"


def chunk(old: str = "", new: str = "", context: str | None = None, at_end: bool = False) -> Chunk:
    return Chunk(context, tuple(old.split()), tuple(new.split()), at_end)


def test_all_kinds_of_hunks() -> None:
    patch = parse(
        framed(
            "*** Add File: n/new.txt\n+hello\n+\n++world\n*** Delete File: d.txt\n"
            "*** Update File: m.txt\n*** Move to: k.txt\n@@ def f():\n keep\n-old\n+new\n"
            "@@\n-last\n*** End of File\n*** Add File: empty"
        )
    )
    assert patch.hunks == (
        AddHunk("n/new.txt", "hello\n\n+world\n"),
        DeleteHunk("d.txt"),
        UpdateHunk(
            "m.txt",
            "k.txt",
            (chunk("keep old", "keep new", context="def f():"), chunk("last", at_end=True)),
        ),
        AddHunk("empty", ""),
    )


@pytest.mark.parametrize(
    "text",
    [
        f"\n  {framed('*** Delete File: a')}  \n\n",
        f"\u00a0{framed('*** Delete File: a')}\u3000",
        "  *** Begin Patch  \n  *** Delete File: a  \n\t*** End Patch",
        framed("*** Delete File: a").replace("\n", "\r\n"),
        *(f"<<{word}\n{framed('*** Delete File: a')}\nEOF" for word in ("EOF", "'EOF'", '"EOF"')),
        f"<<EOF\n{framed('*** Delete File: a')}\nfooEOF",
    ],
)
def test_space_line_ends_and_heredocs_around_a_patch_are_forgiven(text: str) -> None:
    assert parse(text).hunks == (DeleteHunk("a"),)


@pytest.mark.parametrize(
    ("lines", "chunks"),
    [
        ("-one\n+1", (chunk("one", "1"),)),
        ("\n  \n@@\n-one\n+1", (chunk("one", "1"),)),
        ("@@\n-one\n*** End of File\n\n@@\n-two", (chunk("one", at_end=True), chunk("two"))),
        ("@@ \n+1", (chunk(new="1", context=""),)),
        ("@@  x \n+1", (chunk(new="1", context=" x "),)),
        ("@@\n-one\n\n@@\n+2", (Chunk(None, ("one", ""), ("",), False), chunk(new="2"))),
        (" *** Move to: b\n+1", (Chunk(None, ("*** Move to: b",), ("*** Move to: b", "1"), False),)),
    ],
)
def test_chunks(lines: str, chunks: tuple[Chunk, ...]) -> None:
    assert parse(framed(f"*** Update File: a\n{lines}")).hunks == (UpdateHunk("a", None, chunks),)


def test_paths_keep_their_inner_space() -> None:
    patch = parse(framed("*** Update File:  a b\n*** Move to: c  \n+1"))
    assert patch.hunks == (UpdateHunk(" a b", "c  ", (chunk(new="1"),)),)


FIRST = "invalid patch: The first line of the patch must be '*** Begin Patch'"
LAST = "invalid patch: The last line of the patch must be '*** End Patch'"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("hello", FIRST),
        ("*** End Patch", FIRST),
        ("\x1c*** Begin Patch\n*** Delete File: a\n*** End Patch", FIRST),
        ("<< 'EOF'\n*** Begin Patch\n*** Delete File: a\n*** End Patch\nEOF", FIRST),
        ("<<EOF\n*** Begin Patch\nEOF", FIRST),
        ("<<EOF\nfoo\nbar\n*** End Patch\nEOF", FIRST),
        ("", LAST),
        ("*** Begin Patch", LAST),
        ("*** Begin Patch\n*** Add File: x\n+y", LAST),
        ("<<EOF\n*** Begin Patch\nfoo\nbar\nEOF", LAST),
    ],
)
def test_a_patch_needs_its_frame(text: str, complaint: str) -> None:
    assert refusal(text) == complaint


@pytest.mark.parametrize(
    ("body", "line", "complaint"),
    [
        ("*** Frob File: no.txt", 2, f"'*** Frob File: no.txt' is not a valid hunk header. {HEADERS}"),
        ("*** update file: a\n+x", 2, f"'*** update file: a' is not a valid hunk header. {HEADERS}"),
        ("*** Add File: \n+x", 2, f"'*** Add File:' is not a valid hunk header. {HEADERS}"),
        ("*** Add File: q\n+x\n\n+y", 4, f"'' is not a valid hunk header. {HEADERS}"),
        ("*** Add File: q\n    +hello", 3, f"'+hello' is not a valid hunk header. {HEADERS}"),
        ("*** Delete File: a\n-one", 3, f"'-one' is not a valid hunk header. {HEADERS}"),
        ("*** Update File: a\n@@\n-one\n+1\n*** Foo", 6, f"'*** Foo' is not a valid hunk header. {HEADERS}"),
        ("*** Update File: a\n@@\n-x\n*** End of File ", 5, f"'*** End of File' is not a valid hunk header. {HEADERS}"),
        ("*** Update File: a.txt", 2, "Update file hunk for path 'a.txt' is empty"),
        ("*** Delete File: d\n*** Update File: a\n*** Move to: b", 3, "Update file hunk for path 'a' is empty"),
        ("*** Update File: a\n@@", 4, "Update hunk does not contain any lines"),
        ("*** Update File: a\n@@ ctx\n*** End of File", 4, "Update hunk does not contain any lines"),
        ("*** Update File: a\n@@\n*two", 4, f"Unexpected line found in update hunk: '*two'. {LINE_RULE}"),
        ("*** Update File: a\nfoo", 4, f"Unexpected line found in update hunk: 'foo'. {LINE_RULE}"),
        ("*** Update File: a\n@@\t\n-x", 4, f"Unexpected line found in update hunk: '@@\t'. {LINE_RULE}"),
        (
            "*** Update File: a\n@@\n*** Add File: q\n+x",
            4,
            f"Unexpected line found in update hunk: '*** Add File: q'. {LINE_RULE}",
        ),
        ("*** Update File: a\n@@\n-x\nfoo", 5, "Expected update hunk to start with a @@ context marker, got: 'foo'"),
        (
            "*** Update File: a\n@@\n-x\n*** End of File\n+x",
            6,
            "Expected update hunk to start with a @@ context marker, got: '+x'",
        ),
    ],
)
def test_every_complaint_names_its_line(body: str, line: int, complaint: str) -> None:
    assert refusal(framed(body)) == f"invalid hunk at line {line}, {complaint}"


def test_lines_inside_a_heredoc_are_counted_from_its_patch() -> None:
    text = f"<<EOF\n{framed('*** Frob')}\nEOF"
    assert refusal(text).startswith("invalid hunk at line 2, ")


def test_a_patch_without_hunks_is_refused_in_other_words() -> None:
    with pytest.raises(PatchRefused) as refused:
        parse("*** Begin Patch\n*** End Patch")
    assert refused.value.text == "patch rejected: empty patch"


def refusal(text: str) -> str:
    """The complaint about this patch, without the prefix that all of them share."""
    with pytest.raises(PatchRefused) as refused:
        parse(text)
    prefix, complaint = refused.value.text.split(": ", 1)
    assert prefix == "apply_patch verification failed"
    return complaint
