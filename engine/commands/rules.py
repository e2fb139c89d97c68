"""The user's rules for commands: `CODEX_HOME/rules/*.rules`, what they say of a command, and adding one.

A rules file is Starlark; what people write there is calls with literals, and that is what is read: Python's own
parser gives the tree, a small evaluator takes names, strings, lists and the three calls, and nothing ever runs. A
file that says more is an error with its place. As in the reference, one broken file means that no rule applies, and
the user is warned.
"""

from __future__ import annotations

import ast
import fcntl
import json
import os.path
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine.commands.words import feeds_document, heredoc_command, plain_commands, script_of
from engine.errors import os_reason

Decision = Literal["allow", "prompt", "forbidden"]
STRICTNESS: tuple[Decision, ...] = ("allow", "prompt", "forbidden")

Words = Sequence[str]


class RulesError(Exception):
    """A rules file cannot be used; lines and columns count from 1."""

    def __init__(self, path: Path, reason: str, line: int = 1, column: int = 1) -> None:
        super().__init__(f"failed to parse rules file {path}: {reason}")
        self.path = path
        self.reason = reason
        self.line = line
        self.column = column


class RulesUnreadable(Exception):
    """Rules are there but cannot be read: nothing may run as if there were none."""


class RuleRefused(Exception):
    """A rule cannot be kept; the text says where and why."""


class Rule(msgspec.Struct, frozen=True):
    """Commands that begin like this; each place of the pattern holds the words that fit there."""

    pattern: tuple[tuple[str, ...], ...]
    decision: Decision = "allow"
    justification: str | None = None

    def matched(self, words: Words) -> tuple[str, ...] | None:
        """The beginning of the command that fits, None when it does not."""
        begin = tuple(words[: len(self.pattern)])
        fits = len(begin) == len(self.pattern) and all(
            word in alternatives for word, alternatives in zip(begin, self.pattern, strict=True)
        )
        return begin if fits else None


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
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError) as error:
        line, column = getattr(error, "lineno", 1) or 1, getattr(error, "offset", 1) or 1
        raise RulesError(path, f"starlark error: error: Parse error: {error}", line, column) from error
    reader = _Reader()
    for statement in statements:
        try:
            reader.run(statement)
        except _Wrong as wrong:
            node = wrong.node or statement
            reason = f"starlark error: error: {wrong}"
            raise RulesError(path, reason, node.lineno, node.col_offset + 1) from wrong
    return Rules(rules=tuple(reader.rules), executables=reader.executables)


class _Wrong(Exception):
    def __init__(self, reason: str, node: ast.expr | None = None) -> None:
        super().__init__(reason)
        self.node = node


class _Reader:
    """Takes the statements of one file."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.executables: dict[str, frozenset[str]] = {}
        self._names: dict[str, Any] = {}

    def run(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Expr(value=ast.Call(func=ast.Name(id=name)) as call):
                self._call(name, call)
            case ast.Expr(value=ast.Constant(value=str())):
                pass
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._names[name] = self._value(value)
            case _:
                raise _Wrong("only calls of rules and assignments are understood")

    def _call(self, name: str, call: ast.Call) -> None:
        if name not in _CALLS:
            raise _Wrong(f"Variable `{name}` not found", call.func)
        parameters, handle = _CALLS[name]
        given = dict(zip(parameters, map(self._value, call.args), strict=False))
        if len(call.args) > len(parameters):
            raise _Wrong(f"Found {len(call.args) - len(parameters)} extra positional argument(s) for call to {name}")
        for keyword in call.keywords:
            if keyword.arg not in parameters:
                raise _Wrong(f"Found `{keyword.arg}` extra named parameter(s) for call to {name}")
            given[keyword.arg] = self._value(keyword.value)
        handle(self, given)

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                return [self._value(element) for element in elements]
            case ast.Name(id=name) if name in self._names:
                return self._names[name]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                first, second = self._value(left), self._value(right)
                if type(first) is type(second) and isinstance(first, str | list):
                    return first + second
        raise _Wrong(f"`{ast.unparse(node)}` is not understood", node)

    def prefix_rule(self, given: Mapping[str, Any]) -> None:
        """`prefix_rule(pattern, decision, match, not_match, justification)`."""
        decision = given.get("decision") or "allow"
        if decision not in STRICTNESS:
            raise _Wrong(f"invalid decision: {decision}")
        justification = given.get("justification")
        if justification is not None and not (isinstance(justification, str) and justification.strip()):
            raise _Wrong("invalid rule: justification cannot be empty")
        rule = Rule(_pattern(given.get("pattern")), decision, justification)
        unmatched = [example for example in given.get("match") or () if rule.matched(_example(example)) is None]
        if unmatched:
            raise _Wrong(f"expected every example to match the rule; unmatched examples: {unmatched}")
        matched = [example for example in given.get("not_match") or () if rule.matched(_example(example)) is not None]
        if matched:
            raise _Wrong(f"expected examples to not match the rule: {matched}")
        self.rules.append(rule)

    def host_executable(self, given: Mapping[str, Any]) -> None:
        """`host_executable(name, paths)`."""
        name, paths = given.get("name"), given.get("paths")
        if not isinstance(name, str) or not name or "/" in name:
            raise _Wrong("invalid host_executable: name must be a program name without a path")
        if not isinstance(paths, list) or not all(isinstance(path, str) and os.path.isabs(path) for path in paths):
            raise _Wrong("invalid host_executable: paths must be a list of absolute paths")
        self.executables[name] = frozenset(paths)

    def network_rule(self, given: Mapping[str, Any]) -> None:
        """`network_rule(host, protocol, decision, justification)` is about the network, not about commands."""


def _pattern(given: object) -> tuple[tuple[str, ...], ...]:
    if not isinstance(given, list):
        raise _Wrong("invalid pattern element: pattern must be a list")
    if not given:
        raise _Wrong("invalid pattern element: pattern cannot be empty")
    return tuple(_alternatives(element) for element in given)


def _alternatives(element: object) -> tuple[str, ...]:
    if isinstance(element, str):
        return (element,)
    if not isinstance(element, list) or not all(isinstance(word, str) for word in element):
        raise _Wrong("invalid pattern element: pattern element must be a string or list of strings")
    if not element:
        raise _Wrong("invalid pattern element: pattern alternatives cannot be empty")
    return tuple(element)


def _example(given: object) -> list[str]:
    if isinstance(given, str):
        commands = plain_commands(given)
        if commands is not None and len(commands) == 1:
            return list(commands[0].words)
    elif isinstance(given, list) and given and all(isinstance(word, str) for word in given):
        return given
    raise _Wrong(f"invalid example: {given!r}")


_Call = tuple[tuple[str, ...], Callable[[_Reader, Mapping[str, Any]], None]]
_CALLS: Mapping[str, _Call] = {
    "prefix_rule": (("pattern", "decision", "match", "not_match", "justification"), _Reader.prefix_rule),
    "host_executable": (("name", "paths"), _Reader.host_executable),
    "network_rule": (("host", "protocol", "decision", "justification"), _Reader.network_rule),
}
