"""What the schemas do not say, or what we represent in another way; every entry with its reason.

Keys are (type, member) with names as on the wire; "type" is the schema's, or the class where only one variant
of it is meant.
"""

from __future__ import annotations

from typing import Final

# Response items stay raw: only the log knows how to read them, and it must see every member of them.
RAW: Final = frozenset({"ResponseItem"})
REPLACED: Final = {
    ("ThreadInjectItemsParams", "items"): "list[Raw]",
    # The older names of modes are read too, all as the default mode.
    ("CollaborationMode", "mode"): 'Literal["plan", "code", "custom", "default", "execute", "pair_programming"]',
    # Null is read, though never written.
    ("DynamicToolSpec", "deferLoading"): "bool | None",
    # Strings that are paths; refusals call them so.
    ("ThreadResumeParams", "path"): "PathBuf | None",
    ("ThreadForkParams", "path"): "PathBuf | None",
    ("TurnStartParams", "cwd"): "PathBuf | None",
    ("CommandExecParams", "cwd"): "PathBuf | None",
    ("LocalImageUserInput", "path"): "PathBuf",
    ("SkillUserInput", "path"): "PathBuf",
    ("SkillsListParams", "cwds"): "list[PathBuf]",
    ("SkillsListExtraRootsForCwd", "cwd"): "PathBuf",
    ("SkillsListExtraRootsForCwd", "extraUserRoots"): "list[PathBuf]",
}

# Open objects (members besides the named ones are allowed) and a union of untagged objects: dictionaries.
OPEN: Final = frozenset(
    {
        "AnalyticsConfig",
        "AppToolsConfig",
        "AppsConfig",
        "Config",
        "McpElicitationPrimitiveSchema",
        "ProfileV2",
    }
)

# The reference refuses relative paths while it decodes.
ALIASES: Final = {"AbsolutePathBuf": 'Annotated[str, Meta(pattern="^/")]'}

# Members of params where absent means "keep" and null means "clear" (thread/metadata/update).
KEPT: Final = frozenset(("ThreadMetadataGitInfoUpdateParams", member) for member in ("sha", "branch", "originUrl"))

# Left out when unset in recorded traffic, though the bindings do not mark them.
OMITTED: Final = frozenset(
    [("ConfigReadResponse", "layers"), ("ConfigLayer", "disabledReason")]
    + [
        ("CommandExecutionRequestApprovalParams", member)
        for member in (
            "approvalId",
            "reason",
            "networkApprovalContext",
            "command",
            "cwd",
            "commandActions",
            "additionalPermissions",
            "proposedExecpolicyAmendment",
            "proposedNetworkPolicyAmendments",
            "availableDecisions",
        )
    ]
)

# The other way round: marked, but recorded as null.
WRITTEN: Final = frozenset({"SkillInterface"})

# Members that we add to the reference's; all may be left out. (class, [(member, annotation, default)])
_ROLE: Final = [
    ("workspaceRole", 'Literal["owner", "admin", "member"] | UnsetType', "UNSET"),
    ("isWorkspaceOwner", "bool | UnsetType", "UNSET"),
]
ADDED: Final = {
    # The older name of `responsesapiClientMetadata`, which wins where both are given.
    "TurnStartParams": [("clientMetadata", "dict[str, str] | None", "None")],
    "TurnSteerParams": [("clientMetadata", "dict[str, str] | None", "None")],
    "ChatgptAccount": _ROLE,
    "AccountUpdatedNotification": _ROLE,
    "RemotePluginSource": [("downloadUrl", "str | UnsetType", "UNSET")],
    "NetworkRequirements": [("dangerFullAccessDenylistOnly", "bool | UnsetType", "UNSET")],
}

# The reference reports some experimental members under another name, and gates two variants.
REPORTED_AS: Final = {"persistExtendedHistory": "persistFullHistory"}
EXPERIMENTAL_VARIANTS: Final = {
    "ChatgptAuthTokensLoginAccountParams": "account/login/start.chatgptAuthTokens",
    "GranularAskForApproval": "askForApproval.granular",
}
