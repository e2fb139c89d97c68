"""Commands under bubblewrap: its arguments for a view, and finding it (spec: sandbox, sections 2, 3 and 6).

There is no way around it: without a usable bubblewrap a command that needs a sandbox is refused, never run bare.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import PurePosixPath

from engine.processes.spawn import Arg, Content
from engine.sandbox.seccomp import MACHINES, network_filter
from engine.sandbox.view import Root, SandboxUnsupported, View, inside

MISSING = (
    "bubblewrap was not found on PATH, and commands must not run without a sandbox: install `bwrap` with your OS"
    " package manager, or allow the command to run without one"
)
_NOTHING = Content(b"")


def confine(argv: Sequence[Arg], view: View, program: str, *, proc: bool = True) -> tuple[Arg, ...]:
    """The command line that runs `argv` under bubblewrap with this view.

    :param program: path of bubblewrap.
    :param proc: whether a fresh `/proc` can be mounted here.
    """
    filtered: tuple[Arg, ...] = () if view.network else ("--seccomp", Content(_network_filter()))
    return (program, *arguments(view, proc=proc), *filtered, "--", *argv)


def arguments(view: View, *, proc: bool = True) -> tuple[Arg, ...]:
    """The arguments of bubblewrap itself, in the reference's order."""
    if view.writes_all:
        return ("--new-session", "--die-with-parent", "--dev-bind", "/", "/")
    network = () if view.network else ("--unshare-net",)
    mounted = ("--proc", "/proc") if proc else ()
    return (
        *("--new-session", "--die-with-parent"),
        *_readable(view),
        *_writable(view),
        *_denied(view),
        *("--unshare-user", "--unshare-pid"),
        *network,
        *mounted,
    )


def _readable(view: View) -> Iterator[str]:
    if view.reads_all:
        yield from ("--ro-bind", "/", "/", "--dev", "/dev")
        return
    yield from ("--tmpfs", "/", "--dev", "/dev")
    for path in view.readable:
        yield from ("--ro-bind", path, path)


def _writable(view: View) -> Iterator[str]:
    """Writable roots that no denied folder hides; those come back with the folder."""
    for root in view.writable:
        if not any(inside(root.path, folder) for folder in view.denied):
            yield from _bind(root)


def _bind(root: Root) -> Iterator[str]:
    yield from ("--bind", root.path, root.path)
    if root.path == "/":
        yield from ("--dev", "/dev")
    for path in root.read_only:
        yield from ("--ro-bind", path, path) if os.path.lexists(path) else ("--ro-bind", "/dev/null", _missing(path))


def _denied(view: View) -> Iterator[Arg]:
    for path in view.denied:
        if os.path.isdir(path):
            yield from _denied_folder(path, [root for root in view.writable if inside(root.path, path)])
        elif os.path.lexists(path):
            yield from ("--perms", "000", "--ro-bind-data", _NOTHING, path)
        elif any(inside(path, root.path) for root in view.writable):
            yield from ("--ro-bind", "/dev/null", _missing(path))


def _denied_folder(folder: str, shown: Sequence[Root]) -> Iterator[str]:
    """An empty folder in its place, in which only writable roots can be reached."""
    yield from ("--perms", "111" if shown else "000", "--tmpfs", folder)
    for root in shown:
        yield from _folders(folder, root.path)
    yield from ("--remount-ro", folder)
    for root in shown:
        yield from _folders(folder, root.path)
        yield from _bind(root)


def _folders(above: str, path: str) -> Iterator[str]:
    steps = [str(step) for step in (*reversed(PurePosixPath(path).parents), PurePosixPath(path))]
    for step in steps:
        if step != above and inside(step, above):
            yield from ("--dir", step)


def _missing(path: str) -> str:
    """The first component of a path that does not exist: with it in place nothing below can be made."""
    steps = [str(step) for step in (*reversed(PurePosixPath(path).parents), PurePosixPath(path))]
    return next((step for step in steps if not os.path.lexists(step)), path)


def _network_filter() -> bytes:
    machine = MACHINES.get(platform.machine())
    if machine is None:
        raise SandboxUnsupported(f"commands cannot be cut off from the network on {platform.machine()}")
    return network_filter(machine)


def find(path: str, avoid: Sequence[str]) -> str:
    """The bubblewrap on a PATH, but none in a folder that commands can write to.

    :raises SandboxUnsupported: when there is none.
    """
    for folder in path.split(os.pathsep):
        program = os.path.join(folder, "bwrap")
        if not os.path.isabs(folder) or any(inside(os.path.realpath(program), place) for place in avoid):
            continue
        if os.path.isfile(program) and os.access(program, os.X_OK):
            return program
    raise SandboxUnsupported(MISSING)


@cache
def mounts_proc(program: str) -> bool:
    """Whether a fresh `/proc` can be mounted; inside some containers it cannot. Tried once."""
    base = [program, "--ro-bind", "/", "/", "--dev", "/dev", "--unshare-user", "--unshare-pid"]
    run = [[*base, *proc, "--", "/bin/true"] for proc in (("--proc", "/proc"), ())]
    with_proc, without = map(_works, run)
    return with_proc or not without


def _works(argv: Sequence[str]) -> bool:
    try:
        return subprocess.run(argv, capture_output=True, check=False, timeout=5).returncode == 0
    except subprocess.TimeoutExpired:
        return False
