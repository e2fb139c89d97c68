"""The reference's terminal client in a tmux of its own, driven by keys and read from the screen."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from types import TracebackType
from typing import Self

from tests.interop.place import Place
from tests.interop.programs import codex, tool

_WIDTH, _HEIGHT = 120, 45


class Terminal:
    """One run of the client, from start to end of the block; a failure inside shows the screen.

    :param shows: what is on the screen once it takes keys, by default the prompt.
    """

    def __init__(self, place: Place, url: str, *args: str, shows: str = "›") -> None:
        self._shows = shows
        # The path of a unix socket must be short.
        self._socket = place.root / f"t{len(list(place.root.glob('t[0-9]*')))}"
        environment = place.environment(CODEX_HOME=str(place.client_home))
        command = [*codex("reference"), *args, "--remote", url]
        self._tmux(
            *("new-session", "-d", "-x", str(_WIDTH), "-y", str(_HEIGHT), "-c", str(place.workspace)),
            shlex.join(["env", "-i", *(f"{name}={value}" for name, value in environment.items()), *command])
            + '; echo "[ended with $?]"',
            *(";", "set-option", "-g", "remain-on-exit", "on"),
            *(";", "set-option", "-g", "history-limit", "5000"),
        )

    def __enter__(self) -> Self:
        try:
            self.wait(self._shows)
        except BaseException as error:
            self._end(error)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        if error is not None:
            error.add_note(f"the screen:\n{self.text()}")
        subprocess.run([tool("tmux"), "-S", str(self._socket), "kill-server"], check=False, capture_output=True)

    def text(self) -> str:
        """Everything on the screen and above it, without empty lines."""
        lines = self._tmux("capture-pane", "-p", "-J", "-S", "-").splitlines()
        return "\n".join(line.rstrip() for line in lines if line.strip())

    def wait(self, wanted: str, timeout: float = 20.0) -> str:
        """Wait until the text is there; gives all there is."""
        end = time.monotonic() + timeout
        while wanted not in (text := self.text()):
            assert time.monotonic() < end, f"{wanted!r} never came"
            time.sleep(0.05)
        return text

    def press(self, *keys: str) -> None:
        """Press keys, by their tmux names."""
        self._tmux("send-keys", *keys)

    def say(self, text: str) -> None:
        """Type a line and send it."""
        self._tmux("send-keys", "-l", text)
        self.press("Enter")

    def exit_status(self) -> int:
        """Wait until the client has ended."""
        ended = re.search(r"\[ended with (\d+)\]", self.wait("[ended with "))
        assert ended
        return int(ended[1])

    def _tmux(self, *args: str) -> str:
        command = [tool("tmux"), "-u", "-S", str(self._socket), "-f", "/dev/null", *args]
        return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout
