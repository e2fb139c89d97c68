"""What the schemas do not say, or what we represent in another way; every entry with its reason.

Keys are (type, member) with names as on the wire.
"""

from __future__ import annotations

from typing import Final

# Raw response items: only the log knows how to read them, and it must see every member of them.
RAW_ITEM: Final = frozenset({"ResponseItem"})
REPLACED: Final = {
    ("ThreadInjectItemsParams", "items"): "list[Raw]",
}

# Open objects (members besides the named ones are allowed) and unions of objects without a tag: plain dictionaries.
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

# Members of params where absent means "keep" and null means "clear" (thread/metadata/update).
KEPT: Final = frozenset(
    ("ThreadMetadataGitInfoUpdateParams", member) for member in ("sha", "branch", "originUrl")
)

# Left out when unset, in recorded traffic or by the spec, though the bindings do not mark them.
OMITTED: Final[frozenset[tuple[str, str]]] = frozenset()

# The reference reports some experimental members under another name, and gates two variants.
REPORTED_AS: Final = {"persistExtendedHistory": "persistFullHistory"}
EXPERIMENTAL_VARIANTS: Final = {
    "ChatgptAuthTokensLoginAccountParams": "account/login/start.chatgptAuthTokens",
    "GranularAskForApproval": "askForApproval.granular",
}
