"""Shell scripts as plain commands: which words run, when a script is nothing but words and joints.

Pure, and careful: a script with anything that a shell might expand, redirect, assign or run in the background is not
understood at all. Deciding what needs an approval rests on this, so unsure means no.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator, Sequence

import msgspec

SHELLS = frozenset({"bash", "zsh", "sh"})
_POWERSHELLS = frozenset({"pwsh", "powershell"})
_POWERSHELL_FLAGS = frozenset({"-nologo", "-noprofile"})
JOINTS = ("&&", "||", ";", "|")

_RESERVED = frozenset(
    [
        *("if", "then", "elif", "else", "fi", "do", "done", "case", "esac", "while", "until", "for", "in"),
        *("function", "select", "coproc", "{", "}", "!", "[[", "]]", "["),
    ]
)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*(\[[^\]]*\])?\+?=")
_REFUSED = frozenset("$`<>()\0\r")
_PATTERN = frozenset("*?[")


class PlainCommand(msgspec.Struct, frozen=True):
    """One command of a script, as words."""

    words: tuple[str, ...]
    joint: str
    """How it follows the one before: `&&`, `||`, `;`, `|`; empty for the first."""
    opens_with_pattern: bool = False
    """Whether a word is an unquoted pattern that files may match whose names look like options."""


class _NotPlain(Exception):
    """The script does more than run words."""


def script_of(argv: Sequence[str]) -> str | None:
    """The script of `bash -lc SCRIPT` and its like (bash, zsh or sh; `-lc` or `-c`); None for other commands."""
    if len(argv) == 3 and os.path.basename(argv[0]) in SHELLS and argv[1] in ("-lc", "-c"):
        return argv[2]
    return None


def canonical(argv: Sequence[str]) -> tuple[str, ...]:
    """One form for command lines that run the same: the command of a script that is nothing else, without the shell."""
    script = script_of(argv)
    if script is None:
        return tuple(argv)
    commands = plain_commands(script)
    return commands[0].words if commands is not None and len(commands) == 1 else ("", argv[1], script)


def powershell_script(argv: Sequence[str]) -> str | None:
    """The script of `pwsh -Command SCRIPT` and its like; None for other commands."""
    if re.split(r"[/\\]", argv[0])[-1].lower().removesuffix(".exe") not in _POWERSHELLS:
        return None
    words = iter(argv[1:])
    flag = next((word for word in words if word.lower() not in _POWERSHELL_FLAGS), "")
    return next(words, None) if flag.lower() in ("-command", "-c") else None


def plain_commands(script: str) -> list[PlainCommand] | None:
    """The commands of a script that consists of plain commands joined by `&&`, `||`, `;`, `|` and line ends.

    None for every other script: an empty or broken one, too.
    """
    try:
        return list(_commands(script)) or None
    except _NotPlain:
        return None


def _commands(script: str) -> Iterator[PlainCommand]:
    words: list[_Word] = []
    joint, ended = "", True
    for token in _Lexer(script).tokens():
        if isinstance(token, _Word):
            words.append(token)
        elif words:
            yield _command(words, joint)
            words, joint, ended = [], ";" if token == "\n" else token, token in ("\n", ";")
        elif token != "\n":
            raise _NotPlain
    if words:
        yield _command(words, joint)
    elif not ended:
        raise _NotPlain


def _command(words: Sequence[_Word], joint: str) -> PlainCommand:
    name = words[0]
    if name.quoted or name.text in _RESERVED or _ASSIGNMENT.match(name.text):
        raise _NotPlain
    return PlainCommand(
        words=tuple(word.text for word in words),
        joint=joint,
        opens_with_pattern=any(word.opens_with_pattern for word in words),
    )


class _Word(msgspec.Struct, frozen=True):
    text: str
    quoted: bool
    opens_with_pattern: bool


class _Lexer:
    """Words and joints of a script, quotes taken off. A line end is the joint `\\n`."""

    def __init__(self, script: str) -> None:
        self._script = script
        self._at = 0

    def tokens(self) -> Iterator[_Word | str]:
        while self._at < len(self._script):
            char = self._script[self._at]
            if char in " \t":
                self._at += 1
            elif self._script.startswith("\\\n", self._at):
                self._at += 2
            elif char in "\n;&|":
                yield self._joint()
            else:
                yield self._word()

    def _joint(self) -> str:
        for joint in (*JOINTS, "\n"):
            if self._script.startswith(joint, self._at):
                self._at += len(joint)
                return joint
        raise _NotPlain

    def _word(self) -> _Word:
        if self._script[self._at] == "#":
            raise _NotPlain
        text, bare = "", ""
        quoted, risky = False, False
        while self._at < len(self._script) and (char := self._script[self._at]) not in " \t\n;&|":
            if self._script.startswith("\\\n", self._at):
                self._at += 2
                continue
            if char not in "'\"\\":
                bare += char
                risky = risky or (char in _PATTERN and text[:1] in ("", "-"))
            else:
                quoted = True
            text += self._piece(char)
        if any(char in bare for char in "{}") and not bare == text == "{}":
            raise _NotPlain
        return _Word(text=text, quoted=quoted, opens_with_pattern=risky)

    def _piece(self, char: str) -> str:
        """The next piece of a word: a quoted stretch, an escaped character or a plain one."""
        self._at += 1
        if char == "'":
            return self._until("'")
        if char == '"':
            return self._double_quoted()
        if char == "\\":
            return self._escaped()
        if char in _REFUSED:
            raise _NotPlain
        return char

    def _until(self, quote: str) -> str:
        end = self._script.find(quote, self._at)
        if end < 0:
            raise _NotPlain
        text, self._at = self._script[self._at : end], end + 1
        return text

    def _escaped(self) -> str:
        if self._at == len(self._script):
            raise _NotPlain
        self._at += 1
        char = self._script[self._at - 1]
        return "" if char == "\n" else char

    def _double_quoted(self) -> str:
        text: list[str] = []
        while self._at < len(self._script):
            char = self._script[self._at]
            self._at += 1
            if char == '"':
                return "".join(text)
            if char in "$`":
                raise _NotPlain
            if char == "\\" and self._script[self._at : self._at + 1] in ('"', "\\", "$", "`", "\n"):
                text.append(self._escaped())
            else:
                text.append(char)
        raise _NotPlain


_ASSIGNMENTS = re.compile(r"^(?:[A-Za-z_]\w*=[^\s$`\"']*[ \t]+)+")

_HEREDOC = re.compile(
    r"(?P<command>[^\n]*?)\s*<<(?P<quote>['\"]?)(?P<end>\w+)(?P=quote)[ \t]*\n(?P<body>.*)", re.DOTALL
)


def heredoc_command(script: str) -> tuple[str, ...] | None:
    """The words of the one plain command that a script feeds with a here-document; None for other scripts.

    The document must be all that follows and must expand nothing: its end is quoted, or there is nothing to expand.
    """
    found = _HEREDOC.fullmatch(script)
    commands = plain_commands(found["command"]) if found else None
    if found is None or commands is None or len(commands) != 1:
        return None
    lines = found["body"].split("\n")
    closed = found["end"] in lines and not any(lines[lines.index(found["end"]) + 1 :])
    expands = not found["quote"] and any(char in found["body"] for char in "$`\\")
    return commands[0].words if closed and not expands else None


_REDIRECT = r"[ \t]*(?:\d*(?:>>?|<|>\|)|&>>?)[ \t]*[^\s<>|&;()$`\"']+"
_FED = re.compile(
    rf"(?P<command>[^\n]*?)[ \t]*<<-?[ \t]*(?P<quote>['\"]?)(?P<end>\w+)(?P=quote)(?:{_REDIRECT})*[ \t]*\n(?P<body>.*)",
    re.DOTALL,
)


def feeds_document(script: str) -> bool:
    """Is a script one command that gets a here-document, perhaps with variables set and files redirected?

    What it does depends on the document, so no beginning of such a script says what to allow.
    """
    found = _FED.fullmatch(script)
    if found is None:
        return False
    *_, last = _ASSIGNMENTS.split(re.sub(_REDIRECT, "", found["command"]), maxsplit=1)
    commands = plain_commands(last)
    ended = [line.lstrip("\t") for line in found["body"].split("\n")]
    closed = found["end"] in ended and not any(ended[ended.index(found["end"]) + 1 :])
    runs = not found["quote"] and any(sign in found["body"] for sign in ("$(", "`"))
    return commands is not None and len(commands) == 1 and closed and not runs
