"""The row of a thread list, folded from lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections import protocol as p
from projections.catalog import EMPTY, CatalogRow, apply, fold, milliseconds, published_source, request_text, wanted
from rollouts import events as ev
from rollouts.codec import Line, decode, head
from tests.conftest import fixture_rollouts
from tests.rollouts.generated import events

FIXTURES = fixture_rollouts()
THREAD = "019da010-0000-7000-8000-000000000001"


def folded(lines: list[bytes], row: CatalogRow = EMPTY) -> CatalogRow:
    for data in lines:
        row = fold(row, data)
    return row


def fixture(name: str) -> list[bytes]:
    return next(path for path in FIXTURES if path.stem == name).read_bytes().splitlines()


def written(kind: str, payload: dict[str, Any]) -> bytes:
    return json.dumps({"timestamp": "2026-04-20T10:00:00.000Z", "type": kind, "payload": payload}).encode()


def user_message(message: str, **fields: Any) -> bytes:
    return written("event_msg", {"type": "user_message", "message": message, **fields})


def meta(**fields: Any) -> bytes:
    payload = {
        "id": THREAD, "timestamp": "2026-04-20T10:00:00.640Z", "cwd": "/w", "originator": "o", "cli_version": "0.125.0",
        "source": "cli", "model_provider": "mock",
    }  # fmt: skip
    return written("session_meta", payload | fields)


@pytest.mark.parametrize(
    ("name", "preview", "opening"),
    [
        ("basic_turn", "hi", "hi"),
        ("basic_turn_0122", "hi", "hi"),
        ("basic_turn_0169", "hi", "hi"),
        ("three_turns_0169", "first question", "first question"),
        ("ide_context", "real question", "real question"),
        ("two_images", "compare", "compare"),
        ("subagent_thread", "sub question", "sub question"),
        ("forked_copy", "copied question", "copied question"),
        ("interrupted", "first question", "first question"),
        ("foreign_lines", "one", "one"),
    ],
)
def test_previews_of_list_and_resume(name: str, preview: str, opening: str) -> None:
    row = folded(fixture(name))
    assert (row.listed, row.preview, row.opening) == (True, preview, opening)


@pytest.mark.parametrize(
    ("parts", "opening"),
    [
        (["<image name=[Image #1]>", None, "</image>", "two"], "two"),
        (["one ", "<image>", None, "</image>", "two"], "one two"),
        (["<image>", None, "</image>"], ""),
        (["<image>", "no image", "</image>"], "<image>no image</image>"),
        (["see <image name=[Image #1]>", None, "ok"], "see <image name=[Image #1]>ok"),
    ],
)
def test_what_only_frames_an_image_is_not_shown_on_resume(parts: list[str | None], opening: str) -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA"}
    content = [image if text is None else {"type": "input_text", "text": text} for text in parts]
    message = written("response_item", {"type": "message", "role": "user", "content": content})
    assert folded([meta(), message]).opening == opening


@pytest.mark.parametrize(
    ("message", "fields", "preview"),
    [
        ("  hello\n there ", {}, "hello\n there"),
        ("x" * 100_000, {}, "x" * 100_000),
        ("# Context\n## My request for Codex: \n fix it ", {}, "fix it"),
        ("a ## My request for Codex: b ## My request for Codex: c", {}, "b ## My request for Codex: c"),
        ("", {"images": ["data:image/png;base64,AA"]}, "[Image]"),
        (" ", {"images": [], "local_images": ["/tmp/a.png"]}, "[Image]"),
        ("words", {"images": ["data:image/png;base64,AA"]}, "words"),
        ("", {}, ""),
    ],
)
def test_preview_is_the_request_trimmed_and_whole(message: str, fields: dict[str, Any], preview: str) -> None:
    row = folded([meta(), user_message(message, **fields)])
    assert (row.listed, row.preview) == (True, preview)


def test_a_blank_first_message_leaves_the_preview_to_the_next() -> None:
    row = folded([meta(), user_message("  "), user_message("then this"), user_message("not this")])
    assert row.preview == "then this"


def test_a_thread_is_listed_when_it_has_a_meta_and_a_user_message() -> None:
    assert not folded([meta()]).listed
    assert not folded([user_message("hi")]).listed
    assert folded([user_message("hi"), meta()]).listed


def test_the_first_meta_names_the_thread_and_those_of_others_say_nothing() -> None:
    other = meta(id=THREAD.replace("1", "2"), cwd="/other", source="exec", git={"branch": "theirs"})
    row = folded([meta(forked_from_id=THREAD.replace("1", "2"), git={"branch": "ours"}), other, user_message("hi")])
    assert (row.id, row.cwd, row.kind, row.forked_from) == (THREAD, "/w", "cli", THREAD.replace("1", "2"))
    assert row.git is not None and row.git.branch == "ours"


def test_a_later_meta_of_the_thread_changes_the_memory_mode_alone() -> None:
    copy = meta(memory_mode="disabled", cwd="/elsewhere", git={"branch": "later"})
    row = folded([meta(), copy])
    assert (row.memory_mode, row.cwd, row.git) == ("disabled", "/w", None)
    assert folded([copy, meta(memory_mode="enabled")]).memory_mode == "enabled"


def test_the_last_name_wins_and_a_fork_has_that_of_its_source() -> None:
    def name(text: str | None, thread: str = THREAD) -> bytes:
        return written("event_msg", {"type": "thread_name_updated", "thread_id": thread, "thread_name": text})

    assert folded([meta(), name("a"), name("b"), name("c", "another")]).name == "c"
    assert folded([meta(), name("a"), name(None), name(" ")]).name == "a"
    assert folded(fixture("named")).name == "Final Name"


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ([], ("cafe", "main", "https://example.com/r.git")),
        ([{"branch": "topic"}], ("cafe", "topic", "https://example.com/r.git")),
        ([{"branch": "topic"}, {"origin_url": None}], ("cafe", "topic", None)),
        ([{"sha": "beef", "branch": None}, {"branch": "again"}], ("beef", "again", "https://example.com/r.git")),
    ],
)
def test_git_overrides_patch_what_was_recorded(changes: list[dict[str, str | None]], shown: tuple[str, ...]) -> None:
    recorded = {"commit_hash": "cafe", "branch": "main", "repository_url": "https://example.com/r.git"}
    lines = [written("engine_event", {"type": "thread_metadata", "git": change}) for change in changes]
    git = folded([meta(git=recorded), *lines, meta(git=recorded, memory_mode="disabled")]).git
    assert git is not None and (git.sha, git.branch, git.origin_url) == shown


def test_git_data_that_were_all_cleared_are_none() -> None:
    recorded = {"commit_hash": "cafe", "branch": "main"}
    cleared = written("engine_event", {"type": "thread_metadata", "git": {"sha": None, "branch": None}})
    assert folded([meta(git=recorded), cleared]).git is None


def test_git_overrides_show_where_nothing_was_recorded() -> None:
    git = folded([meta(), written("engine_event", {"type": "thread_metadata", "git": {"branch": "topic"}})]).git
    assert git is not None and (git.sha, git.branch) == (None, "topic")


SPAWN = {"parent_thread_id": THREAD, "depth": 1, "agent_path": None, "agent_nickname": "Nick", "agent_role": "explorer"}


@pytest.mark.parametrize(
    ("source", "published", "kind"),
    [
        ("cli", "cli", "cli"),
        ("vscode", "vscode", "vscode"),
        ("exec", "exec", "exec"),
        ("mcp", "appServer", "appServer"),
        ("unknown", "unknown", "unknown"),
        ("not_invented_yet", "unknown", "unknown"),
        ({"custom": "atlas"}, {"custom": "atlas"}, "custom"),
        ({"subagent": "review"}, {"subAgent": "review"}, "subAgentReview"),
        ({"subagent": "compact"}, {"subAgent": "compact"}, "subAgentCompact"),
        ({"subagent": "memory_consolidation"}, {"subAgent": "memory_consolidation"}, "subAgentMemory"),
        ({"subagent": {"other": "guardian"}}, {"subAgent": {"other": "guardian"}}, "subAgentOther"),
        ({"subagent": {"thread_spawn": SPAWN}}, {"subAgent": {"thread_spawn": SPAWN}}, "subAgentThreadSpawn"),
    ],
)
def test_sources_are_published_under_their_names(source: Any, published: Any, kind: str) -> None:
    row = folded([meta(source=source)])
    assert (row.source, row.kind) == (published, kind)


def test_nickname_and_role_come_from_the_meta_else_from_its_source() -> None:
    row = folded(fixture("subagent_thread"))
    assert (row.agent_nickname, row.agent_role) == ("Nick", "explorer")
    row = folded([meta(source={"subagent": {"thread_spawn": SPAWN}}, agent_nickname="Own")])
    assert (row.agent_nickname, row.agent_role) == ("Own", "explorer")


def test_settings_and_usage_are_those_last_written() -> None:
    row = folded(fixture("three_turns"))
    assert row.model == "gpt-5.1-codex"
    assert row.approval_policy == "never"
    assert row.sandbox_policy == {"type": "danger-full-access"}
    assert row.tokens_used > 0
    assert folded(fixture("usage_null_info")).tokens_used == 0


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-04-20T10:00:00.640Z", 1_776_679_200_640),
        ("2026-04-20T12:00:00+02:00", 1_776_679_200_000),
        ("2026-04-20T10:00:00", 1_776_679_200_000),
        ("whenever", 0),
    ],
)
def test_times_are_epoch_milliseconds(text: str, ms: int) -> None:
    assert milliseconds(text) == ms


def test_an_unknown_form_of_source_is_unknown() -> None:
    assert published_source(ev.SourceObject()) == ("unknown", "unknown")


@given(events(ev.SessionMeta))
def test_every_source_that_can_be_read_can_be_published(meta: ev.SessionMeta) -> None:
    assert msgspec.convert(published_source(meta.source)[0], p.SessionSource)


def test_a_sub_agent_nobody_knows_is_another_one() -> None:
    assert published_source(ev.SourceObject(subagent="dreaming")) == (
        {"subAgent": {"other": "dreaming"}},
        "subAgentOther",
    )


def test_a_request_without_heading_is_the_message() -> None:
    assert request_text(" hi ") == "hi"


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_lines_that_are_not_wanted_change_nothing(path: Path) -> None:
    row = EMPTY
    for data in path.read_bytes().splitlines():
        names, line = head(data), decode(data)
        if isinstance(line, Line):
            after = apply(row, line.body)
            assert names is not None
            assert after is row or wanted(*names, row)
            row = after
    assert row == folded(path.read_bytes().splitlines())


@given(st.data())
def test_a_row_goes_on_from_anywhere_and_may_meet_lines_again(data: st.DataObject) -> None:
    lines = data.draw(st.sampled_from(FIXTURES)).read_bytes().splitlines()
    whole = folded(lines)
    stop = data.draw(st.integers(0, len(lines)))
    start = data.draw(st.integers(0, stop))
    assert folded(lines[start:], folded(lines[:stop])) == whole
