"""A scripted model endpoint for tests: real HTTP on a local port, in threads of its own, so that it serves
tests of any kind (in process, over a child process). Answers are queued and played in order; requests are
kept as they came.

with MockModel() as model: model.say("hello") # a whole reply model.play(created(), delta("ha"),
model.hold("gate"), *message("half"), completed()) model.fail(503, {"error": {"code": "slow_down"}}) ...
base_url = model.base_url ... model.release("gate") model.requests[0].json["input"]"""

import json
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.mock_socket import Socket, serve

Event = dict[str, Any]
Usage = tuple[int, int, int, int]
USAGE: Usage = (100, 10, 20, 5)
"""Input, cached, output and reasoning tokens of a reply, unless a test says otherwise."""


@dataclass(frozen=True)
class Hold:
    """The stream stops here until `release(name)`, the end of the test, or the client hangs up."""

    name: str


@dataclass(frozen=True)
class Drop:
    """The connection breaks off here; `abrupt` resets it in the middle of the body instead of ending that."""

    abrupt: bool = False


@dataclass(frozen=True)
class Request:
    """A request as it came: header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    port: int
    """The client's, which tells its connections apart."""

    @property
    def json(self) -> Any:
        """The parsed body."""
        return json.loads(self.body)


Step = Event | bytes | Hold | Drop


@dataclass(frozen=True)
class Reply:
    """One scripted answer: an event stream (`steps`; bytes go out as they are), or a whole `body`."""

    steps: tuple[Step, ...] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


def created(response_id: str = "resp_1") -> Event:
    """`response.created`."""
    return {"type": "response.created", "response": {"id": response_id}}


def completed(usage: Usage | None = USAGE, response_id: str = "resp_1", **more: Any) -> Event:
    """`response.completed`, without usage if None."""
    response: Event = {"id": response_id, **more}
    if usage is not None:
        prompt, cached, output, reasoning = usage
        response["usage"] = {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": cached},
            "output_tokens": output,
            "output_tokens_details": {"reasoning_tokens": reasoning},
            "total_tokens": prompt + output,
        }
    return {"type": "response.completed", "response": response}


def failed(code: str | None = None, message: str | None = None) -> Event:
    """`response.failed` with this error."""
    error = {key: value for key, value in (("code", code), ("message", message)) if value is not None}
    return {"type": "response.failed", "response": {"id": "resp_1", "error": error}}


def added(item: Event) -> Event:
    """`response.output_item.added`."""
    return {"type": "response.output_item.added", "item": item}


def done(item: Event) -> Event:
    """`response.output_item.done`."""
    return {"type": "response.output_item.done", "item": item}


def delta(text: str, item_id: str = "msg_1") -> Event:
    """`response.output_text.delta`."""
    return {"type": "response.output_text.delta", "item_id": item_id, "delta": text}


def begun(text: str, item_id: str = "msg_1") -> list[Event]:
    """The events of an assistant message that goes on."""
    item: Event = {"type": "message", "role": "assistant", "id": item_id, "content": []}
    return [added(item), delta(text, item_id)]


def message(text: str, item_id: str = "msg_1", deltas: tuple[str, ...] = ()) -> list[Event]:
    """The events of an assistant message; announced and streamed if there are `deltas`."""
    item: Event = {"type": "message", "role": "assistant", "id": item_id}
    whole = done({**item, "content": [{"type": "output_text", "text": text}]})
    if not deltas:
        return [whole]
    return [added({**item, "content": []}), *(delta(piece, item_id) for piece in deltas), whole]


def function_call(name: str, arguments: Any, call_id: str = "call_1") -> Event:
    """A function call, done; arguments that are no string are sent as JSON."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return done({"type": "function_call", "id": f"fc_{call_id}", "name": name, "arguments": text, "call_id": call_id})


def custom_call(name: str, text: str, call_id: str = "call_1") -> Event:
    """A custom tool call such as `apply_patch`, done."""
    return done({"type": "custom_tool_call", "id": f"ctc_{call_id}", "name": name, "input": text, "call_id": call_id})


def reasoning(*summary: str, item_id: str = "rs_1") -> Event:
    """A reasoning item with these summary parts, done."""
    parts = [{"type": "summary_text", "text": text} for text in summary]
    return done({"type": "reasoning", "id": item_id, "summary": parts, "encrypted_content": "c2VjcmV0"})


class MockModel:
    """The server. An empty queue is answered with a stock message, which `unscripted` counts."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.unscripted = 0
        self.hangups = 0
        self.sockets: list[Socket] = []
        self.upgrade_headers: dict[str, str] = {}
        self._refusals: deque[Reply] = deque()
        self._queue: deque[Reply] = deque()
        self._gates: dict[str, threading.Event] = {}
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def base_url(self) -> str:
        """What a provider's `base_url` should be."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def play(self, *steps: Step, headers: Mapping[str, str] | None = None) -> None:
        """Queue an event stream."""
        self._queue.append(Reply(steps, headers=headers or {}))

    def say(self, text: str, usage: Usage | None = USAGE, deltas: tuple[str, ...] = ()) -> None:
        """Queue a reply with one message."""
        self.play(created(), *message(text, deltas=deltas), completed(usage))

    def call(self, name: str, arguments: Any, call_id: str = "call_1", usage: Usage | None = USAGE) -> None:
        """Queue a reply with one function call."""
        self.play(created(), function_call(name, arguments, call_id), completed(usage))

    def fail(self, status: int, body: Any = None, headers: Mapping[str, str] | None = None) -> None:
        """Queue an answer without a stream, such as an HTTP error; a body that is no string is sent as
        JSON."""
        data = body.encode() if isinstance(body, str) else json.dumps(body or {}).encode()
        self._queue.append(Reply(status=status, headers=headers or {}, body=data))

    def refuse_upgrades(self, status: int, times: int, body: str = "") -> None:
        """Answer the next `times` websocket upgrades with an HTTP status."""
        self._refusals.extend([Reply(status=status, body=body.encode())] * times)

    def hold(self, name: str = "hold") -> Hold:
        """A step at which the stream waits for `release(name)`."""
        self._gates.setdefault(name, threading.Event())
        return Hold(name)

    def release(self, name: str = "hold") -> None:
        """Let the streams held under this name go on."""
        self._gates.setdefault(name, threading.Event()).set()

    def wait_requests(self, count: int, timeout: float = 10.0) -> None:
        """Wait until `count` requests came in all; raises `TimeoutError`."""
        self._wait(lambda: len(self.requests) >= count, f"{count} requests", timeout)

    def wait_hangups(self, count: int, timeout: float = 10.0) -> None:
        """Wait until `count` clients hung up on a held stream; raises `TimeoutError`."""
        self._wait(lambda: self.hangups >= count, f"{count} hang-ups", timeout)

    def wait_closed(self, count: int, timeout: float = 10.0) -> None:
        """Wait until `count` websocket connections have ended; raises `TimeoutError`."""
        self._wait(lambda: sum(one.closed for one in self.sockets) >= count, f"{count} closed sockets", timeout)

    def close(self) -> None:
        """Let go of every held stream and stop serving."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _wait(self, reached: Any, what: str, timeout: float) -> None:
        with self._changed:
            if not self._changed.wait_for(reached, timeout):
                raise TimeoutError(f"the mock model waited in vain for {what}")

    @property
    def closing(self) -> bool:
        """Is the server about to stop?"""
        return self._closing.is_set()

    def released(self, name: str) -> bool:
        """Is this gate open?"""
        return self._gates[name].is_set()

    def note(self, change: Callable[[], object]) -> None:
        """Make a change that others may wait for."""
        with self._changed:
            change()
            self._changed.notify_all()

    def take(self) -> Reply:
        """The next scripted answer."""
        with self._changed:
            if self._queue:
                return self._queue.popleft()
            self.unscripted += 1
        return Reply((created(), *message("(no scripted reply left)"), completed()))

    def refusal(self) -> Reply | None:
        """The answer to an upgrade that is not to succeed."""
        return self._refusals.popleft() if self._refusals else None

    def _held(self, name: str, connection: socket.socket) -> bool:
        """Wait at a gate; False if the client hung up or the test is over."""
        while not self.released(name):
            if self._closing.is_set():
                return False
            readable, _, _ = select.select([connection], [], [], 0.01)
            if readable and _gone(connection):
                with self._changed:
                    self.hangups += 1
                    self._changed.notify_all()
                return False
        return True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Quiet: clients hang up whenever a turn is interrupted."""


def _gone(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except OSError:
        return True


def _handler(model: MockModel) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *args: object) -> None:
            """Quiet: the requests are kept."""

        def do_GET(self) -> None:
            if self.headers.get("upgrade", "").lower() != "websocket":
                self._answer(Reply(body=b'{"models": []}'))
            elif refusal := model.refusal():
                self._answer(refusal)
            else:
                self.close_connection = True
                serve(model, self)

        def do_POST(self) -> None:
            self._answer(None)

        def _answer(self, reply: Reply | None) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, body, self.client_address[1])
            model.note(lambda: model.requests.append(request))
            try:
                reply = reply or model.take()
                if reply.body is not None:
                    self._whole(reply, reply.body)
                else:
                    self._stream(reply)
            except OSError:
                self.close_connection = True  # the client hung up: an interrupted turn

        def _whole(self, reply: Reply, body: bytes) -> None:
            self._head(reply, {"content-type": "application/json", "content-length": str(len(body))})
            self.wfile.write(body)

        def _stream(self, reply: Reply) -> None:
            self._head(reply, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
            for step in reply.steps:
                if isinstance(step, Hold):
                    if not model._held(step.name, self.connection):
                        self.close_connection = True
                        return
                elif isinstance(step, Drop):
                    self.close_connection = True
                    if not step.abrupt:
                        self.wfile.write(b"0\r\n\r\n")
                    return
                else:
                    self._chunk(step if isinstance(step, bytes) else sse(step))
            self.wfile.write(b"0\r\n\r\n")

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

        def _head(self, reply: Reply, headers: Mapping[str, str]) -> None:
            self.send_response(reply.status)
            for name, value in {**headers, **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()

    return Handler


def sse(event: Event) -> bytes:
    """An event as a server sends it."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def eventually(check: Any, timeout: float = 5.0) -> bool:
    """Poll until `check()` is true; False if it never was."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.005)
    return bool(check())
