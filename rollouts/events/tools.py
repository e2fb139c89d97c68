"""Events of tool calls: commands, patches, MCP, dynamic tools, web search and images (tools.md).

The `*_end` events are written in extended mode only, begins and deltas never.
"""

from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from rollouts.events.base import BLANK, EMPTY, NO_KEYS, NULL, Duration, EventMsg, Int, Part, TaggedPart, unset_nulls
from rollouts.events.response import WebSearchAction


class ParsedRead(TaggedPart, frozen=True, tag="read"):
    """A command that reads a file."""

    cmd: str
    name: str
    path: str


class ParsedListFiles(TaggedPart, frozen=True, tag="list_files"):
    """A command that lists files."""

    cmd: str
    path: str | None = NULL


class ParsedSearch(TaggedPart, frozen=True, tag="search"):
    """A command that searches."""

    cmd: str
    query: str | None = NULL
    path: str | None = NULL


class ParsedUnknown(TaggedPart, frozen=True, tag="unknown"):
    """Any other command."""

    cmd: str


ParsedCommand: TypeAlias = ParsedRead | ParsedListFiles | ParsedSearch | ParsedUnknown
ExecSource: TypeAlias = Literal["agent", "user_shell", "unified_exec_startup", "unified_exec_interaction"]
ExecStatus: TypeAlias = Literal["completed", "failed", "declined"]
AGENT: ExecSource = msgspec.field(default_factory=lambda: "agent")


class ExecCommandBegin(EventMsg, frozen=True, kw_only=True):
    """A command starts; `command` is its argv."""

    call_id: str
    process_id: str | None = None
    turn_id: str
    command: tuple[str, ...]
    cwd: str
    parsed_cmd: tuple[ParsedCommand, ...]
    source: ExecSource = AGENT
    interaction_input: str | None = None


class ExecCommandOutputDelta(EventMsg, frozen=True):
    """More output of a command; `chunk` is base64, `stream` stdout or stderr."""

    call_id: str
    stream: str
    chunk: bytes


class TerminalInteraction(EventMsg, frozen=True):
    """Input was sent to a running command, or it was polled (empty `stdin`)."""

    call_id: str
    process_id: str
    stdin: str


class ExecCommandEnd(EventMsg, frozen=True, kw_only=True):
    """A command ended or was declined."""

    call_id: str
    process_id: str | None = None
    turn_id: str
    command: tuple[str, ...]
    cwd: str
    parsed_cmd: tuple[ParsedCommand, ...]
    source: ExecSource = AGENT
    interaction_input: str | None = None
    stdout: str
    stderr: str
    aggregated_output: str = BLANK
    exit_code: Int
    duration: Duration
    formatted_output: str
    status: ExecStatus


class AddFile(TaggedPart, frozen=True, tag="add"):
    """A new file with this content."""

    content: str


class DeleteFile(TaggedPart, frozen=True, tag="delete"):
    """A deleted file that had this content."""

    content: str


class UpdateFile(TaggedPart, frozen=True, tag="update"):
    """A changed file: hunks without file headers, and the new path of a moved one."""

    unified_diff: str
    move_path: str | None = NULL


FileChange: TypeAlias = AddFile | DeleteFile | UpdateFile


class PatchApplyBegin(EventMsg, frozen=True):
    """A verified patch is about to be applied; changes by absolute path."""

    call_id: str
    turn_id: str
    auto_approved: bool
    changes: dict[str, FileChange]


class PatchApplyUpdated(EventMsg, frozen=True):
    """The changes of a patch the model is still writing; changes by path as written."""

    call_id: str
    changes: dict[str, FileChange]


class PatchOutput(EventMsg, frozen=True):
    """Ours: what an attempt to apply a patch said that was not the last one."""

    call_id: str
    turn_id: str
    text: str


class PatchApplyEnd(EventMsg, frozen=True, kw_only=True):
    """A patch was applied, failed or was declined."""

    call_id: str
    turn_id: str = BLANK
    stdout: str
    stderr: str
    success: bool
    changes: dict[str, FileChange] = NO_KEYS
    status: ExecStatus


class McpInvocation(Part, frozen=True):
    """Which tool of which server, with open arguments."""

    server: str
    tool: str
    arguments: Raw = msgspec.field(default_factory=lambda: Raw(b"null"))


class McpToolCallBegin(EventMsg, frozen=True):
    """An MCP tool is called."""

    call_id: str
    invocation: McpInvocation
    mcp_app_resource_uri: str | None = None


class McpOutput(Part, frozen=True):
    """What an MCP tool answered, all of it open JSON."""

    content: tuple[Raw, ...]
    structured_content: Raw | UnsetType = msgspec.field(default=UNSET, name="structuredContent")
    is_error: bool | None = msgspec.field(default=None, name="isError")
    meta: Raw | UnsetType = msgspec.field(default=UNSET, name="_meta")

    def __post_init__(self) -> None:
        """Null means the same as absent and is not written."""
        unset_nulls(self, "structured_content", "meta")


class McpResult(Part, frozen=True):
    """Exactly one of the server's answer and an error text."""

    ok: McpOutput | UnsetType = msgspec.field(default=UNSET, name="Ok")
    err: str | UnsetType = msgspec.field(default=UNSET, name="Err")

    def __post_init__(self) -> None:
        """A result that is neither, or both, makes its line unreadable."""
        if isinstance(self.ok, UnsetType) == isinstance(self.err, UnsetType):
            raise ValueError("exactly one of Ok and Err is needed")


class McpToolCallEnd(EventMsg, frozen=True, kw_only=True):
    """An MCP tool answered or failed."""

    call_id: str
    invocation: McpInvocation
    mcp_app_resource_uri: str | None = None
    duration: Duration
    result: McpResult


class McpToolCallProgress(EventMsg, frozen=True):
    """A progress message of a running MCP tool (ours; the reference sends none as an event)."""

    call_id: str
    message: str


class McpStartupUpdate(EventMsg, frozen=True):
    """State of one MCP server: starting, ready, cancelled, or failed with an error."""

    server: str
    status: Raw


class McpStartupFailure(Part, frozen=True):
    """A server that did not start."""

    server: str
    error: str


class McpStartupComplete(EventMsg, frozen=True):
    """All MCP servers have started or failed."""

    ready: tuple[str, ...] = EMPTY
    failed: tuple[McpStartupFailure, ...] = EMPTY
    cancelled: tuple[str, ...] = EMPTY


class DynamicText(TaggedPart, frozen=True, tag="inputText"):
    """Text a client's tool answered."""

    text: str


class DynamicImage(TaggedPart, frozen=True, tag="inputImage"):
    """An image a client's tool answered."""

    image_url: str = msgspec.field(name="imageUrl")


DynamicContent: TypeAlias = DynamicText | DynamicImage


class DynamicToolCallRequest(EventMsg, frozen=True, kw_only=True, rename="camel"):
    """A client is asked to run its tool; the only event with camelCase keys."""

    call_id: str
    turn_id: str
    namespace: str | None = NULL
    tool: str
    arguments: Raw


class DynamicToolCallResponse(EventMsg, frozen=True, kw_only=True):
    """What the client answered."""

    call_id: str
    turn_id: str
    namespace: str | None = NULL
    tool: str
    arguments: Raw
    content_items: tuple[DynamicContent, ...]
    success: bool
    error: str | None = NULL
    duration: Duration


class WebSearchBegin(EventMsg, frozen=True):
    """A web search starts; the item follows."""

    call_id: str


class WebSearchEnd(EventMsg, frozen=True):
    """A web search is done."""

    call_id: str
    query: str
    action: WebSearchAction


class ViewImageToolCall(EventMsg, frozen=True):
    """The model looked at an image file."""

    call_id: str
    path: str


class ImageGenerationBegin(EventMsg, frozen=True):
    """The model starts to draw."""

    call_id: str


class ImageGenerationEnd(EventMsg, frozen=True, kw_only=True):
    """An image is done; `result` is base64."""

    call_id: str
    status: str
    revised_prompt: str | None = None
    result: str
    saved_path: str | None = None


__all__ = [
    "AddFile",
    "DeleteFile",
    "DynamicContent",
    "DynamicImage",
    "DynamicText",
    "DynamicToolCallRequest",
    "DynamicToolCallResponse",
    "ExecCommandBegin",
    "ExecCommandEnd",
    "ExecCommandOutputDelta",
    "ExecSource",
    "ExecStatus",
    "FileChange",
    "ImageGenerationBegin",
    "ImageGenerationEnd",
    "McpInvocation",
    "McpOutput",
    "McpResult",
    "McpStartupComplete",
    "McpStartupFailure",
    "McpStartupUpdate",
    "McpToolCallBegin",
    "McpToolCallEnd",
    "McpToolCallProgress",
    "ParsedCommand",
    "ParsedListFiles",
    "ParsedRead",
    "ParsedSearch",
    "ParsedUnknown",
    "PatchApplyBegin",
    "PatchApplyEnd",
    "PatchApplyUpdated",
    "PatchOutput",
    "TerminalInteraction",
    "UpdateFile",
    "ViewImageToolCall",
    "WebSearchBegin",
    "WebSearchEnd",
]
