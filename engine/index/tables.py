"""The tables of the index file and the number that makes older files be thrown away."""

from __future__ import annotations

VERSION = 1
"""Raise it when a table, or what a projection puts into one, changes: files of other versions are made anew."""

FILE_NAME = f"rollout_engine_{VERSION}.sqlite"

UNFINISHED = "(covered IS NULL OR NOT complete) AND folder != ''"
"""Which rows the sweep still has to read; as an index and its query must say it in the same words."""

SCHEMA = (
    """
    CREATE TABLE files (
        path TEXT PRIMARY KEY,      -- relative to the home; `log:<id>` for threads without a file
        folder TEXT NOT NULL,
        archived INTEGER NOT NULL,
        named INTEGER NOT NULL,     -- time in the name as if it were UTC, ms: the creation time lists sort by
        key TEXT NOT NULL,          -- id in the name: orders rows of the same time
        size INTEGER,               -- size, mtime, inode as last seen; NULL: never looked at
        mtime INTEGER,              -- ns
        inode INTEGER,
        updated INTEGER,            -- ms
        covered INTEGER,            -- the row is folded from the bytes before; NULL: not yet read
        complete INTEGER,           -- nothing is behind them
        anchor INTEGER,             -- checksum of parts of them
        id TEXT,
        kind TEXT,
        provider TEXT,
        cwd TEXT,
        name TEXT,
        preview TEXT,
        created INTEGER,            -- ms, as the meta says
        listed INTEGER,             -- has a meta and a user message
        row BLOB
    )
    """,
    "CREATE INDEX files_created ON files (archived, named, key)",
    "CREATE INDEX files_updated ON files (archived, updated, key)",
    "CREATE INDEX files_id ON files (id)",
    "CREATE INDEX files_key ON files (key) WHERE id IS NULL",
    f"CREATE INDEX files_unfinished ON files (named) WHERE {UNFINISHED}",
    """
    CREATE TABLE folders (
        path TEXT PRIMARY KEY,
        root TEXT NOT NULL,         -- first part of the path
        mtime INTEGER,              -- ns, as it was before the look; NULL: never looked into
        seen INTEGER                -- ns
    ) WITHOUT ROWID
    """,
    "CREATE TABLE checkpoints (thread TEXT PRIMARY KEY, anchor BLOB NOT NULL, data BLOB NOT NULL)",
    """
    CREATE TABLE turns (
        thread TEXT NOT NULL,
        number INTEGER NOT NULL,
        turn TEXT NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (thread, number)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX turns_id ON turns (thread, turn)",
)
"""Statements that make all tables."""
