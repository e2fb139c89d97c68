"""Thread names: `session_index.jsonl` of a home (spec rollout-format 8).

Append-only, the last line of an id wins; lines that do not parse or give a blank name are skipped and stay. Reading
again costs what was appended since.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from rollouts.errors import Conflict, Moved
from rollouts.log import FileLog


class NameEntry(msgspec.Struct, frozen=True):
    """One line; `updated_at` is RFC 3339 with nine decimals."""

    id: str
    thread_name: str
    updated_at: str = ""


class Names:
    """The names in one index file, which need not exist."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._decoder = msgspec.json.Decoder(NameEntry)
        self._reset()

    def _reset(self) -> None:
        self._log = FileLog(self._path)
        self._position = 0
        self._entries: dict[str, NameEntry] = {}

    def all(self) -> dict[str, str]:
        """Thread id to name, read up to date."""
        self._refresh()
        return {entry.id: entry.thread_name for entry in self._entries.values()}

    def get(self, thread_id: str) -> str | None:
        """The name of one thread, read up to date."""
        self._refresh()
        entry = self._entries.get(thread_id)
        return entry.thread_name if entry else None

    def append(self, thread_id: str, name: str, updated_at: datetime) -> None:
        """Write a name; `updated_at` is aware."""
        moment = updated_at.astimezone(UTC)
        line = msgspec.json.encode(NameEntry(thread_id, name, f"{moment:%Y-%m-%dT%H:%M:%S.%f}000Z"))
        while True:
            try:
                self._log.append([line], expected_end=self._log.end())
                return
            except Conflict:
                continue  # another name came first, which makes no difference to this one
            except Moved:
                self._reset()

    def _refresh(self) -> None:
        try:
            end = self._log.end()
        except Moved:
            self._reset()
            end = self._log.end()
        if end < self._position:
            self._reset()
        for record in self._log.read(self._position, end):
            if not record.torn:
                self._position = record.end
            try:
                entry = self._decoder.decode(record.data)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if entry.thread_name.strip():
                self._entries[entry.id] = entry
