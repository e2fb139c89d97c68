"""Files by name: what has no end is refused instead of read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.named_files import read_bytes


def test_a_file_is_read_through_its_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\x00all of it\n")
    (tmp_path / "link").symlink_to("file")
    assert read_bytes(tmp_path / "link") == b"\x00all of it\n"


def test_a_pipe_nobody_writes_to_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match=r"Invalid argument.*pipe"):
        read_bytes(pipe)


@pytest.mark.parametrize("path", ["/dev/zero", "/"])
def test_what_is_no_file_is_refused(path: str) -> None:
    with pytest.raises(OSError, match=path):
        read_bytes(path)
