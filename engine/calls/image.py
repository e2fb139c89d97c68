"""The `view_image` tool: a file on disk becomes something the model sees (tools.md 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from engine.calls.arguments import parse
from engine.calls.ops import ReadImage
from engine.turn.machine import Run, Script, Turn
from engine.turn.replies import CallFailed
from rollouts import events as ev

if TYPE_CHECKING:
    from engine.calls.toolbox import Toolbox


class ViewImageArgs(msgspec.Struct, frozen=True):
    """Arguments of `view_image`."""

    path: str
    detail: str | None = None


def view_image(box: Toolbox, turn: Turn, call: ev.FunctionCall) -> Script:
    """Read the image, show that it was looked at."""
    if not box.settings.info.accepts_images:
        raise CallFailed("view_image is not allowed because you do not support image inputs")
    given = parse(call.arguments, ViewImageArgs)
    if given.detail not in (None, "original"):
        raise CallFailed(
            "view_image.detail only supports `original`; omit `detail` for default resized behavior, "
            f"got `{given.detail}`"
        )
    path = box.place(given.path)
    original = given.detail is not None and box.settings.info.supports_image_detail_original
    url: str = yield Run(ReadImage(path, original=original))
    turn.emit(ev.ViewImageToolCall(call_id=call.call_id, path=path))
    return (ev.InputImage(url, detail="original" if original else "high"),)
