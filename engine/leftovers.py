"""Input that a client heard acknowledged and that an interrupt kept from the model; the reference drops it.

It goes ahead of the input of the next regular turn, unless the client says it there itself: the terminal client submits
again what an interrupt left over, and takes a `userMessage` item before the end of the turn to mean that it need not.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.turn.effects import Submission


class Leftovers:
    """What waits for the next turn, oldest first."""

    def __init__(self) -> None:
        self._waiting: list[Submission] = []

    def keep(self, waiting: Iterable[Submission]) -> None:
        """A turn ended without these."""
        self._waiting.extend(waiting)

    def take(self, before: Submission | None) -> tuple[Submission, ...]:
        """What goes ahead of this input, or all there is; nothing is left over afterwards."""
        waiting, self._waiting = self._waiting, []
        return tuple(one for one in waiting if before is None or not _says_again(before, one))


def _says_again(later: Submission, earlier: Submission) -> bool:
    """Whether one submission says all that another one did, perhaps together with more."""
    new, old = later.shown, earlier.shown
    images = {*(new.images or ()), *new.local_images}
    return f"\n{old.message}\n" in f"\n{new.message}\n" and images.issuperset({*(old.images or ()), *old.local_images})
