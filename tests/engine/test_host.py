"""The life of an engine as an embedder sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import StartupError
from engine.host import installation_id, open_host
from engine.notes import Notification
from tests.engine.homes import thread


class Deaf:
    """A sink that hears nothing."""

    def publish(self, note: Notification) -> None:
        """Dropped."""

    def ask(self, *_: object) -> int:
        raise AssertionError("nothing is asked in these tests")

    def withdraw(self, question_id: int) -> None:
        """There is none."""


@pytest.mark.anyio
async def test_an_engine_may_end_while_it_still_looks_at_the_home(tmp_path: Path) -> None:
    for number in range(20):
        thread(tmp_path, number, after=number * 86_400)
    for _ in range(10):
        async with open_host(tmp_path)(Deaf()):
            pass


@pytest.mark.parametrize("module", ["engine.host", "engine.appserver.handlers", "projections.session", "rollouts.log"])
def test_a_program_may_import_this_first(module: str) -> None:
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)


def test_a_home_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "installation_id").mkdir()
    with pytest.raises(StartupError, match=r"failed to read .*/installation_id: Is a directory \(os error 21\)"):
        installation_id(tmp_path)


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"failed to write .*/none/installation_id: No such file or directory"):
        installation_id(tmp_path / "none")
