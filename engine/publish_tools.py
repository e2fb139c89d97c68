"""What clients hear of tool events: commands, patches, MCP and client tools, images (spec tools). Part of `publish`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from engine.processes.buffers import text
from projections import items
from projections import protocol as p
from projections.item_parts import file_changes
from rollouts import events as ev

if TYPE_CHECKING:
    from engine.publish import Scene, Told


def _started(scene: Scene, item: p.ThreadItem | None, turn_id: str) -> Told:
    if item is None:
        return []
    return [("item/started", p.ItemStartedNotification(item=item, thread_id=scene.thread_id, turn_id=turn_id))]


def _completed(scene: Scene, item: p.ThreadItem | None, turn_id: str) -> Told:
    if item is None:
        return []
    return [("item/completed", p.ItemCompletedNotification(item=item, thread_id=scene.thread_id, turn_id=turn_id))]


def _begin(scene: Scene, event: Any) -> Told:
    """Begin events of tools; those without a turn id of their own belong to the open turn."""
    return _started(scene, items.event_item(event, event.call_id), getattr(event, "turn_id", scene.turn_id))


def _end(scene: Scene, event: Any) -> Told:
    return _completed(scene, items.event_item(event, event.call_id), getattr(event, "turn_id", scene.turn_id))


def _whole(scene: Scene, event: Any) -> Told:
    """Tools that are over as soon as they are shown."""
    return [*_begin(scene, event), *_end(scene, event)]


def _command_begun(scene: Scene, event: ev.ExecCommandBegin) -> Told:
    """The start of a command, unless clients saw it with the question about it."""
    return _begin(scene, event) if scene.overlay.shows(event) else []


def _command_asked_about(scene: Scene, event: ev.ExecApprovalRequest) -> Told:
    return _started(scene, _not_run(event), event.turn_id) if scene.overlay.shows(event) else []


def _not_run(
    event: ev.ExecApprovalRequest | ev.CommandDeclined, status: p.CommandExecutionStatus = "inProgress"
) -> p.ThreadItem:
    """The item of a command that has not begun, and perhaps never will."""
    begun = ev.ExecCommandBegin(
        call_id=event.call_id,
        turn_id=event.turn_id,
        command=event.command,
        cwd=event.cwd,
        parsed_cmd=event.parsed_cmd,
    )
    item = items.event_item(begun, event.call_id)
    assert isinstance(item, p.CommandExecutionThreadItem)
    return msgspec.structs.replace(item, status=status)


def _declined_command(scene: Scene, event: ev.CommandDeclined) -> Told:
    return _completed(scene, _not_run(event, "failed" if event.failed else "declined"), event.turn_id)


def _declined_patch(scene: Scene, event: ev.PatchDeclined) -> Told:
    begun = ev.PatchApplyBegin(call_id=event.call_id, turn_id=event.turn_id, auto_approved=False, changes=event.changes)
    item = items.event_item(begun, event.call_id)
    assert isinstance(item, p.FileChangeThreadItem)
    status: p.PatchApplyStatus = "failed" if event.failed else "declined"
    return _completed(scene, msgspec.structs.replace(item, status=status), event.turn_id)


def _output(scene: Scene, event: ev.ExecCommandOutputDelta) -> Told:
    note = p.CommandExecutionOutputDeltaNotification(
        thread_id=scene.thread_id,
        turn_id=scene.overlay.turn_of(event.call_id) or scene.turn_id,
        item_id=event.call_id,
        delta=text(event.chunk),
    )
    return [("item/commandExecution/outputDelta", note)]


def _typed(scene: Scene, event: ev.TerminalInteraction) -> Told:
    note = p.TerminalInteractionNotification(
        thread_id=scene.thread_id,
        turn_id=scene.turn_id,
        item_id=event.call_id,
        process_id=event.process_id,
        stdin=event.stdin,
    )
    return [("item/commandExecution/terminalInteraction", note)]


def _patch_output(scene: Scene, event: ev.PatchOutput) -> Told:
    note = p.FileChangeOutputDeltaNotification(
        thread_id=scene.thread_id, turn_id=event.turn_id, item_id=event.call_id, delta=event.text
    )
    return [("item/fileChange/outputDelta", note)] if event.text else []


def _patched(scene: Scene, event: ev.PatchApplyEnd) -> Told:
    said = "" if event.status == "declined" else event.stdout + event.stderr
    output = ev.PatchOutput(call_id=event.call_id, turn_id=event.turn_id, text=said)
    return [*_patch_output(scene, output), *_end(scene, event)]


def _patch_updated(scene: Scene, event: ev.PatchApplyUpdated) -> Told:
    note = p.FileChangePatchUpdatedNotification(
        thread_id=scene.thread_id,
        turn_id=scene.turn_id,
        item_id=event.call_id,
        changes=file_changes(event.changes),
    )
    return [("item/fileChange/patchUpdated", note)]


def _diff(scene: Scene, event: ev.TurnDiff) -> Told:
    note = p.TurnDiffUpdatedNotification(thread_id=scene.thread_id, turn_id=scene.turn_id, diff=event.unified_diff)
    return [("turn/diff/updated", note)]


def _mcp_progress(scene: Scene, event: ev.McpToolCallProgress) -> Told:
    note = p.McpToolCallProgressNotification(
        thread_id=scene.thread_id, turn_id=scene.turn_id, item_id=event.call_id, message=event.message
    )
    return [("item/mcpToolCall/progress", note)]


def _mcp_startup(scene: Scene, event: ev.McpStartupUpdate) -> Told:
    """The payload names no thread (spec mcp, Startup)."""
    told = msgspec.json.decode(event.status)
    note = p.McpServerStatusUpdatedNotification(name=event.server, status=told["state"], error=told["error"])
    return [("mcpServer/startupStatus/updated", note)]


TOOLS: Mapping[type, Callable[[Scene, Any], Told]] = {
    ev.ExecApprovalRequest: _command_asked_about,
    ev.ExecCommandBegin: _command_begun,
    ev.ExecCommandEnd: _end,
    ev.CommandDeclined: _declined_command,
    ev.ExecCommandOutputDelta: _output,
    ev.TerminalInteraction: _typed,
    ev.PatchApplyBegin: _begin,
    ev.PatchApplyEnd: _patched,
    ev.PatchDeclined: _declined_patch,
    ev.PatchApplyUpdated: _patch_updated,
    ev.PatchOutput: _patch_output,
    ev.TurnDiff: _diff,
    ev.McpToolCallBegin: _begin,
    ev.McpToolCallEnd: _end,
    ev.McpToolCallProgress: _mcp_progress,
    ev.McpStartupUpdate: _mcp_startup,
    ev.DynamicToolCallRequest: _begin,
    ev.DynamicToolCallResponse: _end,
    ev.ViewImageToolCall: _whole,
}
