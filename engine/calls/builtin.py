"""The built-in tools as the model sees them: names, arguments and types are the reference's, descriptions ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

Json = dict[str, Any]


def function(name: str, description: str, properties: Json, required: Sequence[str] = ()) -> msgspec.Raw:
    """One function tool."""
    return msgspec.Raw(msgspec.json.encode(function_entry(name, description, strict_object(properties, required))))


def without(spec: msgspec.Raw, argument: str) -> msgspec.Raw:
    """A tool without an argument; one that has no such argument as it is."""
    entry = msgspec.json.decode(spec)
    if entry.get("parameters", {}).get("properties", {}).pop(argument, None) is None:
        return spec
    return msgspec.Raw(msgspec.json.encode(entry))


def function_entry(name: str, description: str, parameters: object) -> Json:
    """A function tool as an object, to stand alone or in a namespace."""
    return {
        "type": "function",
        "name": name,
        "description": description,
        "strict": False,
        "parameters": parameters,
    }


def strict_object(properties: Json, required: Sequence[str] = ()) -> Json:
    """The schema of an object that has these members and no others."""
    members = {"required": required} if required else {}
    return {"type": "object", "properties": properties, **members, "additionalProperties": False}


def text(description: str) -> Json:
    """The schema of a text."""
    return {"type": "string", "description": description}


def number(description: str) -> Json:
    """The schema of a number."""
    return {"type": "number", "description": description}


def flag(description: str) -> Json:
    """The schema of a yes or no."""
    return {"type": "boolean", "description": description}


def several(items: Json, description: str) -> Json:
    """The schema of a list."""
    return {"type": "array", "description": description, "items": items}


_PERMISSION = {
    "sandbox_permissions": text(
        "`use_default` (the default), or `require_escalated` to ask that the command may run outside the sandbox."
    ),
    "justification": text(
        "With `require_escalated` only: the question put to the user, one sentence that says what the command is for, "
        "such as 'May I fetch the latest commits of this branch?'"
    ),
    "prefix_rule": several(
        {"type": "string"},
        "With `require_escalated` only: the first words of the command that may be allowed from now on, as few as make "
        'sense, such as ["git", "pull"].',
    ),
}
_MAX_TOKENS = number("Tokens of output to get at most; the middle of longer output is left out.")
_WORKDIR = text("Folder to run in; without it the folder of the turn.")

_EXEC_COMMAND = function(
    "exec_command",
    "Run a command line. Gives its output if it ends in time, else a session id with which to go on.",
    {
        "cmd": text("The command line."),
        "workdir": _WORKDIR,
        "shell": text("Shell to run it with; without it the user's own."),
        "login": flag("Whether the shell reads its login files first (default: true)."),
        "tty": flag("Whether the command gets a terminal (default: false, plain pipes and a closed stdin)."),
        "yield_time_ms": number("Milliseconds to wait for the end of the command before it goes on in the background."),
        "max_output_tokens": _MAX_TOKENS,
        **_PERMISSION,
    },
    ["cmd"],
)
_WRITE_STDIN = function(
    "write_stdin",
    "Write to the stdin of a running session, or write nothing to see what it has said since.",
    {
        "session_id": number("Id of the session, as `exec_command` gave it."),
        "chars": text("What to write; may be empty."),
        "yield_time_ms": number("Milliseconds to wait for output."),
        "max_output_tokens": _MAX_TOKENS,
    },
    ["session_id"],
)
_TIMEOUT = number("Milliseconds after which the command is ended.")
_SHELL_COMMAND = function(
    "shell_command",
    "Run a script in the user's shell to its end and give its output. Set `workdir` rather than changing folders.",
    {
        "command": text("The script."),
        "workdir": _WORKDIR,
        "login": flag("Whether the shell reads its login files first (default: true)."),
        "timeout_ms": _TIMEOUT,
        **_PERMISSION,
    },
    ["command"],
)
_SHELL = function(
    "shell",
    'Run a program to its end and give its output. No shell is involved unless you name one: ["bash", "-lc", "..."]. '
    "Set `workdir` rather than changing folders.",
    {
        "command": several({"type": "string"}, "The program and its arguments."),
        "workdir": _WORKDIR,
        "timeout_ms": _TIMEOUT,
        **_PERMISSION,
    },
    ["command"],
)
_UPDATE_PLAN = function(
    "update_plan",
    "Keep the checklist of the task: give all steps each time, each with its status; at most one is in_progress.",
    {
        "explanation": text("Why the plan changed, in a sentence."),
        "plan": several(
            strict_object(
                {
                    "step": text("What is done in this step."),
                    "status": text("`pending`, `in_progress` or `completed`."),
                },
                ["step", "status"],
            ),
            "All steps, in order.",
        ),
    },
    ["plan"],
)
_REQUEST_USER_INPUT = function(
    "request_user_input",
    "Put up to three short questions to the user and wait. In Plan mode only, unless allowed elsewhere.",
    {
        "questions": several(
            strict_object(
                {
                    "id": text("Name of the question in the answers, in snake_case."),
                    "header": text("Label of the question, at most twelve characters."),
                    "question": text("The question, in one sentence."),
                    "options": several(
                        strict_object(
                            {
                                "label": text("The answer in at most five words."),
                                "description": text("What choosing it means, in one sentence."),
                            },
                            ["label", "description"],
                        ),
                        "Two or three answers that exclude each other, the recommended one first. A free answer is "
                        "always offered beside them; do not list one.",
                    ),
                },
                ["id", "header", "question", "options"],
            ),
            "The questions: one if possible, three at most.",
        )
    },
    ["questions"],
)
_IMAGE_PATH = text("Path of the image file.")
_VIEW_IMAGE_TEXT = "Look at an image file on this machine, unless it is in the conversation already."
_VIEW_IMAGE = function("view_image", _VIEW_IMAGE_TEXT, {"path": _IMAGE_PATH}, ["path"])
VIEW_IMAGE_IN_DETAIL = function(
    "view_image",
    _VIEW_IMAGE_TEXT,
    {
        "path": _IMAGE_PATH,
        "detail": text("`original` for the full resolution; leave it out for an image scaled down to fit."),
    },
    ["path"],
)
"""For models that take images of any size."""

_PATCH_GRAMMAR = r"""
start: "*** Begin Patch" LF section+ "*** End Patch" LF?

section: added | deleted | updated
added: "*** Add File: " path LF new_line+
deleted: "*** Delete File: " path LF
updated: "*** Update File: " path LF moved? chunks?
moved: "*** Move to: " path LF
chunks: (place | hunk_line)+ at_end?

place: ("@@" | "@@ " /(.+)/) LF
hunk_line: (" " | "+" | "-") /(.*)/ LF
new_line: "+" /(.*)/ LF
at_end: "*** End of File" LF
path: /(.+)/

%import common.LF
""".lstrip()
_APPLY_PATCH = msgspec.Raw(
    msgspec.json.encode(
        {
            "type": "custom",
            "name": "apply_patch",
            "description": "Edit files with a patch. The input is the patch itself, not JSON.",
            "format": {"type": "grammar", "syntax": "lark", "definition": _PATCH_GRAMMAR},
        }
    )
)
APPLY_PATCH_FUNCTION = function(
    "apply_patch",
    "Edit files with a patch in this form (paths relative to the folder of the turn):\n\n" + _PATCH_GRAMMAR,
    {"input": text("The whole patch, from `*** Begin Patch` to `*** End Patch`.")},
    ["input"],
)
"""For models that cannot call tools with free text."""

_TOOL_SEARCH = msgspec.Raw(
    msgspec.json.encode(
        {
            "type": "tool_search",
            "execution": "client",
            "description": "Look for tools that are not listed here. Those that are found can be called from then on.",
            "parameters": strict_object(
                {
                    "query": text("Words that say what the tool is to do."),
                    "limit": number("How many tools to find at most (default: 8)."),
                },
                ["query"],
            ),
        }
    )
)

FUNCTIONS: Mapping[str, msgspec.Raw] = {
    "exec_command": _EXEC_COMMAND,
    "write_stdin": _WRITE_STDIN,
    "shell_command": _SHELL_COMMAND,
    "shell": _SHELL,
    "update_plan": _UPDATE_PLAN,
    "request_user_input": _REQUEST_USER_INPUT,
    "apply_patch": _APPLY_PATCH,
    "view_image": _VIEW_IMAGE,
    "tool_search": _TOOL_SEARCH,
}
"""The usual form of each tool that is not put together from the settings."""
