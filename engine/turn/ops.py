"""The operations a turn can ask for: side effects with a name, carried out by the runner's table.

An operation is plain data. A new capability is a new operation (here, or beside the capability), a coroutine in the
runner's table and a script that yields it; the machine stays as it is.
"""

from __future__ import annotations

import msgspec


class Op(msgspec.Struct, frozen=True):
    """Base of all operations."""


class Sample(Op, frozen=True):
    """One attempt at a model reply for the folded window.

    Progress: the reply's stream events (`engine.turn.replies`). Result: None once the reply is complete.
    Error: `engine.turn.replies.ModelFailure`.
    """

    turn_id: str
    client_metadata: dict[str, str] | None = None
    turn_state: str | None = None
    """Value of the `x-codex-turn-state` header of an earlier reply of this turn (spec turns 4.2)."""


class SaveImage(Op, frozen=True):
    """Put an image the model made into a file. Result: `SavedImage`, None if it is no image or cannot be written."""

    id: str
    data: str
    """Base64."""


class SavedImage(msgspec.Struct, frozen=True):
    """Where an image lies, and the folder of all images of its thread."""

    path: str
    folder: str


class ReadDiff(Op, frozen=True):
    """See what has become of the files that the turn's patches touched. Result: the diff as of now, None for none."""

    turn_id: str


class Wait(Op, frozen=True):
    """Let time pass. Result: None."""

    seconds: float


class FallBack(Op, frozen=True):
    """Ask the model over HTTP from now on, for the rest of the session. Result: None."""


class Ask(Op, frozen=True):
    """Put a question to the clients of the thread. Result: the typed answer, the cautious one if theirs is bad."""

    method: str
    params: msgspec.Struct
