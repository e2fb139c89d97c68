"""The plan inside an assistant message of a plan-mode turn: the text between two tag lines (spec turns 6).

The parser takes text as it streams and holds back only what may still become a tag line.
"""

from __future__ import annotations

from typing import Literal

OPEN = "<proposed_plan>"
CLOSE = "</proposed_plan>"

Kind = Literal["text", "plan", "opened"]


class PlanParser:
    """Splits a message into its text and its plan."""

    def __init__(self) -> None:
        self._inside = False
        self._held = ""
        self._line_start = True

    def feed(self, piece: str) -> list[tuple[Kind, str]]:
        """What a piece adds: pieces of text, pieces of plan, and where a plan opens; neighbours are one piece."""
        out: list[tuple[Kind, str]] = []
        for line in piece.splitlines(keepends=True):
            self._take(line, out)
        return out

    def finish(self) -> list[tuple[Kind, str]]:
        """The message is over: what was held back is a tag without line break, or text."""
        out: list[tuple[Kind, str]] = []
        if self._held and not self._tag(self._held, out):
            self._say(self._held, out)
        self._held = ""
        return out

    def _take(self, line: str, out: list[tuple[Kind, str]]) -> None:
        if not self._line_start:
            self._say(line, out)
            self._line_start = line.endswith("\n")
            return
        self._held += line
        whole = self._held.endswith("\n")
        if not whole and self._may_become_tag():
            return
        held, self._held = self._held, ""
        if not (whole and self._tag(held, out)):
            self._say(held, out)
        self._line_start = whole

    def _may_become_tag(self) -> bool:
        tag = CLOSE if self._inside else OPEN
        return tag.startswith(self._held.strip()) if len(self._held.strip()) <= len(tag) else False

    def _tag(self, line: str, out: list[tuple[Kind, str]]) -> bool:
        tag = CLOSE if self._inside else OPEN
        if line.strip() != tag:
            return False
        if not self._inside:
            out.append(("opened", ""))
        self._inside = not self._inside
        return True

    def _say(self, text: str, out: list[tuple[Kind, str]]) -> None:
        kind: Kind = "plan" if self._inside else "text"
        if out and out[-1][0] == kind:
            text = out.pop()[1] + text
        if text:
            out.append((kind, text))


def split(message: str) -> tuple[str, str | None]:
    """The text without its plans, and the last plan; None if there is none."""
    parser = PlanParser()
    text, plan = "", None
    for kind, piece in [*parser.feed(message), *parser.finish()]:
        if kind == "text":
            text += piece
        else:
            plan = piece if kind == "opened" or plan is None else plan + piece
    return text, plan
