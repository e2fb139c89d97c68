"""One rules file: read without running it, and what is wrong with it, shown as the reference shows it.

A rules file is Starlark; what people write there is calls with literals, and that is what is read: Python's own
parser gives the tree, a small evaluator takes names, strings, lists and the three calls, and nothing ever runs. A
file that says more is an error with its place.
"""

from __future__ import annotations

import ast
import json
import os.path
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

Decision = Literal["allow", "prompt", "forbidden"]
STRICTNESS: tuple[Decision, ...] = ("allow", "prompt", "forbidden")

Words = Sequence[str]
_PROTOCOLS = ("http", "https", "socks5_tcp", "socks5_udp")


class Span(msgspec.Struct, frozen=True):
    """A stretch of a file; lines and columns count from 1, the end column is the first one behind it."""

    line: int = 1
    column: int = 1
    end_line: int = 1
    end_column: int = 1


class RulesError(Exception):
    """A rules file cannot be used."""

    def __init__(self, path: Path, reason: str, span: Span) -> None:
        super().__init__(f"failed to parse rules file {path}: {reason}")
        self.path = path
        self.reason = reason
        self.span = span


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


class RulesFile(msgspec.Struct, frozen=True):
    """What a file says: rules for commands, and programs whose rules hold for these paths only."""

    rules: tuple[Rule, ...]
    executables: Mapping[str, frozenset[str]]


def parse(text: str, path: Path) -> RulesFile:
    """The rules of one file.

    :raises RulesError: naming the place of what is wrong.
    """
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line, column = getattr(error, "lineno", 1) or 1, getattr(error, "offset", 1) or 1
        span = Span(line, column, line, column)
        raise RulesError(path, f"starlark error: error: Parse error: {getattr(error, 'msg', error)}", span) from error
    reader = _Reader()
    for statement in statements:
        try:
            reader.run(statement)
        except _Wrong as wrong:
            source = text.splitlines()
            span = _span(source, wrong.node or statement)
            raise RulesError(path, wrong.explain(path, source, span), span) from wrong
    return RulesFile(tuple(reader.rules), reader.executables)


class _Wrong(Exception):
    """`node`: what is wrong, None for the whole statement."""

    def __init__(self, reason: str, node: ast.expr | None = None) -> None:
        super().__init__(reason)
        self.node = node

    def explain(self, path: Path, source: Sequence[str], span: Span) -> str:
        """With the place in the file. Names are found to be wrong before anything is called."""
        called = ""
        if self.node is None:
            line = source[span.line - 1].strip()
            called = f"Traceback (most recent call last):\n  * {path}:{span.line}, in <module>\n      {line}\n"
        return f"starlark error: {called}error: {self}\n{''.join(_excerpt(path, source, span))}"


class _BadExample(_Wrong):
    def explain(self, path: Path, source: Sequence[str], span: Span) -> str:
        return str(self)


def _span(source: Sequence[str], node: ast.stmt | ast.expr) -> Span:
    end_line, end = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
    return Span(
        node.lineno,
        _column(source[node.lineno - 1], node.col_offset),
        end_line,
        _column(source[end_line - 1], end),
    )


def _column(line: str, offset: int) -> int:
    """The parser counts bytes."""
    return len(line.encode()[:offset].decode()) + 1


def _excerpt(path: Path, source: Sequence[str], span: Span) -> Iterator[str]:
    width = len(str(span.end_line))
    empty = " " * width + " |"
    yield f"{' ' * width}--> {path}:{span.line}:{span.column}\n{empty}\n"
    if span.line == span.end_line:
        yield f"{span.line} | {source[span.line - 1]}\n"
        yield f"{empty} {' ' * (span.column - 1)}{'^' * (span.end_column - span.column)}\n"
    else:
        for number in range(span.line, span.end_line + 1):
            yield f"{number:>{width}} | {'/' if number == span.line else '|'} {source[number - 1]}\n"
        yield f"{empty} |{'_' * (span.end_column - 1)}^\n"
    yield f"{empty}\n"


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
        missing = next((each for each in parameters[: _REQUIRED[name]] if each not in given), None)
        if missing is not None:
            raise _Wrong(f"Missing parameter `{missing}` for call to `{name}`")
        for parameter, value in given.items():
            _check_type(parameter, value)
        handle(self, given)

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
                    raise _Wrong("a surrogate is no character", node)
                return value
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                return [self._value(element) for element in elements]
            case ast.Name(id=name):
                if name not in self._names:
                    raise _Wrong(f"Variable `{name}` not found", node)
                return self._names[name]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                first, second = self._value(left), self._value(right)
                if type(first) is type(second) and isinstance(first, str | list):
                    return first + second
        raise _Wrong(f"`{ast.unparse(node)}` is not understood", node)

    def prefix_rule(self, given: Mapping[str, Any]) -> None:
        """`prefix_rule(pattern, decision, match, not_match, justification)`."""
        decision = _decision(given.get("decision", "allow"))
        justification = given.get("justification")
        if justification is not None and not justification.strip():
            raise _Wrong("invalid rule: justification cannot be empty")
        rule = Rule(_pattern(given["pattern"]), decision, justification)
        examples, others = ([_example(each) for each in given.get(key) or ()] for key in ("match", "not_match"))
        unmatched = [shlex.join(example) for example in examples if rule.matched(example) is None]
        if unmatched:
            shown = msgspec.json.encode(unmatched).decode().replace('","', '", "')
            rules = ", ".join(map(json.dumps, _debugged(rule)))
            raise _BadExample(
                f"expected every example to match at least one rule. rules: [{rules}]; unmatched examples: {shown}"
            )
        for example in others:
            begin = rule.matched(example)
            if begin is not None:
                match = f"{{ matched_prefix: {_strings(begin)}, {_verdict(rule, resolved=True)} }}"
                text = shlex.join(example)
                raise _BadExample(f"expected example to not match rule `PrefixRuleMatch {match}`: {text}")
        self.rules.append(rule)

    def host_executable(self, given: Mapping[str, Any]) -> None:
        """`host_executable(name, paths)`."""
        name, paths = given["name"], given["paths"]
        if not name or "/" in name:
            raise _Wrong(f"invalid rule: host_executable name must be a bare executable name (got {name})")
        for path in paths:
            if not isinstance(path, str) or not os.path.isabs(path):
                raise _Wrong(f"invalid rule: host_executable paths must be absolute (got {path})")
            if os.path.basename(path) != name:
                raise _Wrong(f"invalid rule: host_executable path `{path}` must have basename `{name}`")
        self.executables[name] = frozenset(paths)

    def network_rule(self, given: Mapping[str, Any]) -> None:
        """`network_rule(host, protocol, decision, justification)` is about the network, not about commands."""
        if not given["host"].strip():
            raise _Wrong("invalid rule: network_rule host cannot be empty")
        if given["protocol"] not in _PROTOCOLS:
            known = ", ".join(_PROTOCOLS)
            raise _Wrong(f"invalid rule: network_rule protocol must be one of {known} (got {given['protocol']})")
        if given["decision"] != "deny":
            _decision(given["decision"])


_TYPES: Mapping[str, tuple[type, str]] = {
    **dict.fromkeys(("pattern", "match", "not_match", "paths"), (list, "list")),
    **dict.fromkeys(("decision", "justification", "name", "host", "protocol"), (str, "str")),
}
_NAMES = {str: "string", type(None): "NoneType"}


def _type_name(value: object) -> str:
    return _NAMES.get(type(value), type(value).__name__)


def _check_type(parameter: str, value: object) -> None:
    wanted, name = _TYPES[parameter]
    if not isinstance(value, wanted):
        shown = json.dumps(value) if isinstance(value, str) else repr(value)
        actual = f"{_type_name(value)} (repr: {shown})"
        raise _Wrong(f"Type of parameter `{parameter}` doesn't match, expected `{name}`, actual `{actual}`")


def _decision(given: str) -> Decision:
    for decision in STRICTNESS:
        if given == decision:
            return decision
    raise _Wrong(f"invalid decision: {given}")


def _pattern(given: Sequence[object]) -> tuple[tuple[str, ...], ...]:
    if not given:
        raise _Wrong("invalid pattern element: pattern cannot be empty")
    return tuple(_alternatives(element) for element in given)


def _alternatives(element: object) -> tuple[str, ...]:
    if isinstance(element, str):
        return (element,)
    if not isinstance(element, list):
        kind = _type_name(element)
        raise _Wrong(f"invalid pattern element: pattern element must be a string or list of strings (got {kind})")
    if not element:
        raise _Wrong("invalid pattern element: pattern alternatives cannot be empty")
    for word in element:
        if not isinstance(word, str):
            raise _Wrong(f"invalid pattern element: pattern alternative must be a string (got {_type_name(word)})")
    return tuple(element)


def _example(given: object) -> list[str]:
    if isinstance(given, str):
        try:
            words = shlex.split(given)
        except ValueError as error:
            raise _Wrong("invalid example: example string has invalid shell syntax") from error
        if not words:
            raise _Wrong("invalid example: example cannot be an empty string")
        return words
    if not isinstance(given, list):
        raise _Wrong(f"invalid example: example must be a string or list of strings (got {_type_name(given)})")
    if not given:
        raise _Wrong("invalid example: example cannot be an empty list")
    for word in given:
        if not isinstance(word, str):
            raise _Wrong(f"invalid example: example tokens must be strings (got {_type_name(word)})")
    return given


def _debugged(rule: Rule) -> Iterator[str]:
    """How the reference shows a rule: one for each of its first words."""
    rest = ", ".join(
        f"Single({json.dumps(words[0])})" if len(words) == 1 else f"Alts({_strings(words)})"
        for words in rule.pattern[1:]
    )
    for first in rule.pattern[0]:
        pattern = f"PrefixPattern {{ first: {json.dumps(first)}, rest: [{rest}] }}"
        yield f"PrefixRule {{ pattern: {pattern}, {_verdict(rule, resolved=False)} }}"


def _verdict(rule: Rule, *, resolved: bool) -> str:
    why = "None" if rule.justification is None else f"Some({json.dumps(rule.justification)})"
    program = "resolved_program: None, " if resolved else ""
    return f"decision: {rule.decision.capitalize()}, {program}justification: {why}"


def _strings(words: Sequence[str]) -> str:
    return f"[{', '.join(map(json.dumps, words))}]"


_Call = tuple[tuple[str, ...], Callable[[_Reader, Mapping[str, Any]], None]]
_CALLS: Mapping[str, _Call] = {
    "prefix_rule": (("pattern", "decision", "match", "not_match", "justification"), _Reader.prefix_rule),
    "host_executable": (("name", "paths"), _Reader.host_executable),
    "network_rule": (("host", "protocol", "decision", "justification"), _Reader.network_rule),
}
_REQUIRED = {"prefix_rule": 1, "host_executable": 2, "network_rule": 3}
"""How many parameters of each, the first ones, have no default."""
