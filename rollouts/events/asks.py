"""Events that ask somebody: approvals, user input, elicitations, permissions. Never written.

The open question itself is live state of the engine; these events only say that there is one.
"""

from msgspec import Raw, UnsetType

from rollouts.events.base import NULL, UNSET, EventMsg
from rollouts.events.tools import FileChange, ParsedCommand


class ExecApprovalRequest(EventMsg, frozen=True, kw_only=True):
    """May this command run?"""

    call_id: str
    approval_id: str | None = None
    turn_id: str
    command: tuple[str, ...]
    cwd: str
    reason: str | None = None
    network_approval_context: Raw | UnsetType = UNSET
    proposed_execpolicy_amendment: tuple[str, ...] | None = None
    proposed_network_policy_amendments: Raw | UnsetType = UNSET
    additional_permissions: Raw | UnsetType = UNSET
    available_decisions: Raw | UnsetType = UNSET
    parsed_cmd: tuple[ParsedCommand, ...]


class ApplyPatchApprovalRequest(EventMsg, frozen=True):
    """May this patch be applied?"""

    call_id: str
    turn_id: str
    changes: dict[str, FileChange]
    reason: str | None = None
    grant_root: str | None = None


class RequestUserInput(EventMsg, frozen=True):
    """Questions of the model to the user, open JSON."""

    call_id: str
    turn_id: str
    questions: Raw


class RequestPermissions(EventMsg, frozen=True, kw_only=True):
    """The model asks for more permissions."""

    call_id: str
    turn_id: str
    reason: str | None = NULL
    permissions: Raw
    cwd: str | None = None


class ElicitationRequest(EventMsg, frozen=True, kw_only=True):
    """An MCP server asks the user; `id` is the server's request id."""

    turn_id: str | None = None
    server_name: str
    id: str | int
    request: Raw


class CommandDeclined(EventMsg, frozen=True, kw_only=True):
    """Ours: the command somebody was asked about does not run; `failed`: their client answered with an error."""

    call_id: str
    turn_id: str
    command: tuple[str, ...]
    cwd: str
    parsed_cmd: tuple[ParsedCommand, ...]
    failed: bool = False


class PatchDeclined(EventMsg, frozen=True):
    """Ours: the patch somebody was asked about is not applied; `failed`: their client answered with an error."""

    call_id: str
    turn_id: str
    changes: dict[str, FileChange]
    failed: bool = False


class QuestionClosed(EventMsg, frozen=True):
    """Ours: a question of this call is answered; nobody is waited for any more."""

    call_id: str


__all__ = [
    "ApplyPatchApprovalRequest",
    "CommandDeclined",
    "ElicitationRequest",
    "ExecApprovalRequest",
    "PatchDeclined",
    "QuestionClosed",
    "RequestPermissions",
    "RequestUserInput",
]
