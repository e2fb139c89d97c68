"""What all events share: the base Structs, the tag rule and the three ways a field can be missing.

A class that derives from `EventMsg`, `ResponseItem` or `EngineEvent` is a line body of that outer type; its
tag is its name in snake_case unless it says otherwise. Fields are declared in the order in which they are
written. Nothing here reads or writes: `rollouts.codec` does.

Three kinds of optional field (rollout-format.md 5, "`?` = absent when none; otherwise null is written"):
`= None` is left out when none, `= NULL` is written as null but may be missing when read, and open JSON is
`Raw | UnsetType = UNSET`, left out when unset and otherwise kept byte for byte.
"""

import re
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType


def wire_tag(class_name: str) -> str:
    """`TaskStarted` -> `task_started`: the tag of a class by its name."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", class_name).lower()


def _none() -> None:
    return None


def _empty() -> tuple[()]:
    return ()


def _no_keys() -> dict[str, Any]:
    return {}


def _blank() -> str:
    return ""


# msgspec leaves a field out when it equals its default, but never one whose default a function makes:
# that is how a field can be optional when read and still always be written.
NULL: Any = msgspec.field(default_factory=_none)
EMPTY: Any = msgspec.field(default_factory=_empty)
NO_KEYS: Any = msgspec.field(default_factory=_no_keys)
BLANK: Any = msgspec.field(default_factory=_blank)


Int: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A whole number as the reference and SQLite hold one: a larger one makes a line unreadable."""

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
"""A number of things; negative ones make a line unreadable, as in the reference."""


class Part(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A nested object without a tag of its own."""


class TaggedPart(Part, frozen=True, tag_field="type", tag=wire_tag):
    """A nested object told from its siblings by `type`."""


class LineBody(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Payload of a line whose outer `type` alone names it."""


class EventMsg(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag=wire_tag):
    """Payload of an `event_msg`; live events that are never written are of this kind too."""


class ResponseItem(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag=wire_tag):
    """Payload of a `response_item`: something the model said or is shown."""


class EngineEvent(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag=wire_tag):
    """Payload of an `engine_event`, the line type that is ours (design.md, "Engine lines")."""


class Duration(Part, frozen=True):
    """A span of time as the reference writes it; `nanos` below 1,000,000,000."""

    secs: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    nanos: Count

    @classmethod
    def of_seconds(cls, seconds: float) -> "Duration":
        """The span of `seconds` (not negative), to the nanosecond."""
        nanos = round(seconds * 1_000_000_000)
        return cls(nanos // 1_000_000_000, nanos % 1_000_000_000)

    @property
    def milliseconds(self) -> int:
        """Whole milliseconds, rounded down as the reference does."""
        return self.secs * 1000 + self.nanos // 1_000_000


def given(value: Raw | UnsetType) -> Raw | None:
    """Open JSON that was really given: None when the key was absent or null."""
    return None if isinstance(value, UnsetType) or bytes(value) == b"null" else value


def unset_nulls(struct: msgspec.Struct, *names: str) -> None:
    """Turn open JSON that is null into UNSET, in place: for the `__post_init__` of a Struct that leaves it out."""
    for name in names:
        value = getattr(struct, name)
        if isinstance(value, Raw) and bytes(value) == b"null":
            msgspec.structs.force_setattr(struct, name, UNSET)


__all__ = [
    "UNSET",
    "Count",
    "Duration",
    "EngineEvent",
    "EventMsg",
    "Int",
    "LineBody",
    "Part",
    "Raw",
    "ResponseItem",
    "TaggedPart",
    "UnsetType",
    "given",
    "wire_tag",
]
