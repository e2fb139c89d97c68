"""The other side of the scale: what one writes in ten minutes with the standard library and a rollout file.

Every line through `json`, every file from its start, every list from a walk. Right answers, no ideas.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def load(path: Path) -> list[dict[str, Any]]:
    """All lines of a rollout."""
    with path.open("rb") as file:
        return [json.loads(line) for line in file]


def last_turns(path: Path, count: int) -> list[str]:
    """The ids of the newest turns, newest first."""
    ids = [line["payload"]["turn_id"] for line in load(path) if line["payload"].get("type") == "task_started"]
    return ids[: -count - 1 : -1]


def copy(path: Path, target: Path, thread_id: str) -> None:
    """A fork: all lines in a new file under a new thread id."""
    lines = load(path)
    lines[0]["payload"] |= {"forked_from_id": lines[0]["payload"]["id"], "id": thread_id}
    with target.open("w") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def append(path: Path, lines: Sequence[bytes]) -> None:
    """Each line as it comes: open, write, close."""
    for line in lines:
        with path.open("ab") as file:
            file.write(line)
            file.flush()


def newest_threads(home: Path, count: int) -> list[str]:
    """The ids of the newest threads in which the user has said something, newest first."""
    found = [
        os.path.join(folder, name)
        for folder, _, names in os.walk(home / "sessions")
        for name in names
        if name.endswith(".jsonl")
    ]
    heads = [head for path in found if (head := _head(path)) is not None]
    return [thread_id for _, thread_id in sorted(heads, reverse=True)[:count]]


def _head(path: str) -> tuple[str, str] | None:
    """Time and id of a thread with a user message."""
    meta: dict[str, Any] = {}
    with open(path, "rb") as file:
        for raw in file:
            line = json.loads(raw)
            if line["type"] == "session_meta":
                meta = line["payload"]
            elif line["payload"].get("type") == "user_message":
                return meta["timestamp"], meta["id"]
    return None
