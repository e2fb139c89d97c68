"""The index of a home: one disposable SQLite file beside `sessions/` with catalog, checkpoints and turn tables.

All of it is derived from the rollouts; deleting the file loses nothing (design, rule 9). Pages are checked against the
disk when they are asked for: times of the folders, then `stat` of the rows of the page. The sweep brings the rest up
to date in the background. The databases of the reference are never touched.
"""

from __future__ import annotations

from engine.index.derived import Anchor, Checkpoint, Derived, checksum, cover, holds
from engine.index.entry import Entry, Facts
from engine.index.index import Index
from engine.index.rows import Bound, Listed, Query, SortKey

__all__ = [
    "Anchor",
    "Bound",
    "Checkpoint",
    "Derived",
    "Entry",
    "Facts",
    "Index",
    "Listed",
    "Query",
    "SortKey",
    "checksum",
    "cover",
    "holds",
]
