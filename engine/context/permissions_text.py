"""What the model is told about its sandbox and about approvals, in our own words."""

from __future__ import annotations

from collections.abc import Sequence

from projections import protocol as p

_SANDBOX = {
    p.DangerFullAccessSandboxPolicy: (
        "`sandbox_mode` is `danger-full-access`: commands run without a file system sandbox."
    ),
    p.ExternalSandboxSandboxPolicy: (
        "`sandbox_mode` is `danger-full-access`: the surroundings limit what commands may do; there is no further"
        " file system sandbox."
    ),
    p.ReadOnlySandboxPolicy: "`sandbox_mode` is `read-only`: commands may read files and change none.",
    p.WorkspaceWriteSandboxPolicy: (
        "`sandbox_mode` is `workspace-write`: commands may read files, and change them below the cwd and the"
        " writable roots."
    ),
}

_ASKING = """\
A command that needs more than the sandbox allows can be run outside of it when it is approved. Ask by calling the \
tool again with `sandbox_permissions` set to `require_escalated` and a short question to the user as \
`justification`; do not ask in a message first. You may add `prefix_rule`, the first words of the command, as a rule \
the user can keep for later: narrow enough to be safe, never for deleting, for interpreters or for here-documents. \
Every part of a command line joined by pipes, `;`, `&&` or `||` is judged on its own.

Ask when a command must write outside the writable places, needs the network while it is restricted, opens windows, \
or failed and the sandbox is the likely cause; also before destructive commands that the user did not ask for. Do not \
work around a refusal."""

_APPROVAL = {
    "never": (
        "`approval_policy` is `never`: nobody can be asked. Commands that need approval are refused; finish the task"
        " within these limits. Do not set `sandbox_permissions`."
    ),
    "on-request": f"`approval_policy` is `on-request`.\n\n{_ASKING}",
    "on-failure": (
        "`approval_policy` is `on-failure`: commands run in the sandbox; when one fails there, the user is asked"
        " whether to run it again without the sandbox."
    ),
    "untrusted": (
        "`approval_policy` is `unless-trusted`: the user is asked before most commands, except for a few that are"
        " known only to read."
    ),
}

_GRANULAR = {
    "sandbox_approval": "running commands outside the sandbox",
    "rules": "commands that a rule puts up for approval",
    "skill_approval": "scripts of skills",
    "request_permissions": "`request_permissions`",
    "mcp_elicitations": "questions of MCP servers",
}

_REVIEWER = (
    "`approvals_reviewer` is `auto_review`: a reviewer decides about what needs approval in place of the user. A"
    " refusal comes with its reason; do not try the same end by other means, choose a safer way or stop and explain."
)


def permissions_text(
    sandbox: p.SandboxPolicy, approval: p.AskForApproval, reviewer: str, writable: Sequence[str]
) -> str:
    """The text for these settings; `writable` are the folders that may be changed, for workspace-write."""
    network = "enabled" if _network(sandbox) else "restricted"
    parts = [f"{_SANDBOX[type(sandbox)]} Network access is {network}."]
    if isinstance(sandbox, p.WorkspaceWriteSandboxPolicy) and writable:
        parts.append("Writable roots: " + ", ".join(f"`{root}`" for root in writable) + ".")
    parts.append(_approval(approval))
    if reviewer != "user" and approval != "never":
        parts.append(_REVIEWER)
    return "\n\n".join(parts)


def _network(sandbox: p.SandboxPolicy) -> bool:
    match sandbox:
        case p.DangerFullAccessSandboxPolicy():
            return True
        case p.ExternalSandboxSandboxPolicy():
            return sandbox.network_access == "enabled"
    return sandbox.network_access


def _approval(approval: p.AskForApproval) -> str:
    if isinstance(approval, str):
        return _APPROVAL[approval]
    open_to = [text for name, text in _GRANULAR.items() if getattr(approval.granular, name)]
    asked = ", ".join(open_to) if open_to else "nothing"
    text = f"`approval_policy` is `granular`: the user can be asked about {asked}; the rest is refused."
    return f"{text}\n\n{_ASKING}" if approval.granular.sandbox_approval else text
