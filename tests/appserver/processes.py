"""Servers as processes of their own, with the fake engine behind the real command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "tests.appserver.fake_host"]
HELLO = {"id": 1, "method": "initialize", "params": {"clientInfo": {"name": "test", "version": "1"}}}


def environment(home: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "CODEX_HOME": str(home), "PYTHONPATH": str(ROOT), **more}


def run(home: Path, *args: str, stdin: bytes = b"", **more: str) -> subprocess.CompletedProcess[bytes]:
    """A command line from start to end, with this input."""
    return subprocess.run(
        [*PROGRAM, *args], input=stdin, capture_output=True, env=environment(home, **more), timeout=30, check=False
    )


@contextmanager
def started(home: Path, args: Sequence[str], **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server that is killed at the end of the block if it still runs; its three streams are pipes."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*PROGRAM, *args], stdin=pipe, stdout=pipe, stderr=pipe, env=environment(home, **more)
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def send(process: subprocess.Popen[bytes], message: object) -> None:
    assert process.stdin
    process.stdin.write(json.dumps(message).encode() + b"\n")
    process.stdin.flush()


def receive(process: subprocess.Popen[bytes]) -> Any:
    assert process.stdout
    return json.loads(process.stdout.readline())


def await_stderr(process: subprocess.Popen[bytes], text: str) -> str:
    """Read stderr up to a line that contains the text; gives that line."""
    assert process.stderr
    for line in process.stderr:
        if text in line.decode():
            return line.decode()
    raise AssertionError(f"{text!r} never came")
