"""Homes with small rollouts for the tests of index and list, and the plain scan they are compared with."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from projections import catalog
from projections.catalog import EMPTY, CatalogRow
from rollouts.codec import Line, decode
from rollouts.layout import parse_name

Json = dict[str, Any]
START = datetime(2026, 4, 20, 10, 0, 0, tzinfo=UTC)


def thread_id(number: int) -> str:
    """A thread id that ends in the number, in hex."""
    return f"019da011-0000-7000-8000-{number:012x}"


def line(kind: str, payload: Json) -> bytes:
    """One line with its line break."""
    text = json.dumps({"timestamp": "2026-04-20T10:00:00.000Z", "type": kind, "payload": payload})
    return text.encode() + b"\n"


def meta(identity: str, when: datetime = START, **fields: Any) -> bytes:
    """A `session_meta` line; more fields replace the usual ones."""
    payload = {
        "id": identity,
        "timestamp": when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03}Z",
        "cwd": "/workspace/demo",
        "originator": "tests",
        "cli_version": "0.125.0",
        "source": "cli",
        "model_provider": "mock",
    }
    return line("session_meta", payload | fields)


def said(message: str, **fields: Any) -> bytes:
    """A `user_message` line."""
    return line("event_msg", {"type": "user_message", "message": message} | fields)


def answered(text: str) -> bytes:
    """An `agent_message` line, of which no list shows anything."""
    return line("event_msg", {"type": "agent_message", "message": text})


def named(identity: str, name: str) -> bytes:
    """A `thread_name_updated` line."""
    return line("event_msg", {"type": "thread_name_updated", "thread_id": identity, "thread_name": name})


def place(home: Path, identity: str, when: datetime = START, *, archived: bool = False) -> Path:
    """Where the rollout of a thread made at that (UTC) time lies."""
    folder = home / "archived_sessions" if archived else home / "sessions" / when.strftime("%Y/%m/%d")
    return folder / f"rollout-{when.strftime('%Y-%m-%dT%H-%M-%S')}-{identity}.jsonl"


def write(path: Path, lines: Iterable[bytes], mtime: float | None = None) -> Path:
    """Write a file, with a modification time in epoch seconds, to the millisecond, if one is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(lines))
    if mtime is not None:
        os.utime(path, ns=(round(mtime * 1000) * 1_000_000,) * 2)
    return path


def thread(home: Path, number: int, *, after: float = 0, archived: bool = False, **fields: Any) -> Path:
    """A thread with one message, made `after` seconds from the start and last written then."""
    when = START + timedelta(seconds=after)
    identity = thread_id(number)
    lines = [meta(identity, when, **fields), said(f"message {number}"), answered("yes")]
    return write(place(home, identity, when, archived=archived), lines, when.timestamp())


def plain_row(path: Path) -> CatalogRow:
    """The row of a file, folded from every line of it."""
    row = EMPTY
    for data in path.read_bytes().split(b"\n"):
        found = decode(data)
        if isinstance(found, Line):
            row = catalog.apply(row, found.body)
    return row


def plain_scan(
    home: Path, *, archived: bool = False, fits: Callable[[CatalogRow], bool] = lambda _: True
) -> list[tuple[int, str, int]]:
    """What a list by creation must show, newest first: time in the name (ms), id, time of the last write (ms)."""
    found = []
    for path in home.glob("archived_sessions/*.jsonl" if archived else "sessions/*/*/*/*.jsonl"):
        name, row = parse_name(path), plain_row(path)
        if name and row.listed and fits(row):
            time = int(name.created.replace(tzinfo=UTC).timestamp() * 1000)
            found.append((time, name.thread_id, path.stat().st_mtime_ns // 1_000_000))
    return sorted(found, reverse=True)
