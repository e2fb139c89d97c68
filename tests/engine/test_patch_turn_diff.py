"""The diff of a whole turn in git's form: one file in every state, moves, several patches, and git applies it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.patch import files
from engine.patch.apply import apply
from engine.patch.files import Blob
from engine.patch.parse import PatchRefused, parse
from engine.patch.plan import verify
from engine.patch.turn_diff import TurnDiff
from rollouts import events as ev
from tests.engine.patches import TREES, framed, patch_lines, write_tree

ONE = "d00491fd7e5bb6fa28c517a0bb32b8b506539d4d"
TWO = "0cfbf08886fca9a91cb753ec8734c84fcbe52c9f"
NOTHING = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
BYTE = "ce542efaa5124a0437f0c4db329d7ec4b7ba70a7"
NO_FILE = "0" * 40

Disk = dict[str, Blob]


def text(content: str, mode: files.Mode = "100644") -> Blob:
    return Blob(mode, content.encode())


def turn_on(disk: Disk) -> TurnDiff:
    return TurnDiff(disk.get, lambda path: path)


def update(path: str, to: str | None = None) -> dict[str, ev.FileChange]:
    return {path: ev.UpdateFile("", to)}


@pytest.mark.parametrize(
    ("before", "after", "diff"),
    [
        (text("1\n"), text("2\n"), f"index {ONE}..{TWO}\n--- a//w/f\n+++ b//w/f\n@@ -1 +1 @@\n-1\n+2\n"),
        (
            None,
            text("1\n"),
            f"new file mode 100644\nindex {NO_FILE}..{ONE}\n--- /dev/null\n+++ b//w/f\n@@ -0,0 +1 @@\n+1\n",
        ),
        (
            text("1\n", "100755"),
            None,
            f"deleted file mode 100755\nindex {ONE}..{NO_FILE}\n--- a//w/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n",
        ),
        (None, text(""), f"new file mode 100644\nindex {NO_FILE}..{NOTHING}\n"),
        (
            text("1\n"),
            text("2\n", "100755"),
            f"old mode 100644\nnew mode 100755\nindex {ONE}..{TWO}\n--- a//w/f\n+++ b//w/f\n@@ -1 +1 @@\n-1\n+2\n",
        ),
        (Blob("100644", b"\xff"), text("1\n"), f"index {BYTE}..{ONE}\n--- a//w/f\n+++ b//w/f\nBinary files differ\n"),
    ],
)
def test_one_file(before: Blob | None, after: Blob | None, diff: str) -> None:
    disk = {"/w/f": before} if before else {}
    turn = turn_on(disk)
    turn.before(update("/w/f"))
    disk.pop("/w/f", None)
    disk |= {"/w/f": after} if after else {}
    assert turn.render() == f"diff --git a//w/f b//w/f\n{diff}"


def test_nothing_to_show() -> None:
    disk = {"/w/f": text("1\n")}
    turn = turn_on(disk)
    assert turn.render() is None
    turn.before(update("/w/f"))
    assert turn.render() is None
    disk["/w/f"] = text("2\n")
    assert turn.render() is not None
    disk["/w/f"] = text("1\n")
    assert turn.render() is None


def test_a_diff_is_from_the_first_state_of_the_turn_to_the_disk_as_it_is() -> None:
    disk = {"/w/f": text("1\n")}
    turn = turn_on(disk)
    for content in ("x\n", "y\n"):
        turn.before(update("/w/f"))
        disk["/w/f"] = text(content)
    assert "-1\n+y\n" in (turn.render() or "")
    disk["/w/f"] = text("by hand\n")
    assert "-1\n+by hand\n" in (turn.render() or "")


def test_a_moved_file_is_followed() -> None:
    disk = {"/w/m": text("1\n")}
    turn = turn_on(disk)
    for old, new in (("/w/m", "/w/n"), ("/w/n", "/w/k")):
        turn.before(update(old, new))
        disk[new] = disk.pop(old)
        turn.applied(update(old, new))
    assert turn.render() is None
    disk["/w/k"] = text("2\n")
    moved = f"diff --git a//w/m b//w/k\nindex {ONE}..{TWO}\n--- a//w/m\n+++ b//w/k\n@@ -1 +1 @@\n-1\n+2\n"
    assert turn.render() == moved
    turn.before({"/w/m": ev.AddFile("")})
    disk["/w/m"] = text("1\n")
    assert turn.render() == (
        f"{moved}diff --git a//w/m b//w/m\n"
        f"new file mode 100644\nindex {NO_FILE}..{ONE}\n--- /dev/null\n+++ b//w/m\n@@ -0,0 +1 @@\n+1\n"
    )


def test_a_move_onto_a_file_of_the_turn_shows_both() -> None:
    disk = {"/w/m": text("1\n"), "/w/n": text("old\n")}
    turn = turn_on(disk)
    turn.before(update("/w/n"))
    turn.before(update("/w/m", "/w/n"))
    disk["/w/n"] = text("2\n")
    del disk["/w/m"]
    turn.applied(update("/w/m", "/w/n"))
    headers = [line for line in (turn.render() or "").split("\n") if line.startswith("diff")]
    assert sorted(headers) == ["diff --git a//w/m b//w/n", "diff --git a//w/n b//w/n"]


def test_a_failed_move_moved_nothing() -> None:
    turn = turn_on({"/w/m": text("1\n")})
    turn.before(update("/w/m", "/w/n"))
    assert turn.render() is None


def test_files_are_sorted_by_the_path_shown() -> None:
    disk: Disk = {}
    turn = TurnDiff(disk.get, lambda path: path.removeprefix("/repo/"))
    for path in ("/repo/b", "/a", "/repo/sub/x", "/repo/a"):
        turn.before(update(path))
        disk[path] = text("1\n")
    headers = [line for line in (turn.render() or "").split("\n") if line.startswith("diff")]
    assert headers == [f"diff --git a/{path} b/{path}" for path in ("/a", "a", "b", "sub/x")]


def test_paths_are_shown_from_the_root_of_the_innermost_repository(tmp_path: Path) -> None:
    for name in (".git", "sub/repo/.git"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "worktree").mkdir()
    (tmp_path / "worktree/.git").write_text("gitdir: elsewhere\n")
    paths = ["a", "gone/folder/a", "sub/a", "sub/repo/x/a", "worktree/a"]
    assert [files.shown(f"{tmp_path}/{path}") for path in paths] == ["a", "gone/folder/a", "sub/a", "x/a", "a"]
    assert files.shown("/nowhere/a") == "/nowhere/a"


def test_what_git_would_store(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    (tmp_path / "run").write_text("x")
    (tmp_path / "run").chmod(0o755)
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    blobs = {name: files.blob(str(tmp_path / name)) for name in ("plain", "run", "link", "folder", "none")}
    assert blobs == {
        "plain": Blob("100644", b"x"),
        "run": Blob("100755", b"x"),
        "link": Blob("120000", b"nowhere"),
        "folder": None,
        "none": None,
    }


@settings(max_examples=30, deadline=None)
@given(st.data(), TREES)
def test_git_applies_the_diff_of_a_turn(data: st.DataObject, tree: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, copy = Path(folder, "now"), Path(folder, "then")
        write_tree(root, tree)
        shutil.copytree(root, copy)
        turn = TurnDiff(files.blob, lambda path: path.removeprefix(f"{root}/"))
        for _ in range(data.draw(st.integers(1, 3))):
            current = {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}
            # Moves are shown without git's rename header, which git apply would need.
            lines = [line for line in data.draw(patch_lines(current)) if not line.startswith("*** Move to")]
            try:
                verified = verify(parse(framed(*lines)), str(root), files.read_text)
            except PatchRefused:
                continue
            turn.before(verified.changes)
            apply(verified, files.read_text)
            turn.applied(verified.changes)
        if diff := turn.render():
            subprocess.run(["git", "apply", "-"], cwd=copy, input=diff.encode(), check=True)
        now, then = (
            {str(path.relative_to(top)): path.read_text() for path in top.rglob("*") if path.is_file()}
            for top in (root, copy)
        )
        assert now == then
