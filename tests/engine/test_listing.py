"""`thread/list` and `thread/loaded/list`: expectations of the goldens as tables, cursors that lose nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import BadRequest
from engine.index import Index
from engine.listing import list_loaded, list_threads, not_loaded, thread_object
from projections import protocol as p
from projections.catalog import EMPTY, fold
from rollouts.layout import Home
from tests.conftest import fixture_rollouts
from tests.engine.homes import START, answered, meta, named, place, said, thread, thread_id, write

THREE, NAMED, GIT, SUB = (
    "019daa8c-14d7-7ca3-9a15-53ee4cdaaf8a",
    "019da010-0000-7000-8000-000000000015",
    "019da010-0000-7000-8000-000000000013",
    "019da010-0000-7000-8000-000000000012",
)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    index = Index(Home(tmp_path))
    yield index
    index.close()


def install(home: Path, name: str, *, archived: bool = False, identity: str | None = None, **fields: Any) -> str:
    """A fixture rollout as the oracle installs it: name and time of change follow its timestamps."""
    lines = [json.loads(text) for text in fixture_rollouts(name)[0].read_bytes().splitlines()]
    old = lines[0]["payload"]["id"]
    new = identity or old
    lines[0]["payload"] |= fields
    created = datetime.fromisoformat(lines[0]["payload"]["timestamp"])
    text = "".join(json.dumps(line) + "\n" for line in lines).replace(old, new)
    last = datetime.fromisoformat(lines[-1]["timestamp"]).timestamp()
    write(place(home, new, created, archived=archived), [text.encode()], last)
    return new


async def listed(index: Index, **params: Any) -> p.ThreadListResponse:
    wanted = msgspec.convert(params, p.ThreadListParams)
    return await list_threads(index, wanted, provider="mock")


async def numbers(index: Index, **params: Any) -> list[int]:
    return [int(row.id[-2:], 16) for row in (await listed(index, **params)).data]


# -- goldens thread_list_cursors, core_list_paging -------------------------------------------------


@pytest.fixture
def seven(tmp_path: Path, index: Index) -> Index:
    """Threads 1 to 7, an hour apart, each made 640 ms after the hour."""
    for number in range(1, 8):
        when = START + timedelta(hours=number, milliseconds=640)
        lines = [meta(thread_id(number), when), said("hi")]
        write(place(tmp_path, thread_id(number), when), lines, when.timestamp() + 0.13)
    return index


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("params", "shown"),
    [
        ({"limit": 3}, [7, 6, 5]),
        ({"limit": 3, "cursor": "2026-04-20T15:00:00Z"}, [4, 3, 2]),
        ({"limit": 3, "cursor": "2026-04-20T12:00:00Z"}, [1]),
        ({"limit": 3, "cursor": "2026-04-20T14:00:00.639Z", "sortDirection": "asc"}, [5, 6, 7]),
        ({"limit": 2, "sortDirection": "asc"}, [1, 2]),
        ({"limit": 2, "sortDirection": "asc", "cursor": "2026-04-20T12:00:00Z"}, [3, 4]),
        ({"limit": 5, "cursor": "2026-04-20T11:00:00.641Z"}, [1]),
        ({"limit": 3, "sortKey": "updated_at"}, [7, 6, 5]),
        ({"limit": 3, "sortKey": "updated_at", "sortDirection": "asc"}, [1, 2, 3]),
        ({"limit": 0}, [7]),
        ({"limit": 1000}, [7, 6, 5, 4, 3, 2, 1]),
        ({"cursor": "2026-04-20T13:00:00Z", "limit": 2}, [2, 1]),
        ({"cursor": "2026-04-20T15:00:00.000+02:00", "limit": 2}, [2, 1]),
        ({"cursor": "2026-04-20T13-00-00", "limit": 2}, [2, 1]),
    ],
)
async def test_pages_by_cursor_limit_and_direction(seven: Index, params: dict[str, Any], shown: list[int]) -> None:
    assert await numbers(seven, **params) == shown


@pytest.mark.anyio
@pytest.mark.parametrize(
    "cursor", ["", "yesterday", "not a cursor", "2026-04-20", "2026-13-20T10:00:00Z", "1745", "2026-04-20T10:00:00"]
)
async def test_a_cursor_that_is_no_time_is_refused(index: Index, cursor: str) -> None:
    with pytest.raises(BadRequest) as caught:
        await listed(index, cursor=cursor)
    assert caught.value.message == f"invalid cursor: {cursor}"


@pytest.mark.anyio
async def test_forwards_and_back_again_by_creation(seven: Index) -> None:
    first = await listed(seven, limit=3)
    second = await listed(seven, limit=3, cursor=first.next_cursor)
    assert (first.next_cursor, second.backwards_cursor) == ("2026-04-20T15:00:00Z", "2026-04-20T14:00:00.639Z")
    assert await numbers(seven, limit=3, cursor=second.next_cursor) == [1]
    assert await numbers(seven, limit=3, cursor=second.backwards_cursor, sortDirection="asc") == [5, 6, 7]
    assert await numbers(seven, limit=3, cursor=first.backwards_cursor, sortDirection="asc") == []
    oldest = await listed(seven, limit=2, sortDirection="asc")
    assert await numbers(seven, limit=2, sortDirection="asc", cursor=oldest.next_cursor) == [3, 4]
    assert oldest.backwards_cursor == "2026-04-20T11:00:00.641Z"
    assert await numbers(seven, limit=5, cursor=oldest.backwards_cursor) == [1]
    assert (await listed(seven)).next_cursor is None


@pytest.mark.anyio
async def test_an_empty_page_has_no_cursors(index: Index) -> None:
    page = await listed(index)
    assert (page.data, page.next_cursor, page.backwards_cursor) == ([], None, None)


@pytest.mark.anyio
async def test_cursors_by_update_are_times_to_the_millisecond(seven: Index) -> None:
    page = await listed(seven, limit=1, sortKey="updated_at")
    assert (page.next_cursor, page.backwards_cursor) == ("2026-04-20T17:00:00.770Z", "2026-04-20T17:00:00.769Z")
    page = await listed(seven, limit=1, sortKey="updated_at", sortDirection="asc")
    assert (page.next_cursor, page.backwards_cursor) == ("2026-04-20T11:00:00.770Z", "2026-04-20T11:00:00.771Z")


@pytest.mark.anyio
async def test_what_is_new_is_found_from_the_first_page_backwards(tmp_path: Path, seven: Index) -> None:
    page = await listed(seven, limit=2)
    when = START + timedelta(hours=7, milliseconds=900)  # in the same second as the newest
    write(place(tmp_path, thread_id(9), when), [meta(thread_id(9), when), said("new")])
    thread(tmp_path, 10, after=86_400)
    assert await numbers(seven, cursor=page.backwards_cursor, sortDirection="asc") == [9, 10]


# -- ties ------------------------------------------------------------------------------------------

TIMES = st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 640, 998, 999]))
"""Hours and milliseconds."""


def install_at(home: Path, times: list[tuple[int, int]]) -> None:
    """Threads numbered from 0, made and last written so long after the start."""
    for number, (hours, milliseconds) in enumerate(times):
        thread(home, number, after=hours * 3600 + milliseconds / 1000)


@pytest.mark.anyio
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    times=st.lists(TIMES, min_size=1, max_size=12),
    limit=st.integers(1, 5),
    key=st.sampled_from(["created_at", "updated_at"]),
    direction=st.sampled_from(["asc", "desc"]),
)
async def test_paging_shows_every_row_once_however_many_share_a_time(
    tmp_path_factory: pytest.TempPathFactory, times: list[tuple[int, int]], limit: int, key: str, direction: str
) -> None:
    home = tmp_path_factory.mktemp("home")
    index = Index(Home(home))
    install_at(home, times)
    cursor, shown = None, []
    while True:
        page = await listed(index, limit=limit, sortKey=key, sortDirection=direction, cursor=cursor)
        assert len(page.data) <= limit
        shown += [row.id for row in page.data]
        cursor = page.next_cursor
        if cursor is None:
            break
        assert datetime.fromisoformat(cursor)
    # by creation a list knows seconds only, the id decides within one
    order = [time if key == "updated_at" else time[:1] for time in times]
    expected = sorted((time, thread_id(number)) for number, time in enumerate(order))
    assert shown == [identity for _, identity in (expected if direction == "asc" else expected[::-1])]
    index.close()


@pytest.mark.anyio
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    times=st.lists(TIMES, min_size=2, max_size=10),
    limit=st.integers(1, 4),
    direction=st.sampled_from(["asc", "desc"]),
)
async def test_backwards_from_any_page_gives_what_came_before_it(
    tmp_path_factory: pytest.TempPathFactory, times: list[tuple[int, int]], limit: int, direction: str
) -> None:
    home = tmp_path_factory.mktemp("home")
    index = Index(Home(home))
    install_at(home, times)
    back = "asc" if direction == "desc" else "desc"
    cursor: str | None = None
    before: list[str] = []
    while True:
        page = await listed(index, limit=limit, sortDirection=direction, cursor=cursor)
        shown = [row.id for row in page.data]
        behind = await listed(index, sortDirection=back, cursor=page.backwards_cursor)
        anchor = shown[:1] if direction == "asc" else []  # ascending pages begin anew with their first row
        assert [row.id for row in behind.data] == [*anchor, *before[::-1]]
        before += shown
        cursor = page.next_cursor
        if cursor is None:
            break
    index.close()


# -- golden thread_list_filters --------------------------------------------------------------------


@pytest.fixture
def mixed(tmp_path: Path, index: Index) -> Index:
    for name in ("three_turns", "subagent_thread", "git_info", "named"):
        install(tmp_path, name)
    install(tmp_path, "basic_turn", identity=thread_id(1), model_provider="elsewhere")
    install(tmp_path, "basic_turn", identity=thread_id(2), source="exec")
    install(tmp_path, "basic_turn", identity=thread_id(3), source="not_invented_yet")
    install(tmp_path, "basic_turn", identity=thread_id(4), cwd="/workspace/other")
    install(tmp_path, "basic_turn", identity=thread_id(5), archived=True)
    return index


USUAL = [GIT, NAMED, thread_id(4), THREE]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("params", "shown"),
    [
        ({}, USUAL),
        ({"modelProviders": []}, [GIT, NAMED, thread_id(1), thread_id(4), THREE]),
        ({"modelProviders": ["elsewhere"]}, [thread_id(1)]),
        ({"sourceKinds": ["cli"], "modelProviders": []}, [GIT, NAMED]),
        ({"sourceKinds": ["vscode"], "modelProviders": []}, [thread_id(1), thread_id(4), THREE]),
        ({"sourceKinds": ["exec"], "modelProviders": []}, [thread_id(2)]),
        ({"sourceKinds": ["appServer"], "modelProviders": []}, []),
        ({"sourceKinds": ["subAgent"], "modelProviders": []}, [SUB]),
        ({"sourceKinds": ["subAgentThreadSpawn"], "modelProviders": []}, [SUB]),
        ({"sourceKinds": ["subAgentReview"], "modelProviders": []}, []),
        ({"sourceKinds": ["subAgentOther", "subAgentCompact"], "modelProviders": []}, []),
        ({"sourceKinds": ["unknown"], "modelProviders": []}, [thread_id(3)]),
        ({"sourceKinds": []}, USUAL),
        ({"cwd": "/workspace/other"}, [thread_id(4)]),
        ({"cwd": ["/workspace/other", "/workspace/demo"]}, USUAL),
        ({"cwd": []}, []),
        ({"archived": True}, [thread_id(5)]),
        ({"archived": False}, USUAL),
        ({"useStateDbOnly": True}, []),
    ],
)
async def test_filters(mixed: Index, params: dict[str, Any], shown: list[str]) -> None:
    page = await listed(mixed, **params)
    assert sorted(row.id for row in page.data) == shown


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["custom", "memory_consolidation"])
async def test_sources_that_no_kind_names(tmp_path: Path, index: Index, kind: str) -> None:
    install(tmp_path, "basic_turn", source={"custom": "atlas"} if kind == "custom" else {"subagent": kind})
    assert len((await listed(index)).data) == (kind == "custom")
    assert len((await listed(index, sourceKinds=["subAgent"])).data) == (kind != "custom")


@pytest.mark.anyio
async def test_only_the_index_is_asked_when_the_request_says_so(mixed: Index) -> None:
    await mixed.sweep()
    before = vars(mixed.counters).copy()
    page = await listed(mixed, useStateDbOnly=True)
    assert sorted(row.id for row in page.data) == USUAL
    assert vars(mixed.counters) == before


# -- search, names ---------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_search_finds_titles_by_exact_case(tmp_path: Path, index: Index) -> None:
    for number, text in enumerate(["Fix the parser", "fix the lexer", "write 100% of docs_"]):
        lines = [meta(thread_id(number)), said(text), answered("Fix")]
        write(place(tmp_path, thread_id(number)), lines)
    expected = {"Fix": [0], "fix": [1], "the": [1, 0], "%": [2], "_": [2], "nothing": [], "": [2, 1, 0]}
    for term, shown in expected.items():
        assert await numbers(index, searchTerm=term) == shown


@pytest.mark.anyio
async def test_a_named_thread_is_found_by_its_name_and_no_longer_by_its_first_message(
    tmp_path: Path, index: Index
) -> None:
    for number in range(30):
        thread(tmp_path, number, after=number)
    index.home.append_name(thread_id(3), "Parser work", START)
    assert await numbers(index, searchTerm="Parser") == [3]
    assert await numbers(index, searchTerm="message 3") == []
    assert await numbers(index, searchTerm="message", limit=28) == [n for n in range(29, -1, -1) if n != 3][:28]
    assert (await listed(index, searchTerm="Parser")).data[0].name == "Parser work"


@pytest.mark.anyio
async def test_names_of_threads_in_the_name_index_are_those_of_the_rollout_if_it_has_one(
    tmp_path: Path, index: Index
) -> None:
    for number in range(3):
        write(place(tmp_path, thread_id(number)), [meta(thread_id(number)), said("hi")])
    with place(tmp_path, thread_id(1)).open("ab") as out:
        out.write(named(thread_id(1), "in the rollout"))
    with place(tmp_path, thread_id(2)).open("ab") as out:
        out.write(named(thread_id(2), "in the rollout alone"))
    index.home.append_name(thread_id(0), "in the index", START)
    index.home.append_name(thread_id(1), "in the index too", START)
    assert [row.name for row in (await listed(index)).data] == [None, "in the rollout", "in the index"]
    index.warm = True
    names = ["in the rollout alone", "in the rollout", "in the index"]
    assert [row.name for row in (await listed(index)).data] == names
    assert await numbers(index, searchTerm="alone") == [2]
    assert await numbers(index, searchTerm="hi") == []


# -- the published thread --------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_listed_thread_shows_what_is_stored_and_its_live_status(tmp_path: Path, index: Index) -> None:
    install(tmp_path, "git_info")
    status = p.ActiveThreadStatus(active_flags=["waitingOnApproval"])
    page = await list_threads(index, p.ThreadListParams(), provider="mock", status=lambda _: status)
    assert msgspec.json.decode(msgspec.json.encode(page.data[0])) == {
        "id": GIT,
        "forkedFromId": None,
        "preview": "with git",
        "ephemeral": False,
        "modelProvider": "mock",
        "createdAt": 1776679980,
        "updatedAt": 1776679981,
        "status": {"type": "active", "activeFlags": ["waitingOnApproval"]},
        "path": f"{tmp_path}/sessions/2026/04/20/rollout-2026-04-20T10-13-00-{GIT}.jsonl",
        "cwd": "/workspace/demo",
        "cliVersion": "0.125.0",
        "source": "cli",
        "agentNickname": None,
        "agentRole": None,
        "gitInfo": {
            "sha": "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
            "branch": "main",
            "originUrl": "https://example.com/r.git",
        },
        "name": None,
        "turns": [],
    }


@pytest.mark.anyio
async def test_every_fixture_makes_a_thread_that_the_schema_knows(tmp_path: Path, index: Index) -> None:
    for path in fixture_rollouts():
        install(tmp_path, path.stem)
    kinds = ["cli", "vscode", "exec", "subAgent"]
    page = await listed(index, limit=100, sourceKinds=kinds, modelProviders=[])
    assert len(page.data) == len(fixture_rollouts())
    msgspec.json.decode(msgspec.json.encode(page), type=p.ThreadListResponse)


def test_the_list_hides_where_a_fork_came_from_and_others_show_it() -> None:
    row = fold(fold(EMPTY, meta(thread_id(1), forked_from_id=thread_id(2))), said("hi"))
    shown = thread_object(row, status=not_loaded(""), forked_from=row.forked_from, preview="other", name="n")
    assert (shown.forked_from_id, shown.preview, shown.name, shown.path) == (thread_id(2), "other", "n", None)
    assert thread_object(row, status=not_loaded("")).forked_from_id is None


# -- golden thread_loaded_list ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "shown", "cursor"),
    [
        ({}, [1, 2, 3], None),
        ({"limit": 2}, [1, 2], 2),
        ({"limit": 2, "cursor": thread_id(2)}, [3], None),
        ({"limit": 0}, [1], 1),
        ({"limit": 3}, [1, 2, 3], None),
        ({"cursor": thread_id(0xFF)}, [], None),
        ({"cursor": thread_id(0)}, [1, 2, 3], None),
    ],
)
def test_loaded_threads_by_id(params: dict[str, Any], shown: list[int], cursor: int | None) -> None:
    loaded = [thread_id(number) for number in (3, 1, 2)]
    page = list_loaded(loaded, msgspec.convert(params, p.ThreadLoadedListParams))
    assert page.data == [thread_id(number) for number in shown]
    assert page.next_cursor == (cursor and thread_id(cursor))


def test_a_cursor_of_loaded_threads_must_be_an_id() -> None:
    with pytest.raises(BadRequest, match="invalid cursor: x"):
        list_loaded([], p.ThreadLoadedListParams(cursor="x"))


def test_the_home_need_not_exist(tmp_path: Path) -> None:
    index = Index(Home(tmp_path / "new"))
    index.close()
    assert os.listdir(tmp_path) == ["new"]


@pytest.mark.anyio
async def test_a_thread_that_names_no_provider_is_one_of_the_configured_provider(tmp_path: Path, index: Index) -> None:
    thread(tmp_path, 1, model_provider=None)
    shown = await listed(index)
    assert [(found.id, found.model_provider) for found in shown.data] == [(thread_id(1), "mock")]
    assert (await listed(index, modelProviders=["other"])).data == []


@pytest.mark.anyio
async def test_git_data_that_says_nothing_is_none(tmp_path: Path, index: Index) -> None:
    thread(tmp_path, 1, git={})
    assert (await listed(index)).data[0].git_info is None
