"""One CODEX_HOME, two engines: what is listed, named, archived, and what old files mean."""

from __future__ import annotations

import json
import os
import re
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import fixture_rollouts
from tests.interop.history import asked, text_of
from tests.interop.peer import Peer
from tests.interop.place import Place
from tests.interop.programs import OTHER, Engine
from tests.interop.sessions import ENGINES, resumed
from tests.mock_model import MockModel

pytestmark = pytest.mark.interop

#: Newer files, of which 0.125.0 shows no items; ours does (rollout-format.md, section 11).
RICHER = ("_0169",)


@pytest.mark.parametrize("first", ENGINES)
def test_threads_of_one_engine_are_listed_named_and_archived_by_the_other(
    place: Place, model: MockModel, first: Engine
) -> None:
    with Peer(first, place) as peer:
        kept, renamed, archived = [peer.start() for _ in range(3)]
        for thread_id in (kept, renamed, archived):
            peer.turn(thread_id, f"about {thread_id}")
        peer.call("thread/name/set", threadId=renamed, name="before")
        peer.call("thread/archive", threadId=archived)
    with Peer(OTHER[first], place) as peer:
        assert ids(peer) == {kept, renamed}
        assert ids(peer, archived=True) == {archived}
        assert {row["name"] for row in rows(peer)} == {None, "before"}
        peer.call("thread/name/set", threadId=renamed, name="after")
        peer.call("thread/unarchive", threadId=archived)
        peer.call("thread/archive", threadId=kept)
    lists = {}
    for engine in ENGINES:
        with Peer(engine, place) as peer:
            assert ids(peer, archived=True) == {kept}
            lists[engine] = {row["id"]: (row["name"], row["preview"], row["createdAt"]) for row in rows(peer)}
    assert lists["ours"] == lists["reference"]
    assert {one: name for one, (name, _, _) in lists["ours"].items()} == {renamed: "after", archived: None}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_fork_of_one_engine_is_a_session_of_the_other(place: Place, model: MockModel, engine: Engine) -> None:
    model.say("the first answer")
    with Peer(OTHER[engine], place) as peer:
        parent = peer.start()
        peer.turn(parent, "the first question")
    with Peer(engine, place) as peer:
        fork = peer.call("thread/fork", threadId=parent)["thread"]
        assert fork["forkedFromId"] == parent
        peer.turn(fork["id"], "a question to the fork")
    reads = []
    for reader in ENGINES:
        with Peer(reader, place) as peer:
            reads.append(peer.call("thread/read", threadId=fork["id"], includeTurns=True)["thread"])
            del reads[-1]["updatedAt"]
            assert len(peer.call("thread/read", threadId=parent, includeTurns=True)["thread"]["turns"]) == 1
    assert reads[0] == reads[1]
    assert len(reads[0]["turns"]) == 2


def test_every_recorded_file_is_the_same_session_to_both(
    place: Place, model: MockModel, subtests: pytest.Subtests
) -> None:
    installed = {path.stem: install(path, place) for path in fixture_rollouts() if path.stem != "forked_copy"}
    seen = {engine: look(engine, place, model, installed) for engine in ENGINES}
    for name in installed:
        with subtests.test(name):
            ours, theirs = seen["ours"][name], seen["reference"][name]
            for what in theirs:
                if not (what in ("read", "resumed") and name.endswith(RICHER)):
                    assert ours[what] == theirs[what], what


def look(engine: Engine, place: Place, model: MockModel, installed: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Everything an engine makes of files: what it reads, resumes, replays and sends the model."""
    home = shutil.copytree(place.home, place.root / f"before {engine}")
    seen = {}
    with Peer(engine, place) as peer:
        for name, thread_id in installed.items():
            read = peer.call("thread/read", threadId=thread_id, includeTurns=True)["thread"]
            answer = resumed(peer, thread_id)
            turn_id = peer.turn(thread_id, "and now?")
            usages = [
                one for one in peer.wire.notifications("thread/tokenUsage/updated") if one["threadId"] == thread_id
            ]
            seen[name] = {
                "read": read,
                "resumed": answer,
                "usage": [one for one in usages if one["turnId"] != turn_id],
                "counted": [one["tokenUsage"] for one in usages if one["turnId"] == turn_id],
                "input": without_prose(asked(model)[-1].json["input"]),
            }
    shutil.rmtree(place.home)
    home.rename(place.home)
    return seen


def install(fixture: Path, place: Place) -> str:
    """Put a fixture into the home, with the name and the time its lines call for; gives the thread's id."""
    text = fixture.read_text()
    text = text.replace("/workspace/demo", str(place.workspace)).replace("/workspace/.codex", str(place.home))
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    meta = next(line["payload"] for line in lines if line["type"] == "session_meta")
    started = datetime.fromisoformat(meta["timestamp"])
    folder = place.home / "sessions" / started.strftime("%Y/%m/%d")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"rollout-{started.strftime('%Y-%m-%dT%H-%M-%S')}-{meta['id']}.jsonl"
    path.write_text(text)
    ended = datetime.fromisoformat(lines[-1]["timestamp"]).timestamp()
    os.utime(path, (ended, ended))
    return str(meta["id"])


def without_prose(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Model input with the tags of developer messages in place of their texts, which every engine words itself.

    Only the reference brings skills of its own.
    """

    def tags(item: dict[str, Any]) -> list[str]:
        return [tag for tag in re.findall(r"<(\w+)", text_of(item)) if tag != "skills_instructions"]

    return [{**item, "content": tags(item)} if item.get("role") == "developer" else item for item in items]


def rows(peer: Peer, **params: Any) -> list[dict[str, Any]]:
    return list(peer.call("thread/list", **params)["data"])


def ids(peer: Peer, **params: Any) -> set[str]:
    return {row["id"] for row in rows(peer, **params)}
