"""The changes of a patch the model is still writing, for `item/fileChange/patchUpdated` (spec: tools, section 4.4).

Pure: time is passed in. Paths are as written so far. The text is parsed only when something may be sent, so that a
long patch that arrives in thousands of pieces costs a few parses a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.patch.parse import AddHunk, Chunk, DeleteHunk, Hunk, parse_open
from rollouts import events as ev

# Seconds between two updates of one call.
INTERVAL = 0.5


class PatchStream:
    """Follows one call. Each update is the whole of the changes so far, sent only when it differs from the last."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._sent: Mapping[str, ev.FileChange] = {}
        self._sent_at: float | None = None

    def feed(self, now: float, delta: str) -> dict[str, ev.FileChange] | None:
        """Take more text; returns what to send, by path. Within `INTERVAL` of the last update nothing is sent.

        :param now: seconds on a clock that never goes back
        """
        self._pieces.append(delta)
        if self._sent_at is not None and now - self._sent_at < INTERVAL:
            return None
        changes = self.flush()
        if changes is not None:
            self._sent_at = now
        return changes

    def flush(self) -> dict[str, ev.FileChange] | None:
        """What is left to send once the call is complete; None too if the text is no patch."""
        text = "".join(self._pieces)
        self._pieces = [text]
        patch = parse_open(text)
        changes = drafted(patch.hunks) if patch else {}
        if not changes or changes == self._sent:
            return None
        self._sent = changes
        return changes


def drafted(hunks: Sequence[Hunk]) -> dict[str, ev.FileChange]:
    """The changes of hunks that were not checked against any file; the last hunk of a path counts."""
    return {hunk.path: _change(hunk) for hunk in hunks}


def _change(hunk: Hunk) -> ev.FileChange:
    if isinstance(hunk, AddHunk):
        return ev.AddFile(hunk.content)
    if isinstance(hunk, DeleteHunk):
        return ev.DeleteFile("")
    return ev.UpdateFile("".join(map(_drafted_chunk, hunk.chunks)), hunk.move_path)


def _drafted_chunk(chunk: Chunk) -> str:
    """All old lines, then all new lines; no attempt at a short diff."""
    lines = ["@@" if chunk.context is None else f"@@ {chunk.context}"]
    lines += [f"-{line}" for line in chunk.old]
    lines += [f"+{line}" for line in chunk.new]
    if chunk.at_end:
        lines.append("*** End of File")
    return "".join(f"{line}\n" for line in lines)
