"""The control socket of a home, and `app-server proxy`, which joins stdin and stdout to it.

The proxy copies bytes and knows nothing about them: whoever uses it speaks the frames of the socket himself.
"""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

from engine.errors import StartupError

CHUNK = 64 << 10


def default_path(home: Path) -> Path:
    """Where a server of this home listens when no path is given."""
    return home / "app-server-control" / "app-server-control.sock"


def proxy(path: Path, stdin: int = 0, stdout: int = 1) -> None:
    """Copy until the server closes its side; the end of the input closes ours.

    :raises StartupError: when no server answers at the path.
    """
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(str(path))
    except OSError:
        server.close()
        raise StartupError(f"failed to connect to socket at {path}") from None
    with server:
        threading.Thread(target=_send, args=(stdin, server), daemon=True).start()
        while chunk := server.recv(CHUNK):
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(stdout, rest) :]


def _send(stdin: int, server: socket.socket) -> None:
    try:
        while chunk := os.read(stdin, CHUNK):
            server.sendall(chunk)
        server.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the server has closed the socket; the other direction ends the process
