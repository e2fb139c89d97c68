"""What a command asks for beyond the usual: the arguments that all command tools share, and which are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from engine.approvals import Escalation
from engine.turn.replies import CallFailed

if TYPE_CHECKING:
    from engine.calls.toolbox import Toolbox

_NO_LOGIN = "login shell is disabled by config; omit `login` or set it to false."
_DISABLED = (
    "additional permissions are disabled; enable `features.exec_permission_approvals` before using "
    "`with_additional_permissions`"
)


class AdditionalPermissionProfile(msgspec.Struct, frozen=True):
    """Permissions on top of those of the sandbox."""

    network: Any = None
    file_system: Any = None


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments."""

    justification: str | None = None
    sandbox_permissions: Literal["use_default", "require_escalated", "with_additional_permissions"] = "use_default"
    prefix_rule: tuple[str, ...] | None = None
    additional_permissions: AdditionalPermissionProfile | None = None

    @property
    def more(self) -> bool:
        """Whether it wants to stay in the sandbox, with more permissions."""
        return self.sandbox_permissions == "with_additional_permissions" or self.additional_permissions is not None


def session_escalation(box: Toolbox, given: Wishes) -> Escalation:
    """What `exec_command` asks for; the policy is looked at first.

    :raises CallFailed: it may not ask for it.
    """
    wanted = given.sandbox_permissions == "require_escalated"
    escalation = Escalation(wanted, given.justification, given.prefix_rule)
    _refuse(box.judge.refused_escalation(msgspec.structs.replace(escalation, wanted=wanted or given.more)))
    _refuse(_DISABLED if given.more else None)
    return escalation


def shell_escalation(box: Toolbox, given: Wishes) -> Escalation:
    """What a `shell` tool asks for; more permissions are refused first.

    :raises CallFailed: it may not ask for it.
    """
    wanted = given.sandbox_permissions == "require_escalated"
    escalation = Escalation(wanted, given.justification, given.prefix_rule, verb="should not")
    _refuse(_DISABLED if given.more else None)
    _refuse(box.judge.refused_escalation(escalation))
    return escalation


def shell_flag(box: Toolbox, login: bool | None) -> str:
    """How a shell is told its script: as a login shell unless the call or the configuration says otherwise.

    :raises CallFailed: the call wants one that the configuration forbids.
    """
    allowed = box.settings.config.get("allow_login_shell", True)
    _refuse(_NO_LOGIN if login and not allowed else None)
    return "-lc" if (allowed if login is None else login) else "-c"


def _refuse(text: str | None) -> None:
    if text is not None:
        raise CallFailed(text)
