"""What clients are told when they connect: parts of the configuration that are left aside because they are wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from engine.commands.rules import RulesUnreadable, load_rules
from engine.config import ConfigError, load, rule_folders
from projections import protocol as p

_PLACE = re.compile(r"(?P<path>[^\n]+?):(?P<line>\d+):(?P<column>\d+): ")


def config_warnings(home: Path, flags: Mapping[str, object], cwd: Path) -> list[p.ConfigWarningNotification]:
    """A configuration that cannot be used, or rules that cannot; what cannot even be read fails the first thread."""
    try:
        problem = load_rules(*rule_folders(load(home, flags, cwd))).problem
    except ConfigError as error:
        found = _PLACE.match(str(error))
        place = (found["path"], int(found["line"]), int(found["column"])) if found else None
        return [_warning("Invalid configuration; using defaults.", str(error), place)]
    except RulesUnreadable:
        return []
    if problem is None:
        return []
    place = (str(problem.path), problem.line, problem.column)
    return [_warning("Error parsing rules; custom rules not applied.", str(problem), place)]


def _warning(summary: str, details: str, place: tuple[str, int, int] | None) -> p.ConfigWarningNotification:
    if place is None:
        return p.ConfigWarningNotification(summary=summary, details=details)
    path, line, column = place
    at = p.TextPosition(line=line, column=column)
    return p.ConfigWarningNotification(summary=summary, details=details, path=path, range=p.TextRange(start=at, end=at))
