"""`thread/list` and `thread/loaded/list`: filters, order, cursors, and the published thread of a row.

The rules are those of the reference (spec thread-lifecycle 1, 6, 7) with one defect less: rows of the same time are
never lost between two pages. A cursor stays what it was, an RFC 3339 time; where other rows share the time it gets 39
more decimals, which hold the id of the row.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from engine.errors import BadRequest
from engine.index import Bound, Entry, Index, Listed, Query
from projections import protocol as p
from projections.catalog import CatalogRow
from projections.metadata import Git

DEFAULT_LIMIT: Final = 25
LARGEST_LIMIT: Final = 100

Status = Callable[[str], p.ThreadStatus]
"""Gives the live status of a thread by its id."""

_INTERACTIVE: Final = ("cli", "vscode", "custom")
_SUB_AGENTS: Final = (
    "subAgentReview", "subAgentCompact", "subAgentMemory", "subAgentThreadSpawn", "subAgentOther",
)  # fmt: skip

_CURSOR: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)")
_IN_FILE_NAMES: Final = re.compile(r"(.{10}T\d\d)-(\d\d)-(\d\d)")
"""The other form of a time that is read: as it stands in the name of a rollout."""
_ID_DIGITS: Final = 39
"""Decimals of a 128 bit number."""

_LOWEST, _HIGHEST = "", "~"


def not_loaded(_: str) -> p.ThreadStatus:
    """The status of every thread when none is loaded."""
    return p.NotLoadedThreadStatus()


async def list_threads(
    index: Index, params: p.ThreadListParams, *, provider: str, status: Status = not_loaded
) -> p.ThreadListResponse:
    """Answer `thread/list`.

    :param provider: the configured one, which the list is about when the request names none.
    :raises BadRequest: a cursor that cannot be read.
    """
    limit = max(1, min(params.limit if params.limit is not None else DEFAULT_LIMIT, LARGEST_LIMIT))
    names = index.names()
    query = _query(params, provider, names)
    accept = _titled(params.search_term, index)
    if params.use_state_db_only:
        rows = index.indexed(query, limit + 1, accept)
    else:
        rows = await index.page(query, limit + 1, accept)
    page, more = rows[:limit], rows[limit:]
    return p.ThreadListResponse(
        data=[_listed(index, row, status, provider) for row in page],
        next_cursor=_next(page[-1], more[0]) if more else None,
        backwards_cursor=_backwards(page[0], query, index) if page else None,
    )


def list_loaded(loaded: Iterable[str], params: p.ThreadLoadedListParams) -> p.ThreadLoadedListResponse:
    """Answer `thread/loaded/list`: ids in ascending order, after the cursor, at most `limit` of them.

    :raises BadRequest: a cursor that is no UUID.
    """
    ids = sorted(loaded)
    if params.cursor is not None:
        after = _uuid(params.cursor)
        ids = [thread_id for thread_id in ids if thread_id > after]
    size = len(ids) if params.limit is None else max(1, params.limit)
    more = len(ids) > size
    return p.ThreadLoadedListResponse(data=ids[:size], next_cursor=ids[size - 1] if more else None)


def thread_object(
    row: CatalogRow,
    *,
    status: p.ThreadStatus,
    turns: Sequence[p.Turn] = (),
    name: str | None = None,
    forked_from: str | None = None,
    preview: str | None = None,
    ephemeral: bool = False,
    provider: str = "",
) -> p.Thread:
    """The published thread of a row.

    :param name: the name to show; a row alone does not know it (`Index.name`).
    :param forked_from: `row.forked_from` in answers of read, resume and fork; None in lists and unarchive.
    :param preview: another one than the list's, for resume and fork (`CatalogRow.opening`).
    :param provider: the model provider to show for a row that names none, which is one of an old file.
    """
    return p.Thread(
        id=row.id,
        forked_from_id=forked_from,
        preview=row.preview if preview is None else preview,
        ephemeral=ephemeral,
        model_provider=row.provider or provider,
        created_at=row.created_at // 1000,
        updated_at=(row.updated_at or row.created_at) // 1000,
        status=status,
        path=row.path or None,
        cwd=row.cwd,
        cli_version=row.cli_version,
        source=msgspec.convert(row.source, p.SessionSource),
        agent_nickname=row.agent_nickname,
        agent_role=row.agent_role,
        git_info=published_git(row.git),
        name=name,
        turns=list(turns),
    )


def published_git(git: Git | None) -> p.GitInfo | None:
    """Git data as clients see it."""
    known = git is not None and git != Git()
    return p.GitInfo(sha=git.sha, branch=git.branch, origin_url=git.origin_url) if git and known else None


def _listed(index: Index, row: Listed, status: Status, provider: str) -> p.Thread:
    assert row.entry is not None  # a page has no bare rows
    entry = row.entry
    return thread_object(entry.row, status=status(entry.row.id), name=index.name(entry), provider=provider)


def _query(params: p.ThreadListParams, provider: str, names: dict[str, str]) -> Query:
    descending = params.sort_direction != "asc"
    term = params.search_term or None
    cwds = [params.cwd] if isinstance(params.cwd, str) else params.cwd
    providers = [provider] if params.model_providers is None else params.model_providers
    if provider in providers:
        providers = [*providers, ""]  # old files name none
    return Query(
        archived=bool(params.archived),
        sort="updated" if params.sort_key == "updated_at" else "created",
        descending=descending,
        bound=None if params.cursor is None else _bound(params.cursor, params.sort_key, descending),
        providers=providers or None,
        kinds=_kinds(params.source_kinds or ()),
        cwds=cwds,
        term=term,
        named=[thread_id for thread_id, name in names.items() if term in name] if term else (),
    )


def _kinds(wanted: Sequence[str]) -> list[str]:
    kinds: list[str] = []
    for kind in wanted:
        kinds += _SUB_AGENTS if kind == "subAgent" else (kind,)
    return kinds or list(_INTERACTIVE)


def _titled(term: str | None, index: Index) -> Callable[[Entry], bool]:
    """Whether the title (the name, else the preview) has the term in it, case-sensitive."""
    if not term:
        return lambda _: True
    return lambda entry: term in (index.name(entry) or entry.row.preview)


def _bound(cursor: str, key: str | None, descending: bool) -> Bound:
    """The place in the order that a cursor names; rows strictly after it follow."""
    match = _CURSOR.fullmatch(_IN_FILE_NAMES.sub(r"\1:\2:\3Z", cursor) if len(cursor) == 19 else cursor)
    if match is None:
        raise BadRequest(f"invalid cursor: {cursor}")
    day, hour, minute, second, fraction, zone = match.groups(default="")
    try:
        when = datetime.fromisoformat(f"{day}T{hour}:{minute}:{second}{zone.upper()}")
    except ValueError:
        raise BadRequest(f"invalid cursor: {cursor}") from None
    whole = (when - _EPOCH) // _SECOND * 1000
    millis, rest = int(fraction[:3].ljust(3, "0")), fraction[3:]
    if len(rest) == _ID_DIGITS and int(rest) < 1 << 128:
        return Bound(whole + millis, str(uuid.UUID(int=int(rest))))
    if key != "updated_at" and millis:
        # one of our own: a ms before (descending) or behind the first row of a page, see `_backwards`
        return Bound(whole, created=whole + millis + (0 if descending else 1))
    if not descending:
        return Bound(whole + millis, _HIGHEST)
    return Bound(whole + millis + bool(rest.strip("0")), _LOWEST)


def _next(last: Listed, following: Listed) -> str:
    return _cursor(last.time, last.key if last.time == following.time else None)


def _backwards(first: Listed, query: Query, index: Index) -> str:
    """The place from which the other direction gives what is new before this page.

    Sorted by creation that is after the first row, or up to and with it when ascending; sorted by update with it and
    the rows of its time, as they may have changed (goldens `thread_list_cursors`, `core_list_paging`). The text is
    that of the reference, one ms from the time of the row, unless the row must be told from others of its second.
    """
    step = -1 if query.descending else 1
    if query.sort == "updated":
        return _cursor(first.time + step)
    assert first.entry is not None  # a page has no bare rows
    beside = first.entry.row.created_at + step
    if 0 < beside - first.time < 1000 and index.alone(first, archived=query.archived):
        return _cursor(beside)
    return _cursor(first.time, first.key, 0 if query.descending else 1)


def _cursor(time: int, key: str | None = None, step: int = 0) -> str:
    """A cursor text for epoch ms and, to tell rows of one time apart, an id with a number added."""
    seconds, millis = divmod(time, 1000)
    text = (_EPOCH + seconds * _SECOND).strftime("%Y-%m-%dT%H:%M:%S")
    if key is not None:
        return f"{text}.{millis:03}{uuid.UUID(key).int + step:0{_ID_DIGITS}}Z"
    return f"{text}.{millis:03}Z" if millis else f"{text}Z"


def _uuid(cursor: str) -> str:
    try:
        return str(uuid.UUID(cursor))
    except ValueError:
        raise BadRequest(f"invalid cursor: {cursor}") from None


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
