"""No acknowledged turn is ever lost: servers are killed in the middle of everything, and what clients heard stays true.

Real processes, SIGKILL. Each victim runs turns on several threads as fast as it can, next to names, injected items and
rollbacks, until it dies at a random moment; then its files are looked at, and the next victim goes on with them.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import multiprocessing
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rollouts import codec
from rollouts import events as ev
from rollouts.log import FileLog
from tests.engine.harness import make_home, serve

Json = dict[str, Any]

KILLS = 30
THREADS = 3
MOST_MESSAGES = 250
"""A victim lives at most so long: messages read from it after its threads are up; a turn is some 60 of them."""


class Victim:
    """A server and the one client it has, who remembers which turns it was told are completed, and starts the next."""

    def __init__(self, home: Path, completed: dict[str, list[str]], chance: random.Random) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.engine.harness", "engine.appserver.handlers.threads"])
        self._socket, theirs = socket.socketpair()
        self._process = context.Process(target=serve, args=(str(home), theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._socket.settimeout(30)
        self._incoming = self._receive()
        self._asked = 0
        self._completed = completed
        self._chance = chance
        capabilities = {"experimentalApi": True}
        self.request("initialize", clientInfo={"name": "client", "version": "1"}, capabilities=capabilities)

    def send(self, method: str, **params: object) -> int:
        self._asked += 1
        message = {"id": self._asked, "method": method, "params": params}
        with contextlib.suppress(BrokenPipeError):  # it is dead, and what it said before is still being read
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        return self._asked

    def request(self, method: str, **params: object) -> Json:
        """Send and wait for the answer."""
        asked = self.send(method, **params)
        answer = next(message for message in self.messages() if message.get("id") == asked)
        return dict(answer["result"])

    def messages(self) -> Iterator[Json]:
        for message in self._incoming:
            assert "error" not in message, message
            if message.get("method") == "turn/completed":
                turn, thread_id = message["params"]["turn"], message["params"]["threadId"]
                assert turn["status"] == "completed", turn
                self._completed[thread_id].append(turn["id"])
                self.run(thread_id)
            yield message

    def run(self, thread_id: str) -> None:
        """Let the thread's next turn begin, now and then after something else."""
        if self._chance.random() < 0.15:
            self.send("thread/name/set", threadId=thread_id, name=f"name {self._chance.random()}")
        if self._chance.random() < 0.15:
            item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "noted"}]}
            self.send("thread/inject_items", threadId=thread_id, items=[item])
        text = self._chance.choice(["hello", "make a plan", "say it again"])
        self.send("turn/start", threadId=thread_id, input=[{"type": "text", "text": text}])

    def live(self, over: Callable[[], bool]) -> None:
        """Read what it says until it is over."""
        for _ in self.messages():
            if over():
                return

    def kill(self) -> None:
        """SIGKILL, then hear what it had said before."""
        self._process.kill()
        self._process.join()
        self.live(lambda: False)
        self._socket.close()

    def _receive(self) -> Iterator[Json]:
        rest = b""
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except ConnectionResetError:
                return
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            yield from map(json.loads, lines)


def test_whatever_a_client_heard_as_completed_is_there_after_sigkill_at_any_moment(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    chance = random.Random(20260420)
    completed: dict[str, list[str]] = {}
    victim = Victim(home, completed, chance)
    for _ in range(THREADS):
        thread_id = victim.request("thread/start")["thread"]["id"]
        completed[thread_id] = []
        victim.run(thread_id)
    victim.live(lambda: all(completed.values()))
    for _ in range(KILLS):
        moments = itertools.count(chance.randrange(MOST_MESSAGES), -1)
        victim.live(functools.partial(reached, moments))
        victim.kill()
        for thread_id, turns in completed.items():
            check_file(home, thread_id, turns)
        victim = Victim(home, completed, chance)
        for thread_id, turns in completed.items():
            heard = list(turns)
            check_resumed(victim.request("thread/resume", threadId=thread_id), heard)
            victim.run(thread_id)
    before = {thread_id: len(turns) for thread_id, turns in completed.items()}
    victim.live(lambda: all(len(completed[thread_id]) > count for thread_id, count in before.items()))
    victim.kill()


def reached(left: Iterator[int]) -> bool:
    return next(left) <= 0


def check_file(home: Path, thread_id: str, turns: list[str]) -> None:
    """Whole lines but for torn ones, at most one for each kill; every turn that was heard of is complete, once."""
    (path,) = home.glob(f"sessions/*/*/*/rollout-*{thread_id}.jsonl")
    lines = [codec.decode(record.data) for record in FileLog(path).read()]
    assert sum(isinstance(line, codec.BadLine) for line in lines) <= KILLS
    bodies = [line.body for line in lines if isinstance(line, codec.Line)]
    assert not any(isinstance(body, ev.Unknown) for body in bodies)
    ends = [body.turn_id for body in bodies if isinstance(body, ev.TaskComplete)]
    assert [turn for turn in ends if turn in set(turns)] == turns


def check_resumed(answer: Json, turns: list[str]) -> None:
    """What was completed is completed, in order; nothing runs, and only what was never acknowledged is interrupted."""
    shown = answer["thread"]["turns"]
    ids = [turn["id"] for turn in shown]
    assert [turn for turn in ids if turn in set(turns)] == turns
    assert len(ids) == len(set(ids))
    for turn in shown:
        assert turn["status"] in ("completed", "interrupted")
        if turn["id"] in turns:
            assert turn["status"] == "completed"
            assert [item["type"] for item in turn["items"]][:1] == ["userMessage"]
            assert turn["items"][-1]["type"] == "agentMessage"
