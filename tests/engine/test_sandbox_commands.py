"""Real commands under bubblewrap: what they can write, see and reach. Skipped where bubblewrap cannot work."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import anyio
import msgspec
import pytest

from engine.processes.session import Session
from engine.processes.spawn import Command, Size
from engine.sandbox import SandboxUnsupported, confine, confined, likely_denied, sandboxed
from projections import protocol as p


def workspace_write(*roots: Path) -> p.SandboxPolicy:
    """Without the temporary folders, in which tests keep their workspaces."""
    return p.WorkspaceWriteSandboxPolicy(
        writable_roots=[str(root) for root in roots], exclude_slash_tmp=True, exclude_tmpdir_env_var=True
    )


def trouble() -> str:
    """Why bubblewrap cannot be used here; empty when it can."""
    program = shutil.which("bwrap")
    if program is None:
        return "bubblewrap is not installed"
    base = [program, "--ro-bind", "/", "/", "--unshare-user", "--unshare-pid", "--unshare-net"]
    tried = subprocess.run([*base, "--", "/bin/true"], capture_output=True, text=True, check=False)
    return tried.stderr.strip() if tried.returncode else ""


TROUBLE = trouble()
pytestmark = [pytest.mark.anyio, pytest.mark.skipif(bool(TROUBLE), reason=f"no sandbox here: {TROUBLE}")]


async def run(
    workspace: Path, permissions: p.SandboxPolicy | p.PermissionProfile, *argv: str, tty: Size | None = None
) -> tuple[int | None, str]:
    """Exit code and output of a command in a sandbox."""
    seen = bytearray()
    command = Command(argv=argv, cwd=str(workspace), env={"PATH": os.environ["PATH"]}, merged=True, tty=tty)
    session = Session(await confine(command, permissions, str(workspace)), lambda stream, data: seen.extend(data))
    with anyio.fail_after(20):
        await session.run()
    return session.exit_code, seen.decode()


async def writes(workspace: Path, permissions: p.SandboxPolicy | p.PermissionProfile, *paths: Path) -> list[bool]:
    """Which of these files a command can write."""
    for path in paths:
        await run(workspace, permissions, "sh", "-c", 'echo hi > "$1"', "sh", str(path))
    return [path.exists() and path.read_text() == "hi\n" for path in paths]


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outside")


async def test_read_only_writes_nothing(tmp_path: Path) -> None:
    assert await writes(tmp_path, p.ReadOnlySandboxPolicy(), tmp_path / "f") == [False]


async def test_workspace_write_writes_the_workspace_but_not_what_governs_it(tmp_path: Path, outside: Path) -> None:
    for name in (".git", ".codex", ".agents", "sub"):
        (tmp_path / name).mkdir()
    names = ("new", "sub/x", ".git/x", ".codex/x", ".agents/x")
    policy = workspace_write()
    found = await writes(tmp_path, policy, *(tmp_path / name for name in names), outside / "x")
    assert found == [True, True, False, False, False, False]


async def test_a_missing_codex_folder_cannot_be_made(tmp_path: Path) -> None:
    policy = workspace_write()
    code, _ = await run(tmp_path, policy, "mkdir", ".codex")
    assert code == 1
    assert not (tmp_path / ".codex").is_dir()


async def test_more_roots_may_be_written(tmp_path: Path, outside: Path) -> None:
    policy = workspace_write(outside)
    assert await writes(tmp_path, policy, outside / "x") == [True]


async def test_a_command_does_not_choose_its_sandbox_by_its_folder(tmp_path: Path, outside: Path) -> None:
    policy = workspace_write()
    command = Command(argv=("touch", "x"), cwd=str(outside), env={"PATH": os.environ["PATH"]})
    session = Session(confined(command, policy, str(tmp_path)), lambda stream, data: None)
    await session.run()
    assert session.exit_code == 1
    assert list(outside.iterdir()) == []


async def test_a_workspace_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real/.git").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    found = await writes(tmp_path / "link", workspace_write(), tmp_path / "real/x", tmp_path / "link/.git/x")
    assert found == [True, False]


async def test_full_access_is_no_sandbox(tmp_path: Path) -> None:
    assert sandboxed(("ls",), p.DangerFullAccessSandboxPolicy(), str(tmp_path)) == ("ls",)


async def test_somebody_elses_sandbox_is_told_about_the_network(tmp_path: Path) -> None:
    policy = p.ExternalSandboxSandboxPolicy(network_access="restricted")
    assert await run(tmp_path, policy, "sh", "-c", "echo $CODEX_SANDBOX_NETWORK_DISABLED") == (0, "1\n")


CONNECT = """
import os, socket, sys
print(os.environ.get("CODEX_SANDBOX_NETWORK_DISABLED"))
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK):
    try:
        socket.socket(family, socket.SOCK_RAW if family == socket.AF_NETLINK else socket.SOCK_STREAM).close()
        print("made")
    except PermissionError:
        print("refused")
a, b = socket.socketpair()
a.send(b"x")
socket.socket(socket.AF_UNIX).close()
"""

UNRESTRICTED = {"type": "managed", "network": {"enabled": False}, "fileSystem": {"type": "unrestricted"}}


@pytest.mark.parametrize(
    ("permissions", "answer"),
    [
        (p.ReadOnlySandboxPolicy(), "1 refused refused refused"),
        (p.ReadOnlySandboxPolicy(network_access=True), "None made made made"),
        (msgspec.convert(UNRESTRICTED, p.PermissionProfile), "1 refused refused refused"),
    ],
    ids=["off", "on", "off-with-full-disk"],
)
async def test_the_network_is_off_but_for_unix_sockets(
    tmp_path: Path, permissions: p.SandboxPolicy | p.PermissionProfile, answer: str
) -> None:
    code, output = await run(tmp_path, permissions, sys.executable, "-c", CONNECT)
    assert (code, output.split()) == (0, answer.split())


async def test_with_network_local_servers_can_be_reached(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2).close(); print('reached')"
        on = await run(tmp_path, p.ReadOnlySandboxPolicy(network_access=True), sys.executable, "-c", script)
        off = await run(tmp_path, p.ReadOnlySandboxPolicy(), sys.executable, "-c", script)
    assert on == (0, "reached\n")
    assert off[0] == 1


async def test_processes_of_the_host_are_out_of_sight(tmp_path: Path) -> None:
    _, output = await run(tmp_path, p.ReadOnlySandboxPolicy(), "sh", "-c", "cat /proc/1/comm")
    assert output == "bwrap\n"


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("true", 0)])
async def test_exit_codes_come_through(tmp_path: Path, script: str, code: int) -> None:
    assert await run(tmp_path, p.ReadOnlySandboxPolicy(), "sh", "-c", script) == (code, "")


async def test_a_terminal_works_inside(tmp_path: Path) -> None:
    assert await run(tmp_path, p.ReadOnlySandboxPolicy(), "stty", "size", tty=Size(5, 7)) == (0, "5 7\r\n")


async def test_a_killed_command_leaves_nothing_behind(tmp_path: Path) -> None:
    argv = ("sh", "-c", "(trap '' TERM HUP; sleep 3171) & echo ready; sleep 3171")
    command = Command(argv=argv, cwd=str(tmp_path), env={"PATH": os.environ["PATH"]})
    ready = anyio.Event()
    session = Session(confined(command, p.ReadOnlySandboxPolicy(), str(tmp_path)), lambda stream, data: ready.set())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.run)
        await ready.wait()
        tasks.cancel_scope.cancel()
    with anyio.fail_after(10):
        while subprocess.run(["pgrep", "-f", "sleep 3171"], capture_output=True, check=False).returncode == 0:
            await anyio.sleep(0.02)


def profile(workspace: Path, *entries: tuple[str, str]) -> p.PermissionProfile:
    made = [{"path": {"type": "special", "value": {"kind": "root"}}, "access": "read"}]
    for path, access in entries:
        kind = (
            {"type": "glob_pattern", "pattern": path}
            if "*" in path
            else {"type": "path", "path": str(workspace / path)}
        )
        made.append({"path": kind, "access": access})
    files = {"type": "restricted", "entries": made}
    found: p.PermissionProfile = msgspec.convert(
        {"type": "managed", "network": {"enabled": False}, "fileSystem": files}, p.PermissionProfile
    )
    return found


async def test_what_is_denied_reads_as_empty(tmp_path: Path) -> None:
    for name in ("sec/f", "sec/pub/f", "top", "a/x.env", "docs/f"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("secret")
    (tmp_path / ".codex").mkdir()
    denied = profile(
        tmp_path, (".", "write"), ("sec", "none"), ("sec/pub", "write"), ("top", "none"), ("**/*.env", "none")
    )
    script = 'for f in sec/f sec/pub/f top a/x.env docs/f; do echo "$f=$(cat $f 2>/dev/null)"; done'
    _, output = await run(tmp_path, denied, "sh", "-c", script)
    assert output.split() == ["sec/f=", "sec/pub/f=secret", "top=", "a/x.env=", "docs/f=secret"]


async def test_read_only_islands_have_writable_ones(tmp_path: Path) -> None:
    for name in ("docs/out", ".codex"):
        (tmp_path / name).mkdir(parents=True)
    granted = profile(tmp_path, (".", "write"), ("docs", "read"), ("docs/out", "write"))
    assert await writes(tmp_path, granted, tmp_path / "x", tmp_path / "docs/x", tmp_path / "docs/out/x") == [
        True,
        False,
        True,
    ]


async def test_without_bubblewrap_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnsupported, match="must not run without a sandbox"):
        sandboxed(("ls",), p.ReadOnlySandboxPolicy(), str(tmp_path))


@pytest.mark.parametrize(
    ("code", "output", "denied"),
    [
        (1, "touch: cannot touch 'a': Read-only file system\n", True),
        (1, "bind: Operation not permitted", True),
        (159, "", True),
        (0, "Permission denied", False),
        (127, "sh: x: not found", False),
        (1, "assertion failed", False),
    ],
)
def test_a_failure_may_look_like_the_sandbox(code: int, output: str, denied: bool) -> None:
    assert likely_denied(code, output) is denied
