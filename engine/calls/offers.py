"""Which built-in tools a turn has, and which of them its model is told about: one set of conditions for both.

Older names (`shell`, `container.exec`, `local_shell`) are served though they are not listed, as models were trained on
them (spec tools 1, observed).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from projections import protocol as p

if TYPE_CHECKING:
    from engine.settings import Settings

_SHELL_BY_TYPE: Mapping[str, str] = {"shell_command": "shell_command", "default": "shell", "local": "shell"}
"""The shell tool that a catalog entry asks for -> the name under which a model is offered one."""


def served(name: str, settings: Settings) -> bool:
    """Whether a call of this built-in tool is carried out."""
    condition = _SERVED.get(name)
    return condition is None or condition(settings)


def listed(settings: Settings) -> tuple[str, ...]:
    """Names of the built-in tools the model is told about, in the reference's order."""
    return (
        *_shell_tools(settings),
        "update_plan",
        "request_user_input",
        *(("tool_search",) if _searches(settings) else ()),
        *(("apply_patch",) if _patches(settings) else ()),
        *(("web_search",) if web_search_mode(settings) != "disabled" else ()),
        *(("view_image",) if _hands(settings) else ()),
    )


def web_search_mode(settings: Settings) -> str:
    """`live`, `cached` or `disabled`; where commands run unconfined, a search may reach the web as well."""
    config = settings.config
    mode = config.get("web_search")
    if mode is None:
        cached = config.feature("web_search_cached") or not config.feature("web_search_request")
        mode = "cached" if cached else "live"
    if mode == "cached" and isinstance(settings.sandbox, p.DangerFullAccessSandboxPolicy):
        return "live"
    return str(mode)


def _searches(settings: Settings) -> bool:
    """Whether there are tools that the model has to look for."""
    able = settings.info.supports_search_tool and settings.config.feature("tool_search")
    return able and any(tool.defer_loading for tool in settings.dynamic_tools or ())


def _hands(settings: Settings) -> bool:
    """Whether the turn has an environment to act in."""
    return settings.environments != ()


def _shells(settings: Settings) -> bool:
    return _hands(settings) and settings.config.feature("shell_tool")


def _sessions(settings: Settings) -> bool:
    """Whether commands run as sessions that may outlive a call."""
    return _shells(settings) and (settings.config.feature("unified_exec") or settings.info.shell_type == "unified_exec")


def _plain_shells(settings: Settings) -> bool:
    return _shells(settings) and (_sessions(settings) or settings.info.shell_type in _SHELL_BY_TYPE)


def _patches(settings: Settings) -> bool:
    forms = settings.info.apply_patch_tool_type is not None or settings.config.feature("apply_patch_freeform")
    return forms and _hands(settings)


def _shell_tools(settings: Settings) -> tuple[str, ...]:
    if _sessions(settings):
        return ("exec_command", "write_stdin")
    return (_SHELL_BY_TYPE[settings.info.shell_type],) if _plain_shells(settings) else ()


_SERVED: Mapping[str, Callable[[Settings], bool]] = {
    "exec_command": _sessions,
    "write_stdin": _sessions,
    "shell_command": _plain_shells,
    "shell": _plain_shells,
    "container.exec": _plain_shells,
    "local_shell": _plain_shells,
    "apply_patch": _patches,
    "view_image": _hands,
}
