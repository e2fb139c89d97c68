"""Which shell runs a command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.processes.shells import resolve_shell


@pytest.mark.parametrize(
    ("wanted", "users", "found"),
    [
        (None, "/usr/bin/fish", "/usr/bin/fish"),
        ("/bin/sh", "/bin/bash", "/bin/sh"),
        ("bash", "/bin/bash", "/bin/bash"),
        ("/no/such/bash", "/bin/bash", "/bin/bash"),
        ("/no/such/shell", "/bin/bash", "/bin/sh"),
        ("/etc/passwd", "/bin/bash", "/bin/sh"),
    ],
)
def test_the_wanted_shell_or_the_nearest(wanted: str | None, users: str, found: str) -> None:
    assert resolve_shell(wanted, users) == found


def test_a_shell_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zsh").write_text("")
    (tmp_path / "zsh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert resolve_shell("zsh", "/bin/bash") == f"{tmp_path}/zsh"
