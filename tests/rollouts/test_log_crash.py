"""Processes that are killed while they write, and processes that write at once."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from rollouts.errors import Conflict
from rollouts.log import FileLog


def line(number: int) -> bytes:
    return b'{"line":%d,"text":"%s"}' % (number, b"x" * (number * 37 % 3000))


def child(work: Callable[[], None]) -> int:
    """Run `work` in a child process and return its id; nothing of this process's tests runs there."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


def write_and_acknowledge(path: Path, pipe: int) -> None:
    log = FileLog(path)
    number = end = 0
    while True:
        batch = [line(number + more) for more in range(1 + number % 4)]
        end = log.append(batch, expected_end=end)
        number += len(batch)
        os.write(pipe, b"%d %d\n" % (number, end))


@pytest.mark.parametrize("seed", range(12))
def test_a_killed_writer_leaves_what_it_acknowledged_and_at_most_one_torn_line(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "killed.jsonl"
    reader, writer = os.pipe()
    pid = child(lambda: write_and_acknowledge(path, writer))
    os.close(writer)
    with os.fdopen(reader, "rb") as acknowledgements:
        first = acknowledgements.readline()
        time.sleep(random.Random(seed).random() / 100)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        number, end = map(int, (first + acknowledgements.read()).splitlines()[-1].split())

    log = FileLog(path)
    records = list(log.read())
    assert [r.data for r in records[:number]] == [line(n) for n in range(number)]
    assert records[number - 1].end == end
    for extra, record in enumerate(records[number:], number):
        assert line(extra).startswith(record.data) if record.torn else record.data == line(extra)

    log.append([b"on we go"], expected_end=log.end())
    assert [r.data for r in log.read()] == [*(r.data for r in records), b"on we go"]


def test_writers_at_once_lose_nothing_and_never_slip_in_unnoticed(tmp_path: Path) -> None:
    path = tmp_path / "shared.jsonl"
    names = (b"a", b"b", b"c")

    def write(name: bytes) -> None:
        log = FileLog(path)
        number = 0
        while number < 100:
            pair = [b"%s begins %d" % (name, number), b"%s ends %d" % (name, number)]
            expected = log.end()
            with contextlib.suppress(Conflict):
                end = log.append(pair, expected_end=expected)
                assert log.appended(pair, end)[0].offset == expected
                number += 1

    pids = [child(partial(write, name)) for name in names]
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
    lines = [record.data for record in FileLog(path).read()]
    for name in names:
        mine = [text for text in lines if text.startswith(name)]
        assert mine == [b"%s %s %d" % (name, word, n) for n in range(100) for word in (b"begins", b"ends")]
    for begin, end in zip(lines[::2], lines[1::2], strict=True):
        assert begin.replace(b"begins", b"ends") == end
