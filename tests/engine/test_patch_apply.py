"""Patches on a real disk: all of a patch or nothing of it, and what happens to modes, links and folders."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from engine.patch.apply import PatchFailed, apply
from engine.patch.files import read_text
from engine.patch.parse import PatchRefused, parse
from engine.patch.plan import Verified, Write, verify
from tests.engine.patches import TREES, framed, patch_lines, read_tree, write_tree


def checked(root: Path, *lines: str) -> Verified:
    return verify(parse(framed(*lines)), str(root), read_text)


def run(root: Path, *lines: str) -> str:
    return apply(checked(root, *lines), read_text)


def failure(root: Path, *lines: str) -> str:
    """The text of a patch that fits but cannot be written, checked to have changed nothing."""
    before = read_tree(root)
    with pytest.raises(PatchFailed) as failed:
        run(root, *lines)
    assert read_tree(root) == before
    return failed.value.text.replace(str(root), "")


def test_files_are_written_and_folders_made(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.txt": "one\n", "d.txt": "bye\n", "m.txt": "x\n"})
    text = run(
        tmp_path,
        "*** Add File: n/e/w.txt",
        "+hello",
        "*** Update File: a.txt",
        "-one",
        "+ONE",
        "*** Delete File: d.txt",
        "*** Update File: m.txt",
        "*** Move to: moved/m2.txt",
        "-x",
        "+X",
    )
    assert text == "Success. Updated the following files:\nA n/e/w.txt\nM a.txt\nM moved/m2.txt\nD d.txt\n"
    files = {name: text for name, (_, text) in read_tree(tmp_path).items() if (tmp_path / name).is_file()}
    assert files == {"a.txt": "ONE\n", "moved/m2.txt": "X\n", "n/e/w.txt": "hello\n"}


def test_a_changed_or_moved_file_keeps_its_mode(tmp_path: Path) -> None:
    write_tree(tmp_path, {"run.sh": "x\n", "old.sh": "x\n", "there.txt": "t\n"})
    for name in ("run.sh", "old.sh"):
        (tmp_path / name).chmod(0o750)
    run(tmp_path, "*** Update File: run.sh", "-x", "+y", "*** Update File: old.sh", "*** Move to: new.sh", "-x", "+y")
    run(tmp_path, "*** Update File: run.sh", "*** Move to: there.txt", "-y", "+z")
    assert (tmp_path / "new.sh").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "there.txt").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "there.txt").read_text() == "z\n"


def test_links_are_followed_but_deleted_themselves(tmp_path: Path) -> None:
    write_tree(tmp_path, {"real.txt": "one\n"})
    for name, target in (("link", "real.txt"), ("other", "real.txt"), ("dangling", "made.txt")):
        (tmp_path / name).symlink_to(target)
    run(tmp_path, "*** Update File: link", "-one", "+1", "*** Add File: dangling", "+2", "*** Delete File: other")
    assert (tmp_path / "real.txt").read_text() == "1\n"
    assert (tmp_path / "made.txt").read_text() == "2\n"
    assert (tmp_path / "link").is_symlink()
    assert not (tmp_path / "other").is_symlink()


def test_a_hard_link_stays_one(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": "one\n"})
    os.link(tmp_path / "a", tmp_path / "b")
    run(tmp_path, "*** Update File: a", "-one", "+1")
    assert (tmp_path / "b").read_text() == "1\n"


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["*** Add File: folder", "+x"], "Failed to write file /folder\n"),
        (["*** Add File: a.txt/b", "+x"], "Failed to write file /a.txt/b\n"),
        (["*** Add File: a.txt/b/c", "+x"], "Failed to write file /a.txt/b/c\n"),
        (["*** Update File: a.txt", "*** Move to: folder", "-one"], "Failed to write file /folder\n"),
        (["*** Add File: /proc/none/x", "+x"], "Failed to create parent directories for /proc/none/x\n"),
    ],
)
def test_what_cannot_be_written_is_named(tmp_path: Path, lines: list[str], text: str) -> None:
    write_tree(tmp_path, {"a.txt": "one\n", "folder/k": "k\n"})
    assert failure(tmp_path, *lines) == text


def test_a_failure_midway_undoes_the_rest(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.txt": "one\n", "d.txt": "bye\n", "m.txt": "x\n", "folder/k": "k\n", "old.txt": "old\n"})
    (tmp_path / "d.txt").chmod(0o700)
    (tmp_path / "link").symlink_to("a.txt")
    text = failure(
        tmp_path,
        "*** Update File: a.txt",
        "-one",
        "+1",
        "*** Delete File: d.txt",
        "*** Delete File: link",
        "*** Add File: new/deep/file",
        "+x",
        "*** Add File: old.txt",
        "+new",
        "*** Update File: m.txt",
        "*** Move to: moved/m.txt",
        "-x",
        "+y",
        "*** Add File: folder",
        "+x",
    )
    assert text == "Failed to write file /folder\nThe other changes of this patch were undone.\n"


def test_what_cannot_be_undone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(tmp_path, {"folder/k": "k\n"})
    verified = checked(tmp_path, "*** Add File: new.txt", "+x", "*** Add File: folder", "+x")

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(PatchFailed) as failed:
        apply(verified, read_text)
    assert failed.value.text.replace(str(tmp_path), "") == (
        "Failed to write file /folder\nFailed to restore /new.txt: Operation not permitted\n"
    )


def test_a_removal_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(tmp_path, {"a": "x\n", "b": "x\n"})

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.name in ("a", "b"):
            raise PermissionError(1, "Operation not permitted")
        os.unlink(path)

    monkeypatch.setattr(Path, "unlink", refuse)
    assert failure(tmp_path, "*** Delete File: a") == "Failed to delete file /a\n"
    moved = failure(tmp_path, "*** Update File: b", "*** Move to: c", "-x", "+y")
    assert moved.startswith("Failed to remove original /b\n")


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["*** Update File: out.txt", "-x", "+y"], "Failed to write file /inside/out.txt\n"),
        (["*** Add File: out/new.txt", "+y"], "Failed to write file /inside/out/new.txt\n"),
        (["*** Delete File: out/file.txt"], "Failed to delete file /inside/out/file.txt\n"),
        (["*** Update File: a.txt", "*** Move to: ../b.txt", "-x", "+y"], "Failed to write file /b.txt\n"),
    ],
)
def test_a_link_is_no_way_out_of_what_is_allowed(tmp_path: Path, lines: list[str], text: str) -> None:
    write_tree(tmp_path, {"inside/a.txt": "x\n", "outside/file.txt": "x\n"})
    (tmp_path / "inside/out").symlink_to("../outside")
    (tmp_path / "inside/out.txt").symlink_to("../outside/file.txt")
    before = read_tree(tmp_path)
    inside = f"{tmp_path.resolve()}/inside/"
    with pytest.raises(PatchFailed) as failed:
        apply(checked(tmp_path / "inside", *lines), read_text, lambda path: path.startswith(inside))
    assert failed.value.text.replace(str(tmp_path), "") == text
    assert read_tree(tmp_path) == before


def test_links_within_what_is_allowed_are_fine(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.txt": "x\n", "old/b.txt": "x\n"})
    (tmp_path / "link.txt").symlink_to("a.txt")
    (tmp_path / "way").symlink_to("old")
    verified = checked(tmp_path, "*** Update File: link.txt", "-x", "+y", "*** Delete File: way/b.txt")
    inside = f"{tmp_path.resolve()}/"
    apply(verified, read_text, lambda path: path.startswith(inside))
    assert (tmp_path / "a.txt").read_text() == "y\n"
    assert not (tmp_path / "old/b.txt").exists()


def test_a_file_that_changed_since_it_was_checked_is_not_overwritten(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.txt": "one\n", "b.txt": "one\n"})
    verified = checked(tmp_path, "*** Add File: new", "+x", "*** Update File: a.txt", "-one", "+1")
    (tmp_path / "a.txt").write_text("zero\none\n")
    apply(verified, read_text)
    assert (tmp_path / "a.txt").read_text() == "zero\n1\n"
    (tmp_path / "new").unlink()
    with pytest.raises(PatchFailed) as failed:
        apply(verified, read_text)
    assert failed.value.text == f"Failed to find expected lines in {tmp_path}/a.txt:\none\n"
    assert not (tmp_path / "new").exists()


@settings(max_examples=60, deadline=None)
@given(st.data(), TREES)
def test_any_patch_is_applied_as_planned_or_not_at_all(data: st.DataObject, tree: dict[str, str]) -> None:
    lines = data.draw(patch_lines(tree))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_tree(root, tree)
        before = read_tree(root)
        try:
            verified = checked(root, *lines)
        except PatchRefused as refused:
            event(refused.text.split("/")[0].split("'")[0])
            assert read_tree(root) == before
            return
        assert read_tree(root) == before
        event("applied")
        apply(verified, read_text)
        expected = {f"{root}/{name}": text for name, text in tree.items()}
        for step in verified.steps:
            if isinstance(step, Write):
                expected[step.path] = step.text
            else:
                del expected[step.path]
        assert {str(path): path.read_text() for path in root.rglob("*") if path.is_file()} == expected
