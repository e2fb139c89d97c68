"""What clients are told when they connect: parts of the configuration that are left aside because they are wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.commands.rules import RulesUnreadable, load_rules
from engine.commands.rules_file import Span
from engine.config import ConfigError, load, rule_folders
from projections import protocol as p


def config_warnings(home: Path, flags: Mapping[str, object], cwd: Path) -> list[p.ConfigWarningNotification]:
    """A configuration that cannot be used, or rules that cannot; what cannot even be read fails the first thread."""
    try:
        problem = load_rules(*rule_folders(load(home, flags, cwd))).problem
    except ConfigError as error:
        at = error.at
        place = None if at is None else (at.file, Span(at.line, at.column, at.line, at.end))
        return [_warning("Invalid configuration; using defaults.", str(error), place)]
    except RulesUnreadable:
        return []
    if problem is None:
        return []
    return [_warning("Error parsing rules; custom rules not applied.", str(problem), (problem.path, problem.span))]


def _warning(summary: str, details: str, place: tuple[Path, Span] | None) -> p.ConfigWarningNotification:
    if place is None:
        return p.ConfigWarningNotification(summary=summary, details=details)
    file, span = place
    start = p.TextPosition(line=span.line, column=span.column)
    end = p.TextPosition(line=span.end_line, column=span.end_column)
    where = p.TextRange(start=start, end=end)
    return p.ConfigWarningNotification(summary=summary, details=details, path=str(file), range=where)
