"""What clients see of commands that need somebody's word: items, flags of the thread, a turn joined meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine import tool_operations
from engine.asks import CommandAnswerFailed, PatchAnswerFailed
from engine.overlay import Overlay
from engine.processes.spawn import Command
from projections import protocol as p
from rollouts import events as ev
from tests.engine.harness import Engine, engine, make_home, until

pytestmark = pytest.mark.anyio

ASKED = "item/commandExecution/requestApproval"


def call(line: str) -> tuple[str, str]:
    return "exec_command", msgspec.json.encode({"cmd": line, "login": False}).decode()


async def question(running: Engine, number: int = 0) -> tuple[str, Any, Any]:
    await until(lambda: len(running.sink.questions) > number, "the question")
    return running.sink.questions[number]


def told(running: Engine, method: str) -> list[p.CommandExecutionThreadItem]:
    items = [note.item for note in running.sink.of(method)]
    return [item for item in items if isinstance(item, p.CommandExecutionThreadItem)]


def asked(call_id: str) -> ev.ExecApprovalRequest:
    return ev.ExecApprovalRequest(call_id=call_id, turn_id="t", command=("ls",), cwd="/w", parsed_cmd=())


async def test_a_command_is_shown_once_with_the_question(tmp_path: Path) -> None:
    async with engine(make_home(tmp_path)) as running:
        thread = await running.start(approval_policy="untrusted", sandbox="danger-full-access")
        running.model.replies.append(call("touch x"))
        turn = running.begin(thread)
        method, params, answer = await question(running)
        assert (method, params.command) == (ASKED, "/bin/bash -c 'touch x'")
        (shown,) = told(running, "item/started")
        assert (shown.source, shown.process_id) == ("agent", None)
        open_turn = (await running.resume(thread)).thread.turns[-1]
        assert [type(item) for item in open_turn.items] == [p.UserMessageThreadItem], "it has not begun"
        answer(p.CommandExecutionRequestApprovalResponse(decision="accept"))
        await running.ended(turn)
        assert len(told(running, "item/started")) == 1
        (ended,) = told(running, "item/completed")
        assert (ended.source, ended.status) == ("unifiedExecStartup", "completed")


async def test_an_error_instead_of_an_answer_shows_as_a_failure(tmp_path: Path) -> None:
    async with engine(make_home(tmp_path)) as running:
        thread = await running.start(approval_policy="untrusted", sandbox="danger-full-access", model="gpt-5.4")
        patch = "*** Begin Patch\n*** Add File: x\n+x\n*** End Patch"
        running.model.replies.append(call("touch x"))
        running.model.replies.append(("exec_command", msgspec.json.encode({"cmd": f"apply_patch '{patch}'"}).decode()))
        turn = running.begin(thread)
        (await question(running, 0))[2](CommandAnswerFailed())
        _, params, answer = await question(running, 1)
        answer(PatchAnswerFailed() if isinstance(params, p.FileChangeRequestApprovalParams) else CommandAnswerFailed())
        await running.ended(turn)
        assert told(running, "item/completed")[0].status == "failed"
        assert not (tmp_path / "work" / "x").exists()


async def test_what_the_sandbox_stopped_at_once_has_no_item(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def bare(command: Command, *_: object) -> Command:
        return command

    monkeypatch.setattr(tool_operations, "confine", bare)
    async with engine(make_home(tmp_path)) as running:
        thread = await running.start(approval_policy="never", sandbox="read-only")
        running.model.replies.append(call("echo permission denied; exit 3"))
        await running.turn(thread)
        output = running.model.requests[-1].body
        assert b"Process exited with code 3" in msgspec.json.encode(output)
        assert not told(running, "item/started")


def test_the_flags_are_those_of_all_open_questions() -> None:
    overlay = Overlay()

    def flags(*events: ev.Body) -> list[str]:
        for event in events:
            overlay.apply(event)
        assert isinstance(overlay.status, p.ActiveThreadStatus)
        return list(overlay.status.active_flags)

    started = ev.TaskStarted(turn_id="t")
    input_asked = ev.RequestUserInput(call_id="c", turn_id="t", questions=msgspec.Raw(b"[]"))
    assert flags(started, asked("a"), asked("b")) == ["waitingOnApproval"]
    assert flags(input_asked) == ["waitingOnApproval", "waitingOnUserInput"]
    assert flags(ev.QuestionClosed(call_id="a")) == ["waitingOnApproval", "waitingOnUserInput"]
    assert flags(ev.QuestionClosed(call_id="b")) == ["waitingOnUserInput"]
    assert flags(ev.QuestionClosed(call_id="c")) == []
    flags(asked("d"))
    overlay.apply(ev.TurnAborted(turn_id="t", reason="interrupted"))
    assert flags(ev.TaskStarted(turn_id="u")) == [], "questions end with their turn"


async def test_a_patch_that_fails_says_why_in_its_item(tmp_path: Path) -> None:
    async with engine(make_home(tmp_path)) as running:
        (tmp_path / "work" / "folder").mkdir()
        thread = await running.start(approval_policy="never", sandbox="danger-full-access")
        running.model.replies.append(
            call("apply_patch <<'E'\n*** Begin Patch\n*** Add File: folder\n+x\n*** End Patch\nE")
        )
        await running.turn(thread)
        (note,) = running.sink.of("item/fileChange/outputDelta")
        assert note.delta == f"Failed to write file {tmp_path}/work/folder\n"


@pytest.mark.parametrize(("access", "seen"), [("restricted", "1"), ("enabled", "")])
async def test_commands_are_told_that_they_have_no_network(tmp_path: Path, access: p.NetworkAccess, seen: str) -> None:
    async with engine(make_home(tmp_path)) as running:
        thread = await running.start(approval_policy="never")
        policy = p.ExternalSandboxSandboxPolicy(network_access=access)
        running.model.replies.append(call("echo net=$CODEX_SANDBOX_NETWORK_DISABLED."))
        given: list[p.UserInput] = [p.TextUserInput(text="go")]
        turn, begin = running.host.turns.start(p.TurnStartParams(thread_id=thread, input=given, sandbox_policy=policy))
        begin()
        await running.ended(turn)
        assert f"net={seen}.".encode() in msgspec.json.encode(running.model.requests[-1].body)


async def test_a_declined_patch_is_in_the_extended_history(tmp_path: Path) -> None:
    patch = "*** Begin Patch\n*** Add File: x\n+x\n*** End Patch"
    async with engine(make_home(tmp_path)) as running:
        thread = await running.start(approval_policy="untrusted", persist_extended_history=True)
        running.model.replies.append(call(f"apply_patch <<'E'\n{patch}\nE"))
        turn = running.begin(thread)
        (await question(running))[2](p.FileChangeRequestApprovalResponse(decision="decline"))
        await running.ended(turn)
        assert not running.sink.of("item/fileChange/outputDelta")
        (item,) = [item for item in (await running.resume(thread)).thread.turns[-1].items if is_patch(item)]
        assert item.status == "declined"  # type: ignore[union-attr]


def is_patch(item: p.ThreadItem) -> bool:
    return isinstance(item, p.FileChangeThreadItem)


async def test_the_diff_of_a_turn_shows_what_commands_made_of_patched_files(tmp_path: Path) -> None:
    patch = "*** Begin Patch\n*** Add File: x\n+x\n*** End Patch"
    async with engine(make_home(tmp_path)) as running:
        thread = await running.start(approval_policy="never", sandbox="danger-full-access")
        running.model.replies.extend([call(f"apply_patch <<'E'\n{patch}\nE"), call("echo more >> x; echo other > y")])
        await running.turn(thread)
        diffs = [note.diff for note in running.sink.of("turn/diff/updated")]
        assert [diff.count("\n+") - 1 for diff in diffs] == [1, 1, 2, 2], diffs[-1]
