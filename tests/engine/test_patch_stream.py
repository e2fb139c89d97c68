"""Patches still being written: what each piece shows, how often updates go out, and that pieces do not matter."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.patch.parse import PatchRefused, parse
from engine.patch.stream import PatchStream, drafted
from rollouts import events as ev
from tests.engine.patches import TREES, framed, patch_lines

BEGIN = "*** Begin Patch\n"


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("", None),
        ("*** Begin Pa", None),
        (BEGIN, None),
        (f"{BEGIN}*** Add File: ", None),
        (f"{BEGIN}*** Add File: n", {"n": ev.AddFile("")}),
        (f"{BEGIN}*** Add File: n.txt\n+", {"n.txt": ev.AddFile("\n")}),
        (f"{BEGIN}*** Add File: n.txt\n+he", {"n.txt": ev.AddFile("he\n")}),
        (f"{BEGIN}*** Add File: n.txt\n+he\n*** Upd", None),
        (f"{BEGIN}*** Update File: a.txt\n@@", None),
        (f"{BEGIN}*** Update File: a.txt\n@@ def\n ", None),
        (f"{BEGIN}*** Update File: a.txt\n-x", {"a.txt": ev.UpdateFile("@@\n-x\n")}),
        (
            f"{BEGIN}*** Update File: a.txt\n@@ def\n one\n-two\n+TWO\n\n three",
            {"a.txt": ev.UpdateFile("@@ def\n-one\n-two\n-\n-three\n+one\n+TWO\n+\n+three\n")},
        ),
        (
            f"{BEGIN}*** Update File: a\n@@\n+a\n*** End of File\n@@\n-z",
            {"a": ev.UpdateFile("@@\n+a\n*** End of File\n@@\n-z\n")},
        ),
        (f"{BEGIN}*** Update File: m\n*** Move to: k\n@@\n-x", {"m": ev.UpdateFile("@@\n-x\n", "k")}),
        (f"{BEGIN}*** Delete File: d", {"d": ev.DeleteFile("")}),
        (f"{BEGIN}*** Add File: x\n+a\n*** Update File: x\n-x", {"x": ev.UpdateFile("@@\n-x\n")}),
        (f"{BEGIN}*** Add File: x\n+a\n*** End Patch\n\n", {"x": ev.AddFile("a\n")}),
        (f"{BEGIN}*** Add File: x\n+a\n*** End Patch\nmore", None),
        (f"{BEGIN}*** Update File: x\n@@\n+a\n *** End Patch", {"x": ev.UpdateFile("@@\n+a\n")}),
        ("*** Begin Patch\r\n*** Add File: x\r\n+a\r\n+b\r", {"x": ev.AddFile("a\nb\n")}),
        ("\n\n  *** Begin Patch  \n *** Add File: x \n+a  ", {"x": ev.AddFile("a\n")}),
        (f"<<'EOF'\n{BEGIN}*** Add File: x\n+a\n", None),
    ],
)
def test_what_a_text_so_far_shows(text: str, changes: dict[str, ev.FileChange] | None) -> None:
    assert PatchStream().feed(0.0, text) == changes


PIECES = (
    "*** Begin Patch\n*** Add File: n.txt\n+he",
    "llo\n+wor",
    "ld\n",
    "*** Update File: a.txt\n@@\n one\n-two\n",
    "+TWO\n three\n",
    "*** Delete File: d.txt\n",
    "*** Update File: m.txt\n*** Move to: k.txt\n@@\n-x\n+X\n",
    "*** End Patch",
)
FIRST: dict[str, ev.FileChange] = {"n.txt": ev.AddFile("he\n")}
ADDED: dict[str, ev.FileChange] = {"n.txt": ev.AddFile("hello\nworld\n")}
UPDATED = ADDED | {"a.txt": ev.UpdateFile("@@\n-one\n-two\n-three\n+one\n+TWO\n+three\n")}
ALL = UPDATED | {"d.txt": ev.DeleteFile(""), "m.txt": ev.UpdateFile("@@\n-x\n+X\n", "k.txt")}


def test_the_first_update_goes_at_once_and_later_ones_every_half_second() -> None:
    stream = PatchStream()
    sent = [stream.feed(number * 0.3, piece) for number, piece in enumerate(PIECES)]
    assert sent == [FIRST, None, ADDED, None, UPDATED, None, ALL, None]
    assert stream.flush() is None


def test_what_is_left_goes_out_when_the_call_is_complete() -> None:
    stream = PatchStream()
    assert [stream.feed(1.0, piece) for piece in PIECES] == [FIRST, *[None] * 7]
    assert stream.flush() == ALL
    assert stream.flush() is None


def test_what_shows_nothing_new_does_not_start_a_wait() -> None:
    stream = PatchStream()
    assert stream.feed(0.0, f"{BEGIN}*** Add File: n\n+a") is not None
    assert stream.feed(0.6, "\n") is None
    assert stream.feed(0.7, "+b") == {"n": ev.AddFile("a\nb\n")}


def test_a_text_that_is_no_patch_shows_nothing() -> None:
    stream = PatchStream()
    assert stream.feed(0.0, "hello") is None
    assert stream.flush() is None


@given(st.data(), TREES)
def test_however_a_patch_is_cut_its_last_update_is_the_same(data: st.DataObject, tree: dict[str, str]) -> None:
    text = framed(*data.draw(patch_lines(tree)))
    try:
        whole = parse(text)
    except PatchRefused:
        assume(False)
    cuts = sorted({0, len(text), *data.draw(st.lists(st.integers(0, len(text))))})
    stream, now = PatchStream(), 0.0
    sent = []
    for start, end in pairwise(cuts):
        now += data.draw(st.sampled_from([0.0, 0.1, 0.4, 0.5, 2.0]))
        sent.append(stream.feed(now, text[start:end]))
    sent.append(stream.flush())
    updates = [update for update in sent if update is not None]
    assert updates[-1] == drafted(whole.hunks)
    assert all(one != other for one, other in pairwise(updates))
