"""The `view_image` tool: a file on disk becomes something the model sees (tools.md 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from engine.calls.arguments import parse
from engine.calls.ops import ReadImage
from engine.patch.plan import resolve
from engine.turn.machine import Run, Script, Turn
from rollouts import events as ev

if TYPE_CHECKING:
    from engine.calls.toolbox import Toolbox


class _Arguments(msgspec.Struct, frozen=True):
    path: str
    detail: Literal["original"] | None = None


def view_image(box: Toolbox, turn: Turn, call: ev.FunctionCall) -> Script:
    """Read the image, show that it was looked at."""
    given = parse(call.arguments, _Arguments)
    path = resolve(str(box.settings.cwd), given.path)
    url: str = yield Run(ReadImage(path))
    turn.emit(ev.ViewImageToolCall(call_id=call.call_id, path=path))
    return (ev.InputImage(url, detail=given.detail or "high"),)
