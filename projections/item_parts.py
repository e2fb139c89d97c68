"""The pieces thread items are made of: user input, command actions, file changes, agent states, review texts.

Mappings from the log's words to the published ones, as tables next to the types they map; `items.py` puts them
together.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from projections import protocol as p
from projections.quoting import join
from rollouts import events as ev

REVIEW_MISSING = "Reviewer failed to output a response."

COMMAND_SOURCES: Mapping[str, p.CommandExecutionSource] = {
    "agent": "agent",
    "user_shell": "userShell",
    "unified_exec_startup": "unifiedExecStartup",
    "unified_exec_interaction": "unifiedExecInteraction",
}
AGENT_STATUSES: Mapping[str, p.CollabAgentStatus] = {
    "pending_init": "pendingInit",
    "running": "running",
    "interrupted": "interrupted",
    "completed": "completed",
    "errored": "errored",
    "shutdown": "shutdown",
    "not_found": "notFound",
}
_AGENT_FAILURES = frozenset({"errored", "not_found"})


def text_elements(elements: Iterable[ev.TextElement]) -> list[p.TextElement]:
    """The marked spans of a user's text."""
    return [
        p.TextElement(
            byte_range=p.ByteRange(start=element.byte_range.start, end=element.byte_range.end),
            placeholder=element.placeholder,
        )
        for element in elements
    ]


def user_message_content(event: ev.UserMessage) -> list[p.UserInput]:
    """What a `user_message` line shows: its text unless blank, then images, then local images."""
    content: list[p.UserInput] = []
    if event.message.strip():
        content.append(p.TextUserInput(text=event.message, text_elements=text_elements(event.text_elements)))
    content += [p.ImageUserInput(url=url) for url in event.images or ()]
    content += [p.LocalImageUserInput(path=path) for path in event.local_images]
    return content


_INPUTS: Mapping[type, Any] = {
    ev.TextInput: lambda part: p.TextUserInput(text=part.text, text_elements=text_elements(part.text_elements)),
    ev.ImageInput: lambda part: p.ImageUserInput(url=part.image_url),
    ev.LocalImageInput: lambda part: p.LocalImageUserInput(path=part.path),
    ev.SkillInput: lambda part: p.SkillUserInput(name=part.name, path=part.path),
    ev.MentionInput: lambda part: p.MentionUserInput(name=part.name, path=part.path),
}


def user_inputs(content: Iterable[ev.UserInput]) -> list[p.UserInput]:
    """The content of a user message item."""
    return [_INPUTS[type(part)](part) for part in content]


def command_actions(parsed: Iterable[ev.ParsedCommand], cwd: str) -> list[p.CommandAction]:
    """What a command does, part by part; paths that are read become absolute."""
    return [_action(part, cwd) for part in parsed]


def _action(part: ev.ParsedCommand, cwd: str) -> p.CommandAction:
    match part:
        case ev.ParsedRead(cmd, name, path):
            absolute = posixpath.normpath(posixpath.join(cwd, path))
            return p.ReadCommandAction(command=cmd, name=name, path=absolute)
        case ev.ParsedListFiles(cmd, path_or_none):
            return p.ListFilesCommandAction(command=cmd, path=path_or_none)
        case ev.ParsedSearch(cmd, query, path_or_none):
            return p.SearchCommandAction(command=cmd, query=query, path=path_or_none)
        case _:
            return p.UnknownCommandAction(command=part.cmd)


def reviewed_command(action: ev.ReviewAction) -> tuple[str, str] | None:
    """The command line and directory an automatic review was about, None for other actions."""
    match action:
        case ev.CommandAction(_, command, cwd):
            return command, cwd
        case ev.ExecveAction(_, program, argv, cwd):
            return join((program, *argv[1:])), cwd
        case _:
            return None


def file_changes(changes: Mapping[str, ev.FileChange]) -> list[p.FileUpdateChange]:
    """The changes of a patch, sorted by path."""
    return [_file_change(path, changes[path]) for path in sorted(changes)]


def _file_change(path: str, change: ev.FileChange) -> p.FileUpdateChange:
    match change:
        case ev.AddFile(content):
            return p.FileUpdateChange(path=path, kind=p.AddPatchChangeKind(), diff=content)
        case ev.DeleteFile(content):
            return p.FileUpdateChange(path=path, kind=p.DeletePatchChangeKind(), diff=content)
        case ev.UpdateFile(diff, move_path):
            if move_path is not None:
                diff = f"{diff}\n\nMoved to: {move_path}"
            return p.FileUpdateChange(path=path, kind=p.UpdatePatchChangeKind(move_path=move_path), diff=diff)


_SEARCHES: Mapping[str, Any] = {
    "search": lambda a: p.SearchWebSearchAction(query=a.query, queries=None if a.queries is None else list(a.queries)),
    "open_page": lambda a: p.OpenPageWebSearchAction(url=a.url),
    "find_in_page": lambda a: p.FindInPageWebSearchAction(url=a.url, pattern=a.pattern),
}


def web_search_action(action: ev.WebSearchAction) -> p.WebSearchAction:
    """What was looked up."""
    make = _SEARCHES.get(action.type)
    return cast("p.WebSearchAction", make(action)) if make else p.OtherWebSearchAction()


def mcp_result(
    result: ev.McpResult,
) -> tuple[p.McpToolCallStatus, p.McpToolCallResult | None, p.McpToolCallError | None]:
    """Status, result and error of an MCP call; a result that says it is an error has failed too."""
    if isinstance(result.ok, msgspec.UnsetType):
        message = "" if isinstance(result.err, msgspec.UnsetType) else result.err
        return "failed", None, p.McpToolCallError(message=message)
    shown = p.McpToolCallResult(
        content=list(result.ok.content),
        structured_content=result.ok.structured_content or None,
        meta=result.ok.meta or None,
    )
    return ("failed" if result.ok.is_error else "completed"), shown, None


def dynamic_content(items: Iterable[ev.DynamicContent]) -> list[p.DynamicToolCallOutputContentItem]:
    """What a client's tool answered."""
    return [
        p.InputTextDynamicToolCallOutputContentItem(text=item.text)
        if isinstance(item, ev.DynamicText)
        else p.InputImageDynamicToolCallOutputContentItem(image_url=item.image_url)
        for item in items
    ]


def agent_failed(status: ev.AgentStatus) -> bool:
    """Whether a call to a sub-agent in this state has failed."""
    word = status if isinstance(status, str) else next(iter(status), "")
    return word in _AGENT_FAILURES


def agent_state(status: ev.AgentStatus) -> p.CollabAgentState:
    """State of a sub-agent with its last message or error."""
    word, message = (status, None) if isinstance(status, str) else next(iter(status.items()), ("", None))
    return p.CollabAgentState(status=AGENT_STATUSES.get(word, "notFound"), message=message)


_PHASES: Mapping[str | None, p.MessagePhase] = {"commentary": "commentary", "final_answer": "final_answer"}


def message_phase(phase: str | None) -> p.MessagePhase | None:
    """What part of the turn a message is, None if it does not say."""
    return _PHASES.get(phase)


def memory_citation(citation: ev.MemoryCitation | None) -> p.MemoryCitation | None:
    """Which memories a message cites; their rollouts are threads to clients."""
    if citation is None:
        return None
    entries = [
        p.MemoryCitationEntry(path=entry.path, line_start=entry.line_start, line_end=entry.line_end, note=entry.note)
        for entry in citation.entries
    ]
    return p.MemoryCitation(entries=entries, thread_ids=list(citation.rollout_ids))


def review_summary(output: ev.ReviewOutput | None) -> str:
    """A review as rebuilt turns show it: the explanation alone (thread-lifecycle.md 15)."""
    return (output.overall_explanation.strip() if output else "") or REVIEW_MISSING


def review_text(output: ev.ReviewOutput | None) -> str:
    """A review as live clients and the model see it: explanation and findings (turns.md 8)."""
    if output is None:
        return REVIEW_MISSING
    sections = [output.overall_explanation.strip(), _findings(output.findings)]
    return "\n\n".join(filter(None, sections)) or REVIEW_MISSING


def _findings(findings: tuple[ev.ReviewFinding, ...]) -> str:
    if not findings:
        return ""
    lines = ["Full review comments:" if len(findings) > 1 else "Review comment:"]
    for finding in findings:
        place = finding.code_location
        where = f"{place.absolute_file_path}:{place.line_range.start}-{place.line_range.end}"
        lines += ["", f"- {finding.title} — {where}"]
        lines += [f"  {line}" for line in finding.body.splitlines()]
    return "\n".join(lines).strip()


def error_info(info: ev.ErrorInfo | None) -> p.CodexErrorInfo | None:
    """An error's kind in published words: camel case, details kept; kinds nobody knows read as `other`."""
    if info is None:
        return None
    renamed: object
    if isinstance(info, str):
        renamed = _camel(info)
    else:
        renamed = {
            _camel(kind): {_camel(key): detail for key, detail in details.items()} for kind, details in info.items()
        }
    try:
        return cast("p.CodexErrorInfo", msgspec.convert(renamed, p.CodexErrorInfo))
    except msgspec.ValidationError:
        return "other"


def _camel(word: str) -> str:
    head, *rest = word.split("_")
    return head + "".join(part.capitalize() for part in rest)
