"""Images that models make, as files: `CODEX_HOME/generated_images/<thread id>/<image id>.png` (spec turns 6)."""

from __future__ import annotations

import base64
import binascii
import logging
import re
from pathlib import Path

from engine.turn.ops import SavedImage

logger = logging.getLogger(__name__)


def save(home: Path, thread_id: str, image_id: str, data: str) -> SavedImage | None:
    """Write an image, given in base64, over an older one of the same id; None if that cannot be done."""
    try:
        image = base64.b64decode(data.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    folder = home / "generated_images" / _name(thread_id)
    path = folder / f"{_name(image_id)}.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)
    except OSError as error:
        logger.warning("an image of thread %s is not saved: %s", thread_id, error)
        return None
    return SavedImage(str(path), str(folder))


def _name(identity: str) -> str:
    """An id as a file name, which stays in its folder whatever the id says."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", identity) or "generated_image"
