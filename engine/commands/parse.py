"""What a command line does, for people: the parts of it that read, list or search, or all of it as unknown.

Best effort and only for show; nothing may be decided by it (that is `safe` and `rules`). The rules are the
reference's: formatting helpers of pipelines are passed over, `cd` moves the files that are read, and one part that is
not understood makes the whole command unknown.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from itertools import groupby

import msgspec

from engine.commands.summaries import awk_file, sed_file, summarize
from engine.commands.words import JOINTS, plain_commands, powershell_script, script_of
from projections.quoting import join
from rollouts import events as ev

Words = tuple[str, ...]

_FORMATTING = frozenset({"wc", "tr", "cut", "sort", "uniq", "tee", "column", "yes", "printf"})
_XARGS_VALUES = frozenset({"-E", "-e", "-I", "-L", "-n", "-P", "-s"})


def parse_command(argv: Sequence[str]) -> tuple[ev.ParsedCommand, ...]:
    """The parts of a command as clients see them; none for a mere `cd`."""
    foreign = "" if not argv else powershell_script(argv)
    if foreign is not None:
        return (ev.ParsedUnknown(foreign),)
    script = script_of(argv)
    parts = _of_words(tuple(argv)) if script is None else _of_script(script)
    parts = [part for part, _ in groupby(parts)]
    if any(isinstance(part, ev.ParsedUnknown) for part in parts):
        return (ev.ParsedUnknown(join(argv) if script is None else script),)
    return tuple(parts)


def _of_words(argv: Words) -> list[ev.ParsedCommand]:
    """A command given as words; joints among them separate parts, as some models write them."""
    commands: list[Words] = [()]
    for word in argv:
        if word in JOINTS:
            commands.append(())
        else:
            commands[-1] += (word,)
    return _simplified(_summaries([words for words in commands if words]))


def _of_script(script: str) -> list[ev.ParsedCommand]:
    commands = plain_commands(script)
    if commands is None:
        return [ev.ParsedUnknown(script)]
    kept = [command.words for command in commands if not _formats(command.words)]
    if not kept:
        return [ev.ParsedUnknown(script)]
    parts = _simplified(_summaries(kept))
    if len(parts) == 1 and isinstance(parts[0], ev.ParsedRead):
        piped = any(command.joint == "|" for command in commands)
        if piped and any(command.words[:2] == ("sed", "-n") for command in commands):
            return [msgspec.structs.replace(parts[0], cmd=script)]
    return parts


def _summaries(commands: Sequence[Words]) -> list[ev.ParsedCommand]:
    folder = ""
    parts: list[ev.ParsedCommand] = []
    for words in commands:
        if words[0] == "cd":
            folder = posixpath.join(folder, _cd_target(words[1:]))
            continue
        part = summarize(words)
        if isinstance(part, ev.ParsedRead):
            part = msgspec.structs.replace(part, path=posixpath.join(folder, part.path))
        parts.append(part)
    return parts


def _cd_target(args: Words) -> str:
    if "--" in args[:-1]:
        return args[args.index("--") + 1]
    return next((arg for arg in reversed(args) if not arg.startswith("-")), "")


def _simplified(parts: list[ev.ParsedCommand]) -> list[ev.ParsedCommand]:
    """Without what says nothing beside other parts: a leading `echo`, `true`, `nl` on its input."""
    while len(parts) > 1:
        idle = next((at for at, part in enumerate(parts) if _says_nothing(part, first=at == 0)), None)
        if idle is None:
            break
        parts = parts[:idle] + parts[idle + 1 :]
    return parts


def _says_nothing(part: ev.ParsedCommand, *, first: bool) -> bool:
    if not isinstance(part, ev.ParsedUnknown):
        return False
    words = part.cmd.split(" ")
    return (
        part.cmd == "true"
        or (first and words[0] == "echo")
        or (words[0] == "nl" and all(word.startswith("-") for word in words[1:]))
    )


def _formats(words: Words) -> bool:
    """Does this command only shape the output of others?"""
    match words:
        case ("xargs", *args):
            return not _xargs_edits(args)
        case ("awk", *args):
            return awk_file(args) is None
        case ("sed", *args):
            return sed_file(args) is None
        case ("head" | "tail",):
            return True
        case ("head" | "tail", arg):
            return arg.startswith("-")
        case ("head", "-n" | "-c", count):
            return count.isdigit()
        case ("tail", "-n" | "-c", count):
            return count.removeprefix("+").isdigit()
    return words[0] in _FORMATTING


def _xargs_edits(args: Sequence[str]) -> bool:
    """Does `xargs` run something that changes files?"""
    words = list(args)
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option == "--":
            break
        if option in _XARGS_VALUES:
            words = words[1:]
    match words:
        case ["perl" | "ruby", *rest]:
            return _in_place(rest)
        case ["sed", *rest]:
            return _in_place(rest) or "--in-place" in rest
        case ["rg", *rest]:
            return "--replace" in rest
    return False


def _in_place(args: Sequence[str]) -> bool:
    return any(arg.startswith(("-i", "-pi")) for arg in args)
