"""What goes into a turn and what comes out of it.

The turn is sans-I/O: the runner (`engine.thread`) feeds inputs that carry their time and carries out the effects
of each step in order: all `Emit`s of a step first, as one write, then the rest. Nothing here does anything.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from engine.turn.ops import Op
from rollouts import events as ev


class Submission(msgspec.Struct, frozen=True):
    """One user submission: what the model reads, what the log shows, what clients see."""

    messages: tuple[ev.Message, ...]
    """The user message first, then messages it pulls in (skill texts)."""
    shown: ev.UserMessage
    content: tuple[ev.UserInput, ...]
    """The input as the client sent it, for the live `userMessage` item."""
    client_metadata: dict[str, str] | None = None


class Steer(msgspec.Struct, frozen=True):
    """More user input for the running turn; read when the current model reply has ended."""

    now: datetime
    input: Submission


class Inject(msgspec.Struct, frozen=True):
    """Something the model is to be told once the current step is through."""

    now: datetime
    message: ev.Message
    prolongs: bool = False
    """Whether the turn goes on until the model has read it."""


class Interrupt(msgspec.Struct, frozen=True):
    """The turn is to end: the user wants it, or another turn takes its place."""

    now: datetime
    reason: ev.AbortReason = "interrupted"


class Progress(msgspec.Struct, frozen=True):
    """Something an operation reports while it runs."""

    now: datetime
    key: int
    data: object


class Done(msgspec.Struct, frozen=True):
    """An operation ended: with its result, or with the error it raised."""

    now: datetime
    key: int
    result: object = None
    error: Exception | None = None


Input = Steer | Inject | Interrupt | Progress | Done


class Emit(msgspec.Struct, frozen=True):
    """An event happened: policy, write, fold, publish."""

    event: ev.Body


class Start(msgspec.Struct, frozen=True):
    """Run `op`; report under `key`."""

    key: int
    op: Op


class Cancel(msgspec.Struct, frozen=True):
    """Stop the operation with this key; whatever it still says is dropped."""

    key: int


class Finish(msgspec.Struct, frozen=True):
    """The turn is over: make the log durable, then publish this step."""

    outcome: str


Effect = Emit | Start | Cancel | Finish
