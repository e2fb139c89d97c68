"""What clients are told when they connect: parts of the configuration that are left aside because they are wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.commands.rules import RulesUnreadable, load_rules
from engine.config import ConfigError, Spot, load, rule_folders
from projections import protocol as p


def config_warnings(home: Path, flags: Mapping[str, object], cwd: Path) -> list[p.ConfigWarningNotification]:
    """A configuration that cannot be used, or rules that cannot; what cannot even be read fails the first thread."""
    try:
        problem = load_rules(*rule_folders(load(home, flags, cwd))).problem
    except ConfigError as error:
        return [_warning("Invalid configuration; using defaults.", str(error), error.at)]
    except RulesUnreadable:
        return []
    if problem is None:
        return []
    spot = Spot(problem.path, problem.line, problem.column, problem.column)
    return [_warning("Error parsing rules; custom rules not applied.", str(problem), spot)]


def _warning(summary: str, details: str, spot: Spot | None) -> p.ConfigWarningNotification:
    if spot is None:
        return p.ConfigWarningNotification(summary=summary, details=details)
    start = p.TextPosition(line=spot.line, column=spot.column)
    end = p.TextPosition(line=spot.line, column=spot.end)
    where = p.TextRange(start=start, end=end)
    return p.ConfigWarningNotification(summary=summary, details=details, path=str(spot.file), range=where)
