"""Cursors that are offsets: the answers of lists that are short and do not change."""

from __future__ import annotations

import re

from engine.errors import BadRequest

_HIGHEST = 2**64 - 1


def offset(cursor: str | None, total: int, what: str) -> int:
    """The offset that a cursor is; 0 without one.

    :param what: the things that are counted, for the refusal.
    :raises BadRequest: it is no number, or behind the last one.
    """
    if cursor is None:
        return 0
    if not re.fullmatch(r"\+?[0-9]+", cursor) or int(cursor) > _HIGHEST:
        raise BadRequest(f"invalid cursor: {cursor}")
    if int(cursor) > total:
        raise BadRequest(f"cursor {cursor.lstrip('+')} exceeds total {what} {total}")
    return int(cursor)
