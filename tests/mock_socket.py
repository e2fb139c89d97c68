"""The websocket side of the mock model: answers upgrades, plays the same scripted replies as one text frame
per event, and keeps what it got. Frames that only warm up (`"generate": false`) are answered by
themselves."""

import json
import select
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from websockets.frames import Frame, Opcode
from websockets.http11 import Request as Upgrade
from websockets.server import ServerProtocol

if TYPE_CHECKING:
    from tests.mock_model import MockModel


@dataclass
class Socket:
    """One accepted connection: headers of its upgrade (lower case), the frames that came, whether it is
    gone."""

    headers: dict[str, str]
    frames: list[dict[str, Any]] = field(default_factory=list)
    closed: bool = False

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The frames that ask for a reply."""
        return [frame for frame in self.frames if frame.get("generate") is not False]


def serve(model: "MockModel", handler: BaseHTTPRequestHandler) -> None:
    """Take over the handler's connection until either side closes it."""
    protocol = ServerProtocol(max_size=None)
    lines = [f"GET {handler.path} HTTP/1.1", *(f"{name}: {value}" for name, value in handler.headers.items())]
    protocol.receive_data("\r\n".join([*lines, "", ""]).encode())
    (upgrade,) = protocol.events_received()
    assert isinstance(upgrade, Upgrade)
    response = protocol.accept(upgrade)
    for name, value in model.upgrade_headers.items():
        response.headers[name] = value
    protocol.send_response(response)
    kept = Socket({name.lower(): value for name, value in handler.headers.items()})
    connection = Connection(model, handler, protocol, kept)
    model.note(lambda: model.sockets.append(kept))
    try:
        connection.flush()
        connection.run()
    except OSError:
        pass  # the client hung up
    finally:
        model.note(lambda: setattr(kept, "closed", True))


class Connection:
    """Drives the protocol over the handler's blocking socket."""

    def __init__(
        self, model: "MockModel", handler: BaseHTTPRequestHandler, protocol: ServerProtocol, kept: Socket
    ) -> None:
        self._model = model
        self._socket = handler.connection
        self._protocol = protocol
        self._kept = kept
        self._text = b""

    def run(self) -> None:
        """Answer frames until the connection ends."""
        while self.alive():
            self._pump(0.02)
            for event in self._protocol.events_received():
                if isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.CONT):
                    self._text += event.data
                    if event.fin:
                        self._answer(json.loads(self._text))
                        self._text = b""

    def alive(self) -> bool:
        """Is there still anybody to talk to?"""
        return not (self._model.closing or self._protocol.close_expected())

    def flush(self) -> None:
        """Send what the protocol has to say."""
        for data in self._protocol.data_to_send():
            if data:
                self._socket.sendall(data)

    def _answer(self, frame: dict[str, Any]) -> None:
        self._model.note(lambda: self._kept.frames.append(frame))
        if frame.get("generate") is False:
            self._play([{"type": "response.created", "response": {"id": "warm"}}, _DONE])
        else:
            self._play(list(self._model.take().steps))

    def _play(self, steps: "list[Any]") -> None:
        from tests.mock_model import Drop, Hold

        for step in steps:
            if isinstance(step, Hold):
                while self.alive() and not self._model.released(step.name):
                    self._pump(0.01)
            elif isinstance(step, Drop):
                if step.abrupt:
                    self._socket.close()
                    raise ConnectionAbortedError
                self._protocol.send_close(1000)
                self.flush()
                return
            else:
                self._protocol.send_text(step if isinstance(step, bytes) else json.dumps(step).encode())
                self.flush()

    def _pump(self, seconds: float) -> None:
        readable, _, _ = select.select([self._socket], [], [], seconds)
        if readable:
            data = self._socket.recv(1 << 16)
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
                raise ConnectionAbortedError
            self.flush()


_DONE = {"type": "response.completed", "response": {"id": "warm"}}
