"""Command lines: their words, what they do, which of them are known to be harmless, and the user's rules."""

from engine.commands.parse import parse_command

__all__ = ["parse_command"]
