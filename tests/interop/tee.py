"""Runs a stdio server for a client and keeps what both say: `python -m tests.interop.tee RECORD SERVER ARGS...`.

Each line of the record is `>` (client) or `<` (server) and the message. Ends as the server ends.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from tests.interop.wire import Wire


def script(path: Path, record: Path, server: list[str]) -> Path:
    """An executable for clients that start a server by path; it records what is said."""
    words = [sys.executable, "-m", "tests.interop.tee", str(record), *server]
    path.write_text("#!/bin/sh\nexec " + " ".join(f"'{word}'" for word in words) + ' "$@"\n')
    path.chmod(0o755)
    return path


def replay(record: Path) -> Wire:
    """What was said, checked as it is read."""
    wire = Wire()
    for line in record.read_bytes().splitlines():
        (wire.client_says if line.startswith(b">") else wire.server_says)(line[1:])
    return wire


def main(record: str, *server: str) -> int:
    """Run the server between our stdin and stdout."""
    with open(record, "ab", buffering=0) as kept:
        process = subprocess.Popen(server, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin and process.stdout
        threading.Thread(target=_copy, args=(sys.stdin.buffer, process.stdin, b">", kept), daemon=True).start()
        _copy(process.stdout, sys.stdout.buffer, b"<", kept)
        return process.wait()


def _copy(source: IO[bytes], sink: IO[bytes], mark: bytes, kept: IO[bytes]) -> None:
    try:
        for line in source:
            kept.write(mark + line)
            sink.write(line)
            sink.flush()
    except BrokenPipeError:
        pass  # the other side has gone, which the server sees for itself
    sink.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
