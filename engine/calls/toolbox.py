"""The tools of one turn: which script serves a call.

Made anew for every turn from its frozen settings; what outlives a turn (grants, processes) belongs to the thread.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from engine.calls import asking, commands, image, mcp, patch, shell
from engine.calls.offers import listed, served
from engine.calls.plan import update_plan
from engine.calls.tool_search import search
from engine.patch.plan import resolve
from engine.turn.machine import CallItem, Script, Turn
from engine.turn.replies import CallFailed
from rollouts import events as ev

if TYPE_CHECKING:
    from engine.approvals import Judge
    from engine.mcp.servers import Servers
    from engine.settings import Settings


class Toolbox:
    """Serves the calls of a turn.

    :param judge: decides which commands and patches need approval.
    :param shell: path of the user's shell, which command lines run in.
    :param servers: the MCP servers of the thread.
    """

    def __init__(self, thread_id: str, settings: Settings, judge: Judge, shell: str, servers: Servers) -> None:
        self.thread_id = thread_id
        self.settings = settings
        self.judge = judge
        self.shell = shell
        self.mcp = servers
        self.home = os.path.expanduser("~")
        """What `~` stands for in the paths of the model."""

    def place(self, path: str | None) -> str:
        """The absolute path that the model means; the folder of the turn if it names none."""
        cwd = str(self.settings.cwd)
        return resolve(cwd, path, self.home) if path else cwd

    def serve(self, turn: Turn, item: CallItem) -> Script:
        """The script of a call.

        :raises CallFailed: no such tool.
        """
        if isinstance(item, ev.CustomToolCall):
            custom = _CUSTOM.get(item.name) if served(item.name, self.settings) else None
            if custom is not None:
                return (yield from custom(self, turn, item))
            if self._is_function(item.name):
                return None  # called in the wrong way, a tool says nothing (observed)
            raise CallFailed(f"unsupported custom tool call: {item.name}")
        if isinstance(item, ev.ToolSearchCall):
            return (yield from search(self.settings.dynamic_tools or (), item.arguments))
        if isinstance(item, ev.LocalShellCall):
            if not self._offered("local_shell"):
                raise CallFailed("unsupported call: local_shell")
            return (yield from shell.local_shell(self, turn, item))
        if self._is_dynamic(item.namespace, item.name):
            return (yield from asking.dynamic_tool(self, turn, item))
        tool = self.mcp.find(item.namespace, item.name)
        if tool is not None:
            return (yield from mcp.call_tool(self, turn, item, tool))
        function = _FUNCTIONS.get(item.name) if item.namespace is None else None
        if function is None or not self._offered(item.name):
            raise CallFailed(f"unsupported call: {item.namespace or ''}{item.name}")
        return (yield from function(self, turn, item))

    def parallel(self, item: CallItem) -> bool:
        """Whether a call may run beside others that may: those that look and those that start programs. Older names of
        the shell tools run alone, as everything does that the model was not told of."""
        if not isinstance(item, ev.FunctionCall):
            return isinstance(item, ev.ToolSearchCall)
        tool = self.mcp.find(item.namespace, item.name)
        if tool is not None:
            return tool.parallel
        if item.namespace is not None or self._is_dynamic(None, item.name):
            return False
        return self.mcp.any if item.name in mcp.RESOURCE_TOOLS else item.name in _PARALLEL & {*listed(self.settings)}

    def _is_dynamic(self, namespace: str | None, name: str) -> bool:
        return any((tool.namespace, tool.name) == (namespace, name) for tool in self.settings.dynamic_tools or ())

    def _is_function(self, name: str) -> bool:
        return self._is_dynamic(None, name) or (name in _FUNCTIONS and self._offered(name))

    def _offered(self, name: str) -> bool:
        """Whether the model has a tool that not every model gets."""
        return self.mcp.any if name in mcp.RESOURCE_TOOLS else served(name, self.settings)


def _plan(box: Toolbox, turn: Turn, call: ev.FunctionCall) -> Script:
    return (yield from update_plan(turn, call.arguments, box.settings.mode))


_FUNCTIONS: Mapping[str, Callable[[Toolbox, Turn, ev.FunctionCall], Script]] = {
    "update_plan": _plan,
    "exec_command": commands.exec_command,
    "write_stdin": commands.write_stdin,
    "apply_patch": patch.apply_patch_function,
    "request_user_input": asking.request_user_input,
    "view_image": image.view_image,
    "shell_command": shell.shell_command,
    "shell": shell.shell,
    "container.exec": shell.shell,
    "local_shell": shell.shell,
    **mcp.RESOURCE_TOOLS,
}
_PARALLEL = frozenset({"exec_command", "shell_command", "shell", "view_image"})
_CUSTOM: Mapping[str, Callable[[Toolbox, Turn, ev.CustomToolCall], Script]] = {
    "apply_patch": patch.apply_patch_custom,
}
