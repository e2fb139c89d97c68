"""Texts of the timeline cut down to what a person looks for first; `--full` and `--json` have them whole.

What is taken apart here are formats of the reference: the frames of tool outputs (spec tools), arguments as JSON.
"""

from __future__ import annotations

import re
import shlex
from typing import Any, Final

import msgspec

from tools.replaying.telling import Kind

_FRAMES: Final = (
    re.compile(
        r"(?:Chunk ID: \S+\n)?(?:Wall time: [^\n]*\n)?"
        r"(?:Process exited with code (?P<code>-?\d+)|Process running with session ID (?P<session>\S+))\n"
        r"(?:Original token count: \d+\n)?Output:\n?(?P<text>.*)",
        re.DOTALL,
    ),
    re.compile(
        r"Exit code: (?P<code>-?\d+)\n(?:Wall time|Duration): [^\n]*\n"
        r"(?:Total output lines: \d+\n)?Output:\n?(?P<text>.*)",
        re.DOTALL,
    ),
)
_LABEL: Final = re.compile(r"(\[[^\n]*?\] )?(.*)", re.DOTALL)
_COMMANDS: Final = ("cmd", "command")


def brief(kind: Kind, text: str) -> str:
    """The text without frames, of a patch the files alone; as it is where nothing is to be left out."""
    match kind:
        case "call":
            return _call(text)
        case "output":
            return _output(text)
        case "patch":
            return text.partition("\n")[0]
        case "ran" if "\n" in text:
            command, _, result = text.partition("\n")
            return f"{command} -> {_output(result)}"
    return text


def one_line(text: str, width: int) -> str:
    """The text on one line of at most so many characters."""
    flat = " ".join(text[: width * 4].split())
    return flat if len(flat) <= width and len(text) <= width * 4 else flat[: width - 1] + "…"


def _call(text: str) -> str:
    """`exec_command {"cmd":"ls","yield_time_ms":5}` -> `exec_command ls (yield_time_ms 5)`."""
    name, _, arguments = text.partition(" ")
    try:
        given = msgspec.json.decode(arguments, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return text
    main = next((key for key in _COMMANDS if key in given), None)
    if main is None:
        return text
    command = given.pop(main)
    said = shlex.join(map(str, command)) if isinstance(command, list) else str(command)
    rest = ", ".join(f"{key} {value}" for key, value in given.items())
    return f"{name} {said} ({rest})" if rest else f"{name} {said}"


def _output(text: str) -> str:
    """What came out of a command, with its exit code in front."""
    label, rest = _LABEL.fullmatch(text).groups("")  # type: ignore[union-attr]  # it fits everything
    code, session = None, None
    for frame in _FRAMES:
        found = frame.fullmatch(rest)
        if found is not None:
            parts = found.groupdict()
            code, session, rest = parts["code"], parts.get("session"), parts["text"]
            break
    else:
        code, rest = _as_json(rest)
    outcome = f"exit {code}" if code is not None else f"session {session} runs on" if session else ""
    return label + ": ".join(part for part in (outcome, rest.strip()) if part)


def _as_json(text: str) -> tuple[str | None, str]:
    """Exit code and text of an output that is JSON; the text as it is if it is none."""
    if not text.startswith('{"output":'):
        return None, text
    try:
        found = msgspec.json.decode(text, type=_Output)
    except (msgspec.DecodeError, RecursionError):
        return None, text
    return str(found.metadata.exit_code), found.output


class _Metadata(msgspec.Struct):
    exit_code: int


class _Output(msgspec.Struct):
    output: str
    metadata: _Metadata
