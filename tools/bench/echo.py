"""A process that asks a model endpoint and passes on what comes, byte for byte: `echo.py BASE_URL`.

The least that can stand between a model and a client; run by its path, so that it imports nothing else.
"""

from __future__ import annotations

import asyncio
import os
import sys
from urllib.parse import urlsplit


class Echo(asyncio.Protocol):
    """Writes to standard output what it receives, up to the end of the reply."""

    def __init__(self) -> None:
        self.over = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(1, rest) :]
        if data.endswith(b"0\r\n\r\n") and not self.over.done():
            self.over.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


async def main(base_url: str) -> None:
    """Ask once."""
    url = urlsplit(base_url)
    transport, echo = await asyncio.get_running_loop().create_connection(Echo, url.hostname or "", url.port or 80)
    transport.write(f"POST {url.path}/responses HTTP/1.1\r\nhost: {url.netloc}\r\ncontent-length: 0\r\n\r\n".encode())
    await echo.over
    transport.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
