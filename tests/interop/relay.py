"""A websocket server process, and a relay in front of it that keeps what its clients and it say to each other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.interop.place import Place
from tests.interop.programs import Engine, codex
from tests.interop.wire import Wire
from tests.mock_model import eventually

_LISTENING = re.compile(r"listening on: ws://127\.0\.0\.1:(\d+)")
_LIMIT = 64 << 20


class Relay:
    """Listens on `url` and passes everything on; `wires` holds the connections in the order they were made."""

    def __init__(self, port: int, checked: bool) -> None:
        self.wires: list[Wire] = []
        self.port = 0
        self._target = f"ws://127.0.0.1:{port}"
        self._checked = checked
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def wire(self) -> Wire:
        """The latest connection."""
        return self.wires[-1]

    def close(self) -> None:
        """Stop; open connections are cut."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()

    def check(self) -> None:
        """Fail if any message of the server broke the published schema."""
        for wire in self.wires:
            wire.check()

    async def _run(self) -> None:
        async with serve(self._relay, "127.0.0.1", 0, max_size=_LIMIT, compression=None) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            self._ready.set()
            await self._over.wait()

    async def _relay(self, client: ServerConnection) -> None:
        wire = Wire(self._checked)
        self.wires.append(wire)
        async with connect(self._target, max_size=_LIMIT, compression=None) as server:

            async def forth() -> None:
                async for message in client:
                    wire.client_says(message)
                    await server.send(message)

            async def back() -> None:
                async for message in server:
                    await client.send(message)
                    wire.server_says(message)

            ways = [asyncio.create_task(forth()), asyncio.create_task(back())]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
                with contextlib.suppress(ConnectionClosed, asyncio.CancelledError):
                    await way


@contextlib.contextmanager
def serving(engine: Engine, place: Place) -> Iterator[Relay]:
    """A server on a home, behind a relay. What ours says is checked against the schema."""
    log = place.root / f"{engine}.log"
    with log.open("ab") as output:
        began = output.tell()
        process = subprocess.Popen(
            [*codex(engine), "app-server", "--listen", "ws://127.0.0.1:0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
            cwd=place.workspace,
            env=place.environment(),
            start_new_session=True,
        )
    try:
        assert eventually(lambda: _port(log, began), 20), log.read_text()
        relay = Relay(_port(log, began), checked=engine == "ours")
        try:
            yield relay
        finally:
            relay.close()
        relay.check()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _port(log: Path, began: int) -> int:
    found = _LISTENING.search(log.read_text()[began:])
    return int(found[1]) if found else 0
