"""A whole engine for tests: a home, real threads, a recording sink, and a scripted model in place of a provider.

`engine(home)` runs a `Host` in the test's own process; `serve` is the body of a server process that tests kill.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import msgspec

from engine.host import Host, open_host
from engine.model import rate_limits
from engine.model.demo import DemoModel
from engine.model.endpoint import Endpoint
from engine.model.request import ModelRequest
from engine.notes import Notification, Sink
from engine.threads import Client
from engine.turn.replies import Completed, Created, Headers, ItemAdded, ItemDone, StreamEvent, TextDelta
from projections import protocol as p
from rollouts import events as ev

CLIENT = Client(0, "harness")
Reply = str | tuple[str, str] | Exception
"""A text, or the name and the arguments of a function call, or what the request fails with."""


class Clock:
    """Time that goes on by a millisecond whenever it is asked for."""

    def __init__(self) -> None:
        self._now = datetime(2026, 4, 20, 10, 0, tzinfo=UTC)

    def now(self) -> datetime:
        self._now += timedelta(milliseconds=1)
        return self._now

    def zone(self) -> str:
        return "Etc/UTC"


class Recorder:
    """A sink that keeps everything it is told."""

    def __init__(self) -> None:
        self.notes: list[Notification] = []
        self.questions: list[tuple[str, object, Callable[[msgspec.Struct], None]]] = []

    def publish(self, note: Notification) -> None:
        self.notes.append(note)

    def ask(
        self, thread_id: str | None, method: str, params: object, on_answer: Callable[[msgspec.Struct], None]
    ) -> int:
        """Nobody is there to answer."""
        self.questions.append((method, params, on_answer))
        return len(self.questions)

    def withdraw(self, question_id: int) -> None:
        """The question stays in the list."""

    def of(self, method: str) -> list[Any]:
        """Params of all notifications of a method so far."""
        return [note.params for note in self.notes if note.method == method]


class Scripted:
    """A model that plays queued replies, one for each request; an empty queue answers `ok <n>`.

    While `gate` is set to an unset event, replies stop in the middle and wait for it.
    """

    def __init__(self) -> None:
        self.replies: deque[Reply] = deque()
        self.requests: list[ModelRequest] = []
        self.gate: anyio.Event | None = None

    async def stream(
        self, request: ModelRequest, endpoint: Endpoint | None = None
    ) -> AsyncGenerator[StreamEvent, None]:
        self.requests.append(request)
        number = len(self.requests)
        reply = self.replies.popleft() if self.replies else f"ok {number}"
        yield Headers(rate_limits.snapshots({}))
        yield Created(f"resp_{number}")
        if isinstance(reply, Exception):
            raise reply
        item: ev.ResponseItem
        if isinstance(reply, str):
            item = ev.Message(id=f"msg_{number}", role="assistant", content=(ev.OutputText(text=reply),))
            yield ItemAdded(msgspec.structs.replace(item, content=()), f"msg_{number}")
            yield TextDelta(reply)
        else:
            name, arguments = reply
            item = ev.FunctionCall(id=f"fc_{number}", name=name, arguments=arguments, call_id=f"call_{number}")
        if self.gate is not None:
            await self.gate.wait()
        yield ItemDone(item, f"msg_{number}")
        yield Completed(f"resp_{number}", ev.TokenUsage(100, 10, 20, 5, 120))


class Engine:
    """A running host, its model and what it has told clients, with the commands that tests use most."""

    def __init__(self, host: Host, model: Scripted, sink: Recorder) -> None:
        self.host = host
        self.model = model
        self.sink = sink

    async def start(self, **params: Any) -> str:
        """A new thread's id."""
        return (await self.host.threads.start(p.ThreadStartParams(**params), CLIENT)).thread_id

    async def turn(self, thread_id: str, text: str = "go on") -> str:
        """Run a turn to its end; its id."""
        turn_id = self.begin(thread_id, text)
        await self.ended(turn_id)
        return turn_id

    def begin(self, thread_id: str, text: str = "go on") -> str:
        """Start a turn; its id."""
        given: list[p.UserInput] = [p.TextUserInput(text=text)]
        turn_id, begin = self.host.turns.start(p.TurnStartParams(thread_id=thread_id, input=given))
        begin()
        return turn_id

    async def ended(self, turn_id: str) -> p.Turn:
        """Wait for `turn/completed`."""
        await until(lambda: self._ended(turn_id))
        turn = self._ended(turn_id)
        assert turn is not None
        return turn

    def _ended(self, turn_id: str) -> p.Turn | None:
        turns: list[p.Turn] = [params.turn for params in self.sink.of("turn/completed")]
        return next((turn for turn in turns if turn.id == turn_id), None)

    async def resume(self, thread_id: str, **params: Any) -> p.ThreadResumeResponse:
        answer = await self.host.threads.resume(p.ThreadResumeParams(thread_id=thread_id, **params), CLIENT)
        assert isinstance(answer.result, p.ThreadResumeResponse)
        return answer.result

    async def fork(self, thread_id: str, **params: Any) -> p.ThreadForkResponse:
        answer = await self.host.threads.fork(p.ThreadForkParams(thread_id=thread_id, **params), CLIENT)
        assert isinstance(answer.result, p.ThreadForkResponse)
        return answer.result


async def until(condition: Callable[[], object], what: str = "it") -> None:
    """Wait until something holds; a test that waits for ever fails."""
    with anyio.fail_after(20):
        while not condition():
            await anyio.sleep(0.001)


CONFIG = 'model = "gpt-5.1-codex"\nmodel_provider = "demo"\n'


def make_home(path: Path) -> Path:
    """A home whose threads use the model of the harness."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.toml").write_text(CONFIG)
    return path


@asynccontextmanager
async def engine(home: Path, **options: Any) -> AsyncIterator[Engine]:
    """An engine on this home; `options` are those of `open_host`."""
    sink, model = Recorder(), Scripted()
    cwd = home / "work"
    cwd.mkdir(exist_ok=True)
    async with open_host(home, cwd=cwd, clock=Clock(), **options)(sink) as host:
        host.operations._demo = model  # type: ignore[assignment]
        yield Engine(host, model, sink)


def serve(home: str, connection: socket.socket) -> None:
    """Be an app-server over this socket in place of stdio, with a model that answers at once, until killed."""
    from engine.appserver import server
    from engine.appserver.handlers import all_handlers, methods
    from engine.appserver.transports.stdio import Stdio

    opened = open_host(Path(home), {})

    @asynccontextmanager
    async def quick(sink: Sink) -> AsyncIterator[Host]:
        async with opened(sink) as host:
            host.operations._demo = DemoModel(pause=0)
            yield host

    anyio.run(server.run, quick, Stdio(connection.fileno(), connection.fileno()), methods(all_handlers()))
