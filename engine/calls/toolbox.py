"""The tools of one turn: which script serves a call.

Made anew for every turn from its frozen settings; what outlives a turn (grants, processes) belongs to the thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from engine.calls import asking, commands, image, mcp, patch, shell
from engine.calls.offers import served
from engine.calls.plan import update_plan
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

    def serve(self, turn: Turn, item: CallItem) -> Script:
        """The script of a call.

        :raises CallFailed: no such tool.
        """
        if isinstance(item, ev.CustomToolCall):
            custom = _CUSTOM.get(item.name)
            if custom is None or not served(item.name, self.settings):
                raise CallFailed(f"unsupported custom tool call: {item.name}")
            return (yield from custom(self, turn, item))
        if any(
            (tool.namespace, tool.name) == (item.namespace, item.name) for tool in self.settings.dynamic_tools or ()
        ):
            return (yield from asking.dynamic_tool(self, turn, item))
        tool = self.mcp.find(item.namespace, item.name)
        if tool is not None:
            return (yield from mcp.call_tool(self, turn, item, tool))
        function = None if item.namespace else _FUNCTIONS.get(item.name)
        if function is None or not self._offered(item.name):
            raise CallFailed(f"unsupported call: {item.namespace or ''}{item.name}")
        return (yield from function(self, turn, item))

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
_CUSTOM: Mapping[str, Callable[[Toolbox, Turn, ev.CustomToolCall], Script]] = {
    "apply_patch": patch.apply_patch_custom,
}
