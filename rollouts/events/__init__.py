"""Every event there is, written or not: `from rollouts import events as ev`, then `ev.TaskStarted`.

The class says what a line is: `ev.ResponseItem`, `ev.EventMsg` and `ev.EngineEvent` are the bases of three
outer types, the rest of `ev.Body` are named by their outer type alone. `ev.Unknown` is anything else.
"""

from typing import TypeAlias

import msgspec

from rollouts.events import (
    agents,
    asks,
    base,
    items,
    lifecycle,
    messages,
    meta,
    ours,
    response,
    review,
    tools,
)
from rollouts.events.agents import *  # noqa: F403
from rollouts.events.asks import *  # noqa: F403
from rollouts.events.base import *  # noqa: F403
from rollouts.events.items import *  # noqa: F403
from rollouts.events.lifecycle import *  # noqa: F403
from rollouts.events.messages import *  # noqa: F403
from rollouts.events.meta import *  # noqa: F403
from rollouts.events.ours import *  # noqa: F403
from rollouts.events.response import *  # noqa: F403
from rollouts.events.review import *  # noqa: F403
from rollouts.events.tools import *  # noqa: F403


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """A line this version cannot read: its types (`subtype` None when it has none) and its payload."""

    type: str
    subtype: str | None
    payload: msgspec.Raw


Body: TypeAlias = (
    meta.SessionMeta
    | meta.TurnContext
    | meta.Compacted
    | meta.SessionState
    | base.ResponseItem
    | response.OtherItem
    | base.EventMsg
    | base.EngineEvent
    | Unknown
)

__all__ = ["Body", "Unknown"]
for _area in (agents, asks, base, items, lifecycle, messages, meta, ours, response, review, tools):
    __all__ += _area.__all__
