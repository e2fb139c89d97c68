"""Rules: provisional, P2 replaces this file."""

from __future__ import annotations

from pathlib import Path


class Rules:
    """No rules."""

    def decide(self, argv: tuple[str, ...]) -> str | None:
        """No decision."""
        return None


def load_rules(home: Path) -> Rules:
    """None."""
    return Rules()


def append_rule(home: Path, words: tuple[str, ...]) -> None:
    """Not kept."""
