"""The story of the demo: a session that survives its server.

Every scene does something through the protocol, as any client would, and checks what it shows against the files or
against what was seen before. Nothing here reaches into the engine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
from msgspec import Struct

from tools.client import Client, Message, stdio
from tools.demo.stage import Stage, item_text

CONFIG: Final = 'model_provider = "demo"\n'
SERVER: Final = (sys.executable, "-c", "from engine.cli import main; main()", "app-server")


class Seen(Struct):
    """What the client knows of a thread when its server dies."""

    thread_id: str
    path: Path
    usage: Message
    turns: list[tuple[str, list[tuple[str, str]]]]
    """Status and (type, text) of the items of every turn, oldest first."""


class Story:
    """One telling, in a home of its own below `folder`."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self.home = folder / "home"
        self.project = folder / "project"
        self.home.mkdir()
        self.project.mkdir()
        (self.home / "config.toml").write_text(CONFIG)
        (self.project / "AGENTS.md").write_text("Answer in one paragraph.\n")

    async def tell(self) -> None:
        """All scenes."""
        self.stage.say(f"CODEX_HOME is {self.home}; config.toml says: {CONFIG.strip()}")
        session = await self.first_session()
        fork = await self.resume_and_fork(session)
        await self.after_the_second_kill(fork)
        await self.show_log(session, fork)

    async def first_session(self) -> Seen:
        """A new thread with two turns, then SIGKILL."""
        self.stage.act("1  A new session: two turns, then the server is killed")
        async with self.server() as client:
            started = await client.request("thread/start", cwd=str(self.project), persistExtendedHistory=True)
            thread = started["thread"]
            session = Seen(thread["id"], Path(thread["path"]), {}, [])
            self.stage.name(session.thread_id, "session")
            instructions = [str(self.project / "AGENTS.md")]
            self.stage.check("the server found the project's instructions", instructions, started["instructionSources"])
            self.stage.check("a thread nothing has happened to leaves no file", False, session.path.exists())
            await self.turn(client, session, "Hello! Please remember the word heron.")
            self.stage.be_brief()
            await self.turn(client, session, "Please make a plan for the day.")
            await self.kill(client)
        return session

    async def resume_and_fork(self, session: Seen) -> Seen:
        """A new server: the session is back with its usage; a fork goes its own way and is killed in a turn."""
        self.stage.act("2  A new server: resume, with the usage replayed")
        before = session.path.read_bytes()
        self.stage.check("the file ends with a whole line", b"\n", before[-1:])
        async with self.server() as client:
            resumed = await client.request("thread/resume", threadId=session.thread_id, persistExtendedHistory=True)
            notes = await client.until("thread/tokenUsage/updated", threadId=session.thread_id)
            self.stage.check("every turn and item seen before is there", session.turns, turns(resumed["thread"]))
            self.check_usage("usage after the resume equals usage before the kill", session, notes)
            self.stage.check("the resume wrote nothing", before, session.path.read_bytes())
            await self.turn(client, session, "Which word did I ask you to remember?")
            self.check_grown("the file only grew", before, session.path)

            self.stage.act("3  Fork: the same history, then another way; killed in the middle of a turn")
            before = session.path.read_bytes()
            fork = await self.fork(client, session)
            await self.turn(client, fork, "In this branch the word is egret.")
            self.stage.check("the session it came from is untouched", before, session.path.read_bytes())
            self.stage.say("One more turn, and SIGKILL while the answer is being written:")
            await client.request("turn/start", threadId=fork.thread_id, input=text("And now tell me everything."))
            await client.until("item/agentMessage/delta", threadId=fork.thread_id)
            await self.kill(client)
        fork.turns.append(("interrupted", [("userMessage", "And now tell me everything.")]))
        return fork

    async def fork(self, client: Client, session: Seen) -> Seen:
        """Fork the session."""
        answer = await client.request("thread/fork", threadId=session.thread_id, persistExtendedHistory=True)
        thread = answer["thread"]
        fork = Seen(thread["id"], Path(thread["path"]), session.usage, list(session.turns))
        self.stage.name(fork.thread_id, "fork")
        notes = await client.until("thread/started")
        order = [note["method"] for note in notes if note["method"].startswith("thread/")]
        self.stage.check("the fork says where it comes from", session.thread_id, thread["forkedFromId"])
        self.stage.check("it has the same turns", session.turns, turns(thread))
        self.stage.check(
            "its usage comes before thread/started", ["thread/tokenUsage/updated", "thread/started"], order[-2:]
        )
        self.check_usage("its usage is that of the session", session, notes)
        return fork

    async def after_the_second_kill(self, fork: Seen) -> None:
        """A third server: the fork is back; /clear begins anew; the list knows all; a clean end."""
        self.stage.act("4  A third server: what was finished is there, what was not is marked")
        before = fork.path.read_bytes()
        async with self.server() as client:
            resumed = await client.request("thread/resume", threadId=fork.thread_id, persistExtendedHistory=True)
            notes = await client.until("thread/tokenUsage/updated", threadId=fork.thread_id)
            self.stage.check(
                "all finished turns, and the open one as interrupted", fork.turns, turns(resumed["thread"])
            )
            self.check_usage("usage is that of the last finished request", fork, notes)
            await self.turn(client, fork, "Where were we?")
            self.check_grown("no line was lost or changed", before, fork.path)

            self.stage.act("5  Clear: a new thread in place of the old one")
            fresh = await self.clear(client, fork)
            listed = await client.request("thread/list", limit=10)
            found = {thread["id"] for thread in listed["data"]}
            self.stage.check("the list has every session", True, {fork.thread_id, fresh} <= found and len(found) == 3)
        assert client.process is not None
        self.stage.check("the server ends by itself when its input does", 0, client.process.returncode)

    async def clear(self, client: Client, old: Seen) -> str:
        """What `/clear` of the terminal client does; the id of the new thread."""
        await client.request("thread/unsubscribe", threadId=old.thread_id)
        params = {"cwd": str(self.project), "sessionStartSource": "clear", "persistExtendedHistory": True}
        thread = (await client.request("thread/start", **params))["thread"]
        fresh = Seen(thread["id"], Path(thread["path"]), {}, [])
        self.stage.name(fresh.thread_id, "cleared")
        self.stage.check("it has no history", [], turns(thread))
        await self.turn(client, fresh, "Hi again. What do you know of herons?")
        words = dict(fresh.turns[-1][1])["agentMessage"]
        self.stage.check("the model sees one message, not the old session", True, "This is message 1 " in words)
        return fresh.thread_id

    async def show_log(self, session: Seen, fork: Seen) -> None:
        """The file of the session as tools/replay shows it, and what it says of both files after the kills."""
        self.stage.act("6  The log of the session, as `python -m tools.replay` shows it")
        shown = await replay(str(session.path))
        self.stage.console.out(shown.stdout, highlight=False)
        self.stage.check("it can be read to the end", (0, ""), (shown.returncode, shown.stderr))
        self.stage.check("`--check` finds nothing wrong with it", [], await findings(session.path))
        self.stage.check("in the fork only the turn that was killed", ["unfinished turn"], await findings(fork.path))

    # -- parts of scenes

    @asynccontextmanager
    async def server(self) -> AsyncIterator[Client]:
        """A server process of its own, and a client that has introduced itself."""
        self.stage.restarted()
        env = {**os.environ, "CODEX_HOME": str(self.home)}
        async with stdio(SERVER, env=env, cwd=self.project, observer=self.stage.observe) as client:
            assert client.process is not None
            self.stage.say(f"rollout-engine app-server runs as process {client.process.pid}")
            await client.initialize("rollout-engine-demo", experimentalApi=True)
            yield client

    async def kill(self, client: Client) -> None:
        """SIGKILL."""
        await client.kill()
        assert client.process is not None
        self.stage.say(f"kill -9 {client.process.pid}")
        self.stage.check("the server was killed", -9, client.process.returncode)

    async def turn(self, client: Client, thread: Seen, words: str) -> None:
        """A turn; remembers what the client saw of it."""
        client.waiting()
        answer = await client.request("turn/start", threadId=thread.thread_id, input=text(words))
        notes = await client.until("turn/completed", threadId=thread.thread_id)
        ended = notes[-1]["params"]["turn"]
        done = [note["params"]["item"] for note in notes if note["method"] == "item/completed"]
        usage = [note["params"] for note in notes if note["method"] == "thread/tokenUsage/updated"]
        thread.usage = usage[-1]["tokenUsage"]
        thread.turns.append((ended["status"], items(done)))
        self.stage.check("the turn completed", (answer["turn"]["id"], "completed"), (ended["id"], ended["status"]))

    def check_usage(self, claim: str, thread: Seen, notes: Sequence[Message]) -> None:
        """One replayed usage, equal to the last one seen."""
        replayed = [note["params"]["tokenUsage"] for note in notes if note["method"] == "thread/tokenUsage/updated"]
        self.stage.check(claim, [thread.usage], replayed)

    def check_grown(self, claim: str, before: bytes, path: Path) -> None:
        """The file begins with all it had before, and has more."""
        now = path.read_bytes()
        self.stage.check(claim, (before, True), (now[: len(before)], len(now) > len(before)))


async def findings(path: Path) -> list[str]:
    """What kinds of damage and oddities `tools.replay --check` finds in a file."""
    report = json.loads((await replay("--check", "--json", str(path))).stdout)
    return [finding["kind"] for finding in report["findings"]]


async def replay(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run tools/replay."""
    command = (sys.executable, "-m", "tools.replay", *arguments)
    return await anyio.to_thread.run_sync(lambda: subprocess.run(command, capture_output=True, text=True, check=False))


def text(words: str) -> list[Message]:
    """The input of a turn."""
    return [{"type": "text", "text": words, "text_elements": []}]


def items(found: Sequence[Message]) -> list[tuple[str, str]]:
    """Items without their ids, which differ between live and rebuilt by design."""
    return [(item["type"], item_text(item)) for item in found]


def turns(thread: dict[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """The turns of a thread, as `Seen.turns` has them."""
    return [(turn["status"], items(turn["items"])) for turn in thread["turns"]]
