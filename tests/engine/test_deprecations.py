"""Settings that will be no more: they still work, and whoever loads a thread with them is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import deprecations, load
from engine.threads import Answer
from projections import protocol as p
from tests.engine.harness import CLIENT, engine, make_home

OLD = """experimental_use_unified_exec_tool = false
experimental_instructions_file = "/no/such"
"""
OLD_FLAGS = """
[features]
web_search_request = true
collab = false
"""
SUMMARIES = [
    "`[features].collab` is deprecated. Use `[features].multi_agent` instead.",
    "`[features].experimental_use_unified_exec_tool` is deprecated. Use `[features].unified_exec` instead.",
    "`[features].web_search_request` is deprecated because web search is enabled by default.",
    "`experimental_instructions_file` is deprecated and ignored. Use `model_instructions_file` instead.",
]


def test_older_names_set_the_flags_of_today(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(OLD + OLD_FLAGS)
    config = load(tmp_path, {"features.memory_tool": True}, tmp_path)
    assert not config.feature("multi_agent")
    assert not config.feature("unified_exec")
    assert config.feature("memories")


def test_what_is_up_to_date_needs_no_words() -> None:
    assert deprecations({"features": {"multi_agent": False, "unknown": True, "fast_mode": True}}) == []


@pytest.mark.anyio
async def test_a_start_a_fork_and_a_cold_resume_tell_of_them(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    file = home / "config.toml"
    file.write_text(OLD + (file.read_text() if file.exists() else "") + OLD_FLAGS)

    async with engine(home) as running:
        threads = running.host.threads
        begun = await threads.start(p.ThreadStartParams(), CLIENT)
        await running.turn(begun.thread_id)
        forked = await threads.fork(p.ThreadForkParams(thread_id=begun.thread_id), CLIENT)
    async with engine(home) as later:
        resumed = await later.host.threads.resume(p.ThreadResumeParams(thread_id=begun.thread_id), CLIENT)
    assert [summaries(answer) for answer in (begun, forked, resumed)] == [SUMMARIES] * 3


def summaries(answer: Answer) -> list[str]:
    notes = [note.params for note in answer.then if note.method == "deprecationNotice"]
    return [note.summary for note in notes if isinstance(note, p.DeprecationNoticeNotification)]
