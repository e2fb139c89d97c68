"""A patch against files: what is refused, what clients are shown, what would be written. Nothing is written here."""

from __future__ import annotations

import errno
import os

import pytest

from engine.patch.parse import PatchRefused, parse
from engine.patch.plan import Remove, Verified, Write, resolve, verify
from rollouts import events as ev
from tests.engine.patches import framed

FILES: dict[str, bytes] = {
    "/w/a.txt": b"one\ntwo\nthree\n",
    "/w/m.txt": b"x\ny\n",
    "/w/d.txt": b"bye\n",
    "/w/crlf.txt": b"one\r\ntwo\r\n",
    "/w/bin": b"x\n\xff\xfe\n",
    "/w/cut": b"x\n\xe2\x82",
}


def read(path: str) -> str:
    if path == "/w/folder":
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if path not in FILES:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return FILES[path].decode()


def plan(*lines: str) -> Verified:
    return verify(parse(framed(*lines)), "/w", read, home="/home/me")


def test_everything_at_once() -> None:
    verified = plan(
        "*** Add File: n/new.txt",
        "+hello",
        "*** Update File: a.txt",
        "@@",
        " one",
        "-two",
        "+TWO",
        "*** Delete File: d.txt",
        "*** Update File: m.txt",
        "*** Move to: moved/m2.txt",
        "@@",
        "-y",
        "+Y",
    )
    assert verified.changes == {
        "/w/n/new.txt": ev.AddFile("hello\n"),
        "/w/a.txt": ev.UpdateFile("@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three\n"),
        "/w/d.txt": ev.DeleteFile("bye\n"),
        "/w/m.txt": ev.UpdateFile("@@ -1,2 +1,2 @@\n x\n-y\n+Y\n", "/w/moved/m2.txt"),
    }
    assert verified.steps == (
        Write("/w/n/new.txt", "hello\n"),
        Write("/w/a.txt", "one\nTWO\nthree\n"),
        Remove("/w/d.txt"),
        Write("/w/moved/m2.txt", "x\nY\n", mode_of="/w/m.txt"),
        Remove("/w/m.txt", moved=True),
    )
    assert verified.summary == (
        "Success. Updated the following files:\nA n/new.txt\nM a.txt\nM moved/m2.txt\nD d.txt\n"
    )
    assert verified.paths == ("/w/a.txt", "/w/d.txt", "/w/m.txt", "/w/moved/m2.txt", "/w/n/new.txt")


@pytest.mark.parametrize(
    ("path", "absolute"),
    [
        ("x", "/w/x"),
        ("./q/../x", "/w/x"),
        ("../x", "/x"),
        ("../../../x", "/x"),
        ("/etc/x", "/etc/x"),
        ("//etc/x", "/etc/x"),
        ("~/x", "/home/me/x"),
        ("~", "/home/me"),
        ("~you/x", "/w/~you/x"),
        ("a/~/x", "/w/a/~/x"),
    ],
)
def test_what_a_path_means(path: str, absolute: str) -> None:
    assert resolve("/w", path, home="/home/me") == absolute


def test_without_a_home_a_tilde_is_a_name() -> None:
    assert resolve("/w", "~/x") == "/w/~/x"


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (["*** Update File: a.txt", "-zzz", "+q"], "Failed to find expected lines in /w/a.txt:\nzzz"),
        (["*** Update File: a.txt", "@@ nowhere", "-two"], "Failed to find context 'nowhere' in /w/a.txt"),
        (
            ["*** Update File: no.txt", "-z"],
            "Failed to read file to update /w/no.txt: No such file or directory (os error 2)",
        ),
        (
            ["*** Add File: p.txt", "+q", "*** Delete File: none.txt"],
            "Failed to read /w/none.txt: No such file or directory (os error 2)",
        ),
        (["*** Delete File: folder"], "Failed to read /w/folder: Is a directory (os error 21)"),
        (["*** Delete File: bin"], "Failed to read /w/bin: invalid utf-8 sequence of 1 bytes from index 2"),
        (
            ["*** Update File: cut", "-x"],
            "Failed to read file to update /w/cut: incomplete utf-8 byte sequence from index 2",
        ),
        # Every hunk must fit the files as they are ...
        (
            ["*** Update File: m.txt", "-x", "+X", "*** Update File: m.txt", "-X"],
            "Failed to find expected lines in /w/m.txt:\nX",
        ),
        (
            ["*** Add File: z", "+x", "*** Update File: z", "-x"],
            "Failed to read file to update /w/z: No such file or directory (os error 2)",
        ),
        # ... and as the hunks before it leave them.
        (
            ["*** Update File: m.txt", "-x", "*** Update File: m.txt", "-x"],
            "Failed to find expected lines in /w/m.txt:\nx",
        ),
        (
            ["*** Update File: m.txt", "*** Move to: n", "-x", "*** Update File: m.txt", "-y"],
            "Failed to read file to update /w/m.txt: No such file or directory (os error 2)",
        ),
        (
            ["*** Delete File: d.txt", "*** Delete File: d.txt"],
            "Failed to read /w/d.txt: No such file or directory (os error 2)",
        ),
    ],
)
def test_what_does_not_fit_the_files_is_refused(lines: list[str], complaint: str) -> None:
    with pytest.raises(PatchRefused) as refused:
        plan(*lines)
    assert refused.value.text == f"apply_patch verification failed: {complaint}"


def test_two_updates_of_a_file_are_shown_as_one_change() -> None:
    verified = plan("*** Update File: a.txt", "-one", "+ONE", "*** Update File: a.txt", "-three", "+THREE")
    assert verified.changes == {"/w/a.txt": ev.UpdateFile("@@ -1,3 +1,3 @@\n-one\n+ONE\n two\n-three\n+THREE\n")}
    assert verified.steps[-1] == Write("/w/a.txt", "ONE\ntwo\nTHREE\n")
    assert verified.summary.endswith("M a.txt\nM a.txt\n")


def test_the_last_hunk_of_a_file_says_what_kind_of_change_it_is() -> None:
    verified = plan("*** Delete File: d.txt", "*** Add File: d.txt", "+new")
    assert verified.changes == {"/w/d.txt": ev.AddFile("new\n")}
    assert verified.summary.endswith("A d.txt\nD d.txt\n")


def test_an_addition_may_replace_a_file() -> None:
    assert plan("*** Add File: a.txt", "+q").changes == {"/w/a.txt": ev.AddFile("q\n")}


def test_a_move_onto_itself_keeps_the_file() -> None:
    verified = plan("*** Update File: m.txt", "*** Move to: ./m.txt", "-x", "+X")
    assert verified.steps == (Write("/w/m.txt", "X\ny\n"),)
    assert verified.changes == {"/w/m.txt": ev.UpdateFile("@@ -1,2 +1,2 @@\n-x\n+X\n y\n", "/w/m.txt")}


def test_an_update_that_changes_nothing_has_an_empty_diff() -> None:
    assert plan("*** Update File: a.txt", " one").changes == {"/w/a.txt": ev.UpdateFile("")}


def test_new_lines_end_as_the_patch_writes_them() -> None:
    verified = plan("*** Update File: crlf.txt", "-one", "+ONE")
    assert verified.changes == {"/w/crlf.txt": ev.UpdateFile("@@ -1,2 +1,2 @@\n-one\r\n+ONE\n two\r\n")}
