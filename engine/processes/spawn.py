"""Starting one process: its group, its terminal or pipes, and its death with ours.

Linux only. Every command leads a process group (and session) of its own, so that it can be killed with all its
children. `spawn` must be called in the thread that runs the event loop: the kernel ends a child when the *thread*
that started it ends.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import cache
from typing import Literal

import msgspec

Stream = Literal["stdout", "stderr"]

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class Size(msgspec.Struct, frozen=True):
    """Size of a terminal in characters."""

    rows: int = 24
    cols: int = 80


class Content(msgspec.Struct, frozen=True):
    """Stands in a command line for the number of an open file that holds this."""

    data: bytes


Arg = str | Content


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What to run and how it is connected."""

    argv: tuple[Arg, ...]
    cwd: str
    env: Mapping[str, str]
    """The whole environment; the program is looked up in its PATH."""
    tty: Size | None = None
    """Run on a terminal of this size; its output is all stdout."""
    stdin: bool = False
    """Keep stdin open for writing; otherwise it is empty. A terminal can always be written to."""
    merged: bool = False
    """Send stderr down the pipe of stdout, in the order in which both were written."""
    leave_group: bool = False
    """Let children that outlive the command run on, as the `shell` tools do; otherwise they are killed with it."""


class SpawnError(Exception):
    """The command could not be started; the text is the operating system's, as the reference words it.

    :param code: the system's error number, None when it was not even asked.
    """

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(reason)
        self.code = code


class Spawned(msgspec.Struct, frozen=True):
    """A process that runs and our ends of its connections; descriptors do not block."""

    process: subprocess.Popen[bytes]
    outputs: Mapping[Stream, int]
    stdin: int | None
    terminal: int | None


def spawn(command: Command) -> Spawned:
    """Start a process.

    :raises SpawnError: when there is no such program or folder, and the like.
    """
    if not command.argv or command.argv[0] == "":
        raise SpawnError(f"missing program for {'PTY' if command.tty else 'pipe'} spawn")
    with ExitStack() as parent, ExitStack() as child:
        try:
            spawned = (
                _on_terminal(command, command.tty, parent, child) if command.tty else _on_pipes(command, parent, child)
            )
        except (OSError, ValueError) as error:
            raise _spawn_error(error) from error
        parent.pop_all()
        return spawned


def kill_group(process_group: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to all processes of a group; one that is gone, or not ours to kill, is left alone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process_group, number)


def set_size(terminal: int, size: Size) -> None:
    """Give a terminal a size; its foreground processes get SIGWINCH."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", size.rows, size.cols, 0, 0))


def _on_terminal(command: Command, size: Size, parent: ExitStack, child: ExitStack) -> Spawned:
    ours, theirs = os.openpty()
    parent.callback(os.close, ours)
    child.callback(os.close, theirs)
    set_size(ours, size)
    os.set_blocking(ours, False)
    process = _popen(command, theirs, theirs, theirs, _take_terminal)
    return Spawned(process=process, outputs={"stdout": ours}, stdin=ours, terminal=ours)


def _on_pipes(command: Command, parent: ExitStack, child: ExitStack) -> Spawned:
    def pipe() -> tuple[int, int]:
        read, write = os.pipe()
        return read, write

    outputs: dict[Stream, int] = {}
    writers = {}
    for stream in ("stdout",) if command.merged else ("stdout", "stderr"):
        outputs[stream], writers[stream] = pipe()  # type: ignore[index]
        parent.callback(os.close, outputs[stream])  # type: ignore[index]
        child.callback(os.close, writers[stream])
    stdin_read, stdin = pipe() if command.stdin else (subprocess.DEVNULL, None)
    if stdin is not None:
        child.callback(os.close, stdin_read)
        parent.callback(os.close, stdin)
        os.set_blocking(stdin, False)
    for fd in outputs.values():
        os.set_blocking(fd, False)
    process = _popen(command, stdin_read, writers["stdout"], writers.get("stderr", writers["stdout"]), None)
    return Spawned(process=process, outputs=outputs, stdin=stdin, terminal=None)


def _popen(
    command: Command, stdin: int, stdout: int, stderr: int, prepare: Callable[[], None] | None
) -> subprocess.Popen[bytes]:
    with ExitStack() as files:
        numbers = {at: _file(arg, files) for at, arg in enumerate(command.argv) if isinstance(arg, Content)}
        argv = [str(numbers.get(at, arg)) for at, arg in enumerate(command.argv)]
        launcher = _launcher() if prepare is None and _is_binary(argv[0]) else ()
        return subprocess.Popen(
            [*launcher, *argv],
            cwd=command.cwd,
            env=command.env,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=tuple(numbers.values()),
            start_new_session=True,
            preexec_fn=None if launcher else _in_child(prepare),
            bufsize=0,
        )


@cache
def _launcher() -> tuple[str, ...]:
    """A program that asks for its death with ours and then becomes the command; nothing where there is none.

    To ask from Python in the child takes a copy of this process, at fifteen times the cost, and all waits for it.
    """
    path = shutil.which("setpriv", path=os.defpath)
    words = () if path is None else (path, "--pdeathsig", "TERM", "--")
    known = bool(words) and subprocess.run([*words, *words[:1], "--version"], capture_output=True).returncode == 0
    return words if known else ()


def _is_binary(path: str) -> bool:
    """Whether a launcher will surely be able to start this; whatever else is started by us, so that errors are ours."""
    try:
        with open(path, "rb") as file:
            return os.path.isabs(path) and os.access(path, os.X_OK) and file.read(4) == b"\x7fELF"
    except (OSError, ValueError):
        return False


def _in_child(prepare: Callable[[], None] | None) -> Callable[[], None]:
    """What a copy of this process does before it becomes the command."""
    ours = os.getpid()

    def before_exec() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != ours:
            os._exit(1)
        if prepare:
            prepare()

    return before_exec


def _file(content: Content, files: ExitStack) -> int:
    """An open file with this content, at its beginning."""
    number = os.memfd_create("content")
    files.callback(os.close, number)
    os.write(number, content.data)
    os.lseek(number, 0, os.SEEK_SET)
    return number


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _spawn_error(error: OSError | ValueError) -> SpawnError:
    if isinstance(error, OSError) and error.errno is not None:
        return SpawnError(f"{os.strerror(error.errno)} (os error {error.errno})", error.errno)
    return SpawnError("nul byte found in provided data")
