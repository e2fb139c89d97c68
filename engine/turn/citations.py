"""Citations of memories, which a model writes into its messages between two tags and nobody is to read there.

The parser takes text as it streams and holds back only what may still become a tag. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from rollouts import events as ev

OPEN: Final = "<oai-mem-citation>"
CLOSE: Final = "</oai-mem-citation>"
_ENTRY: Final = re.compile(r"(.*):\s*\+?(\d+)\s*-\s*\+?(\d+)\s*", re.ASCII)
_NOTE: Final = "|note=["
_U32: Final = 2**32


class CitationParser:
    """Splits a message into what is shown and what is cited."""

    def __init__(self) -> None:
        self.cited: list[str] = []
        """What stood between the tags; a citation that is never closed ends with its message."""
        self._held = ""
        self._inside = False

    def feed(self, piece: str) -> str:
        """The text to show that a piece adds."""
        shown: list[str] = []
        self._held += piece
        while True:
            before, tag, after = self._held.partition(CLOSE if self._inside else OPEN)
            if not tag:
                break
            (self.cited if self._inside else shown).append(before)
            self._held, self._inside = after, not self._inside
        if not self._inside:
            kept = _beginning_of(OPEN, self._held)
            shown.append(self._held[: len(self._held) - kept])
            self._held = self._held[len(self._held) - kept :]
        return "".join(shown)

    def finish(self) -> str:
        """The message is over: what was held back is text after all, or a citation without end."""
        held, self._held = self._held, ""
        if not self._inside:
            return held
        self.cited.append(held)
        self._inside = False
        return ""


def strip(message: str) -> tuple[str, ev.MemoryCitation | None]:
    """The text of a message without its citations, and what they cite, if anything."""
    parser = CitationParser()
    text = parser.feed(message) + parser.finish()
    return text, citation(parser.cited)


def citation(cited: Sequence[str]) -> ev.MemoryCitation | None:
    """What the texts between tags say: lines of files, and the sessions they came from; None for nothing."""
    entries = tuple(
        entry for text in cited for line in _block(text, "citation_entries") if (entry := _entry(line)) is not None
    )
    ids = [line.strip() for text in cited for line in _block(text, "rollout_ids", "thread_ids")]
    rollouts = tuple(dict.fromkeys(one for one in ids if one))
    return ev.MemoryCitation(entries, rollouts) if entries or rollouts else None


def _block(text: str, *names: str) -> Iterator[str]:
    """The lines of the first block that has one of these names."""
    for name in names:
        _, opened, rest = text.partition(f"<{name}>")
        inside, closed, _ = rest.partition(f"</{name}>")
        if opened and closed:
            yield from inside.split("\n")
            return


def _entry(line: str) -> ev.MemoryCitationEntry | None:
    """`path:first-last|note=[text]`."""
    place, marked, note = line.strip().rpartition(_NOTE)
    found = _ENTRY.fullmatch(place)
    if not marked or found is None or not note.endswith("]"):
        return None
    first, last = int(found[2]), int(found[3])
    if max(first, last) >= _U32:
        return None
    return ev.MemoryCitationEntry(found[1].strip(), first, last, note[:-1].strip())


def _beginning_of(tag: str, text: str) -> int:
    """How many characters at the end of a text may be the beginning of the tag."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if tag.startswith(text[-size:])), 0)
