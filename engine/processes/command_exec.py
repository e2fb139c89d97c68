"""`command/exec`: commands that clients run without a thread, and what they may do with them while they run.

Process ids belong to the connection that chose them, and so do the processes: when it goes, they are killed. Words
and numbers are the reference's (spec: tools, section 11; sandbox, section 7; observed).
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import anyio

from engine.config import Config
from engine.errors import BadRequest, BadValue, Internal
from engine.permissions import bridge
from engine.processes.base64_input import BadBase64, decode
from engine.processes.buffers import CAP_BYTES, guessed_text
from engine.processes.environment import command_environment
from engine.processes.session import NoTerminal, Session, StdinClosed
from engine.processes.spawn import Command, Size, SpawnError, Stream
from engine.sandbox import SandboxUnsupported, confine
from engine.sandbox.view import places
from engine.sandbox_settings import configured_sandbox
from engine.settings import absolute
from projections import protocol as p

DEFAULT_TIMEOUT_MS = 10_000
TIMED_OUT = 124
"""Exit code of a command whose time was over."""


class Client(Protocol):
    """The connection that runs a command."""

    @property
    def id(self) -> int:
        """Unique in this process."""

    @property
    def gone(self) -> bool:
        """Whether it was closed."""

    def notify(self, method: str, params: object) -> None:
        """Queue a notification to it."""

    async def caught_up(self) -> None:
        """Wait until it has read most of what was queued."""


class Commands:
    """The commands that clients run.

    :param load: the configuration in force for a folder.
    :param cwd: the server's folder, where relative paths start.
    """

    def __init__(self, load: Callable[[Path], Config], cwd: Path) -> None:
        self._load = load
        self._cwd = cwd
        self._running: dict[int, dict[object, _Execution]] = {}
        """By connection and process id; a command without an id of its own has one that nobody can name."""

    async def run(self, client: Client, params: p.CommandExecParams) -> p.CommandExecResponse:
        """Run a command to its end; all its output is notified before this returns.

        :raises BadRequest: it cannot be run like this.
        :raises BadValue: options that contradict each other or are out of range.
        :raises Internal: the system cannot start it.
        """
        _check(params)
        command = await self._command(params)
        if client.gone:
            raise BadRequest("the connection was closed")  # nobody would end the command any more
        process_id: object = object() if params.process_id is None else params.process_id
        running = self._running.setdefault(client.id, {})
        if process_id in running:
            raise BadRequest(f"duplicate active command/exec process id: {_quoted(process_id)}")
        try:
            execution = _Execution(command, params, client)
        except SpawnError as error:
            raise Internal(f"failed to spawn command: {error}") from error
        running[process_id] = execution
        try:
            return await execution.run(_timeout(params))
        finally:
            del running[process_id]
            if not running and self._running.get(client.id) is running:
                del self._running[client.id]

    async def write(self, connection_id: int, params: p.CommandExecWriteParams) -> None:
        """Write to a command's stdin, end it, or both.

        :raises BadRequest: no such command, or it takes no input.
        :raises BadValue: nothing to do, or no base64.
        """
        if params.delta_base64 is None and not params.close_stdin:
            raise BadValue("command/exec/write requires deltaBase64 or closeStdin")
        try:
            data = decode(params.delta_base64 or "")
        except BadBase64 as error:
            raise BadValue(f"invalid deltaBase64: {error}") from error
        execution = self._find(connection_id, params.process_id)
        if not execution.streams_stdin:
            raise BadRequest("stdin streaming is not enabled for this command/exec")
        try:
            if data:
                await execution.session.write(data)
            if params.close_stdin:
                await execution.session.close_stdin()
        except StdinClosed:
            raise BadRequest("stdin is already closed") from None

    def resize(self, connection_id: int, params: p.CommandExecResizeParams) -> None:
        """Give a command's terminal another size.

        :raises BadRequest: no such command, or it has no terminal.
        :raises BadValue: a size of nothing.
        """
        size = _size(params.size)
        try:
            self._find(connection_id, params.process_id).session.resize(size)
        except NoTerminal:
            raise BadRequest("failed to resize PTY: process is not attached to a PTY") from None

    def terminate(self, connection_id: int, params: p.CommandExecTerminateParams) -> None:
        """Kill a command with all its children.

        :raises BadRequest: no such command.
        """
        self._find(connection_id, params.process_id).session.kill()

    def client_gone(self, connection_id: int) -> None:
        """A connection was closed: its commands are killed."""
        for execution in self._running.get(connection_id, {}).values():
            execution.session.kill()

    def _find(self, connection_id: int, process_id: str) -> _Execution:
        found = self._running.get(connection_id, {}).get(process_id)
        if found is None:
            raise BadRequest(f"no active command/exec for process id {_quoted(process_id)}")
        return found

    async def _command(self, params: p.CommandExecParams) -> Command:
        """The command as it will run: environment, folder, sandbox."""
        config = self._load(self._cwd)
        cwd = str(absolute(params.cwd or ".", self._cwd))
        env = command_environment(config, os.environ)
        for name, value in (params.env or {}).items():
            env.pop(name, None)
            if value is not None and name:
                # As a line of the environment reads: `A=B` set to `1` is `A` set to `B=1`.
                name, _, more = f"{name}={value}".partition("=")
                env[name] = more
        interactive = params.tty or params.stream_stdin
        command = Command(
            argv=tuple(params.command),
            cwd=cwd,
            env=env,
            tty=_size(params.size) if params.tty else None,
            stdin=interactive,
        )
        permissions, workspace = self._permissions(params, config, cwd)
        try:
            return await confine(command, permissions, workspace)
        except SandboxUnsupported as error:
            raise Internal(f"failed to spawn command: {error}") from error

    def _permissions(
        self, params: p.CommandExecParams, config: Config, cwd: str
    ) -> tuple[p.SandboxPolicy | p.PermissionProfile, str]:
        """What the command may do, and the folder that this is about: its own for a profile, else the server's."""
        if params.permission_profile is not None:
            try:
                _, granted = bridge.project(params.permission_profile, places(cwd, os.environ))
            except bridge.Unprojectable as error:
                raise BadRequest(f"invalid permission profile: {error}") from error
            return granted, cwd
        if params.sandbox_policy is not None:
            return params.sandbox_policy, str(self._cwd)
        return configured_sandbox(config)[1], str(self._cwd)


class _Execution:
    """One command while it runs."""

    def __init__(self, command: Command, params: p.CommandExecParams, client: Client) -> None:
        self.streams_stdin = params.tty or params.stream_stdin
        self._streams_output = params.tty or params.stream_stdout_stderr
        self._process_id = params.process_id or ""
        self._client = client
        cap = CAP_BYTES if params.output_bytes_cap is None else params.output_bytes_cap
        room = None if params.disable_output_cap else cap
        self._room: dict[Stream, int | None] = {"stdout": room, "stderr": room}
        """Bytes that may still come; None for any number, negative once a stream is cut off."""
        self._captured: dict[Stream, list[bytes]] = {"stdout": [], "stderr": []}
        self.session = Session(command, self._take, pace=client.caught_up if self._streams_output else None)

    async def run(self, timeout_ms: int | None) -> p.CommandExecResponse:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.session.run)
            with anyio.move_on_after(None if timeout_ms is None else timeout_ms / 1000) as limit:
                await self.session.exited.wait()
            if limit.cancelled_caught:
                self.session.kill()
        code = self.session.exit_code
        return p.CommandExecResponse(
            exit_code=TIMED_OUT if limit.cancelled_caught or code is None else code,
            stdout=guessed_text(b"".join(self._captured["stdout"])),
            stderr=guessed_text(b"".join(self._captured["stderr"])),
        )

    def _take(self, stream: Stream, data: bytes) -> None:
        room = self._room[stream]
        if room is not None:
            if room < 0:
                return
            data = data[:room]
            self._room[stream] = room - len(data) or -1
        if not self._streams_output:
            self._captured[stream].append(data)
            return
        self._client.notify(
            "command/exec/outputDelta",
            p.CommandExecOutputDeltaNotification(
                process_id=self._process_id,
                stream=stream,
                delta_base64=base64.b64encode(data).decode(),
                cap_reached=self._room[stream] == -1,
            ),
        )


def _check(params: p.CommandExecParams) -> None:
    """Refuse what contradicts itself, in the reference's order."""
    if not params.command:
        raise BadRequest("command must not be empty")
    if params.size is not None and not params.tty:
        raise BadValue("command/exec size requires tty: true")
    if params.disable_output_cap and params.output_bytes_cap is not None:
        raise BadValue("command/exec cannot set both outputBytesCap and disableOutputCap")
    if params.disable_timeout and params.timeout_ms is not None:
        raise BadValue("command/exec cannot set both timeoutMs and disableTimeout")
    if params.timeout_ms is not None and params.timeout_ms < 0:
        raise BadValue(f"command/exec timeoutMs must be non-negative, got {params.timeout_ms}")
    if params.sandbox_policy is not None and params.permission_profile is not None:
        raise BadRequest("`permissionProfile` cannot be combined with `sandboxPolicy`")
    if params.size is not None:
        _size(params.size)
    if params.process_id is None and (params.tty or params.stream_stdin or params.stream_stdout_stderr):
        raise BadRequest("command/exec tty or streaming requires a client-supplied processId")


def _size(size: p.CommandExecTerminalSize | None) -> Size:
    if size is None:
        return Size()
    if size.rows == 0 or size.cols == 0:
        raise BadValue("command/exec size rows and cols must be greater than 0")
    return Size(rows=size.rows, cols=size.cols)


def _timeout(params: p.CommandExecParams) -> int | None:
    if params.disable_timeout:
        return None
    return DEFAULT_TIMEOUT_MS if params.timeout_ms is None else params.timeout_ms


def _quoted(process_id: object) -> str:
    return '"' + str(process_id).replace("\\", "\\\\").replace('"', '\\"') + '"'
