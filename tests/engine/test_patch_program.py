"""`apply_patch` as a program: exit codes and words, and the script that starts it from anywhere."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest

from engine.patch.program import main
from engine.processes.programs import NAMES, with_programs


def patch(*lines: str) -> str:
    return "\n".join(["*** Begin Patch", *lines, "*** End Patch"])


ADD = patch("*** Add File: n/a", "+1")
REFUSED = [
    ([], "", 2, "Usage: apply_patch 'PATCH'\n       echo 'PATCH' | apply_patch\n"),
    (["a", "b"], "", 2, "Error: apply_patch accepts exactly one argument.\n"),
    (["\udcff"], "", 1, "Error: apply_patch requires a UTF-8 PATCH argument.\n"),
    (["x"], "", 1, "Invalid patch: The first line of the patch must be '*** Begin Patch'\n"),
    ([patch()], "", 1, "No files were modified.\n"),
    ([patch("*** Update File: f")], "", 1, "Invalid patch hunk on line 2: Update file hunk for path 'f' is empty\n"),
    ([patch("*** Update File: f", "@@", "-9")], "", 1, "Failed to find expected lines in {cwd}/f:\n9\n"),
    ([patch("*** Delete File: no")], "", 1, "Failed to delete file {cwd}/no\n"),
    ([patch("*** Add File: f/x", "+x")], "", 1, "Failed to write file {cwd}/f/x\n"),
]


@pytest.mark.parametrize(("arguments", "stdin", "code", "said"), REFUSED)
def test_what_it_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], stdin: str, code: int, said: str
) -> None:
    (tmp_path / "f").write_text("1\n2\n")
    assert main(arguments, io.BytesIO(stdin.encode()), str(tmp_path)) == code
    out, err = capsys.readouterr()
    assert (out, err) == ("", said.format(cwd=tmp_path))
    assert (tmp_path / "f").read_text() == "1\n2\n"


@pytest.mark.parametrize("stdin", [False, True])
def test_it_applies_its_argument_or_its_input(tmp_path: Path, capsys: pytest.CaptureFixture[str], stdin: bool) -> None:
    assert main([] if stdin else [ADD], io.BytesIO(ADD.encode() if stdin else b""), str(tmp_path)) == 0
    assert capsys.readouterr().out == "Success. Updated the following files:\nA n/a\n"
    assert (tmp_path / "n/a").read_text() == "1\n"


def test_commands_find_it_whatever_their_folder(tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "engine").mkdir(parents=True)
    (work / "engine/__init__.py").write_text("raise SystemExit('the wrong engine')")
    env = with_programs({"PATH": "/usr/bin:/bin", "PYTHONPATH": str(work)}, tmp_path / "home")
    folder, *rest = env["PATH"].split(":")
    assert rest == ["/usr/bin", "/bin"]
    assert sorted(path.name for path in Path(folder).iterdir()) == sorted(NAMES)
    command = ["sh", "-c", 'apply_patch "$0" && cat n/a', ADD]
    run = subprocess.run(command, cwd=work, env=env, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == "Success. Updated the following files:\nA n/a\n1\n"


def test_a_script_that_somebody_changed_is_made_anew(tmp_path: Path) -> None:
    folder = with_programs({}, tmp_path)["PATH"].split(":")[0]
    script = Path(folder, "apply_patch")
    text = script.read_text()
    script.write_text("#!/bin/sh\nevil\n")
    Path(folder, "applypatch").chmod(0o644)
    with_programs({}, tmp_path)
    assert script.read_text() == text
    assert Path(folder, "applypatch").stat().st_mode & 0o777 == 0o755


def test_without_a_place_for_them_commands_run_without_our_programs(tmp_path: Path) -> None:
    (tmp_path / "tmp").touch()
    assert with_programs({"PATH": "/bin"}, tmp_path) == {"PATH": "/bin"}
