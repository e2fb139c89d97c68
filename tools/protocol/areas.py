"""Which module of the package a type lives in.

The types of a method live in the module of its prefix, the types they refer to beside them. A type that
several modules need goes to the earliest of them if that is a core module, else to `common`; imports only ever
point to the left in `ORDER`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

ORDER: Final = (
    *("common", "permission", "item", "turn", "thread", "guardian", "hook", "review", "approval", "skill"),
    *("plugin", "app", "mcp", "model", "config", "account", "command", "fs", "realtime", "device"),
    *("notice", "misc"),
)
_CORE: Final = frozenset({"permission", "item", "turn", "thread", "guardian", "hook"})

# First match of the method's start wins.
_PREFIXES: Final = {
    "thread/approveGuardianDeniedAction": "guardian",
    "thread/realtime/": "realtime",
    "thread/": "thread",
    "turn/": "turn",
    "error": "turn",
    "item/autoApprovalReview/": "guardian",
    "guardianWarning": "guardian",
    "item/": "item",
    "rawResponseItem/": "item",
    "hook/": "hook",
    "review/": "review",
    "skills/": "skill",
    "marketplace/": "plugin",
    "plugin/": "plugin",
    "app/": "app",
    "config/mcpServer/": "mcp",
    "mcpServer": "mcp",
    "model/": "model",
    "config": "config",
    "externalAgentConfig/": "config",
    "account/": "account",
    "getAuthStatus": "account",
    "command/": "command",
    "fs/": "fs",
    "fuzzyFileSearch": "fs",
    "device/": "device",
    "warning": "notice",
    "deprecationNotice": "notice",
    "windows/": "notice",
}

# Types whose place is not where their first user is.
_PINNED: Final = {
    "Thread": "thread",
    "Turn": "turn",
    "ThreadItem": "item",
    "ThreadTokenUsage": "thread",
    "UserInput": "item",
    "AskForApproval": "permission",
    "ApprovalsReviewer": "permission",
    "SandboxMode": "permission",
    "SandboxPolicy": "permission",
    "PermissionProfile": "permission",
    "AdditionalPermissionProfile": "permission",
    "GrantedPermissionProfile": "permission",
    "RequestPermissionProfile": "permission",
    "PlanType": "account",
    "ConfiguredHookHandler": "hook",
}


def of_method(method: str) -> str:
    """The module for the types of a method."""
    return next((area for prefix, area in _PREFIXES.items() if method.startswith(prefix)), "misc")


def assign(roots: Mapping[str, str], references: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Type -> module for every type reachable from `roots` (type -> module); references are by type."""
    rank = {area: place for place, area in enumerate(ORDER)}
    found: dict[str, str] = {}
    todo = [(name, area) for name, area in roots.items()]
    todo += [(name, area) for name, area in _PINNED.items() if name in references]
    while todo:
        name, area = todo.pop()
        area = _PINNED.get(name, area)
        before = found.get(name)
        if before == area:
            continue
        if before is not None and before != area:
            area = _meet(before, area, rank)
            if area == before:
                continue
        found[name] = area
        todo.extend((other, area) for other in references[name])
    for name, others in references.items():
        for other in others if name in found else ():
            if rank[found[other]] > rank[found[name]]:
                raise ValueError(f"{name} in {found[name]} needs {other} of the later module {found[other]}")
    return found


def _meet(one: str, other: str, rank: Mapping[str, int]) -> str:
    """The module for a type that two modules need."""
    first = min(one, other, key=rank.__getitem__)
    return first if first in _CORE else "common"
