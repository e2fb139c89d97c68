"""The user's rules for commands: `CODEX_HOME/rules/*.rules`, what they say of a command, and adding one.

As in the reference, one broken file means that no rule applies, and the user is warned.
"""

from __future__ import annotations

import fcntl
import json
import os.path
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from engine.commands.rules_file import Rule, RulesError, parse
from engine.commands.words import feeds_document, heredoc_command, plain_commands, script_of
from engine.errors import os_reason

Words = Sequence[str]


class RulesUnreadable(Exception):
    """Rules are there but cannot be read: nothing may run as if there were none."""


class RuleRefused(Exception):
    """A rule cannot be kept; the text says where and why."""


class Rules(msgspec.Struct, frozen=True):
    """All rules that apply; `problem` says why there are none."""

    rules: tuple[Rule, ...] = ()
    executables: Mapping[str, frozenset[str]] = {}
    """Programs whose rules hold for these paths only; others hold for every path with that name."""
    problem: RulesError | None = None

    def matches(self, words: Words) -> list[tuple[Rule, tuple[str, ...]]]:
        """The rules for a command and what of it they matched. A path is also known by its last component."""
        found = self._matches(words)
        if found or not os.path.isabs(words[0]):
            return found
        name = os.path.basename(words[0])
        if words[0] not in self.executables.get(name, frozenset({words[0]})):
            return []
        return self._matches((name, *words[1:]))

    def allowing(self, prefix: Words) -> Rules:
        """These rules and one that allows commands that begin so."""
        return msgspec.structs.replace(self, rules=(*self.rules, Rule(tuple((word,) for word in prefix))))

    def _matches(self, words: Words) -> list[tuple[Rule, tuple[str, ...]]]:
        return [(rule, begin) for rule in self.rules if (begin := rule.matched(words)) is not None]


def commands_of(argv: Words) -> tuple[list[tuple[str, ...]], bool]:
    """The commands that rules are asked about, and whether the script is more than plain words.

    Those of a plain script, the one before a here-document, or else the command line as it is: also for a
    here-document that goes to a file, which no rule for the command is meant to allow.
    """
    script = script_of(argv)
    if script is None:
        return [tuple(argv)], False
    commands = plain_commands(script)
    if commands is not None:
        return [command.words for command in commands], False
    fed = heredoc_command(script)
    return ([tuple(argv)], feeds_document(script)) if fed is None else ([fed], True)


def load_rules(*folders: Path) -> Rules:
    """The rules of all `*.rules` files in the `rules` folders of these places, CODEX_HOME first.

    :raises RulesUnreadable: a file or a folder cannot be read.
    """
    rules: list[Rule] = []
    executables: dict[str, frozenset[str]] = {}
    try:
        for path in (path for folder in folders for path in _files(folder / "rules")):
            found = parse_rules(_read(path), path)
            rules += found.rules
            executables.update(found.executables)
    except RulesError as problem:
        return Rules(problem=problem)
    return Rules(rules=tuple(rules), executables=executables)


def append_rule(home: Path, prefix: Words) -> None:
    """Allow commands that begin so from now on: a line in `CODEX_HOME/rules/default.rules`, unless it is there.

    :raises RuleRefused: it cannot be written.
    """
    path = home / "rules" / "default.rules"
    try:
        _append(path, prefix)
    except OSError as error:
        raise RuleRefused(f"failed to update rules file {path}: {os_reason(error)}") from error
    except ValueError as error:
        raise RuleRefused(f"failed to update rules file {path}: {error}") from error


def _append(path: Path, prefix: Words) -> None:
    if not prefix:
        raise ValueError("prefix rule requires at least one token")
    pattern = "[" + ", ".join(json.dumps(word, ensure_ascii=False) for word in prefix) + "]"
    line = f'prefix_rule(pattern={pattern}, decision="allow")'
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8", newline="") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        present = file.read()
        if line not in present.splitlines():
            file.write(("\n" if present and not present.endswith("\n") else "") + line + "\n")


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".rules" and path.is_file())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RulesUnreadable(f"failed to read rules files from {folder}: {os_reason(error)}") from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RulesUnreadable(f"failed to read rules file {path}: {os_reason(error)}") from error
    except UnicodeDecodeError as error:
        raise RulesUnreadable(f"failed to read rules file {path}: stream did not contain valid UTF-8") from error


def parse_rules(text: str, path: Path) -> Rules:
    """The rules of one file.

    :raises RulesError: naming the place of what is wrong.
    """
    found = parse(text, path)
    return Rules(rules=found.rules, executables=found.executables)
