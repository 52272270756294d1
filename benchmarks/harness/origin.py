"""A photo host on loopback, as cheap as Python allows, in a process of its own: what is measured is who fetches.

    GET /NUMBER/ANYTHING.jpg

answers with photo NUMBER of the files named on the command line, whatever the rest says: so each request can name a
photo that was never asked for before, and no cache helps. Prints its port when it listens. Keeps connections that the
caller keeps.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.harness.servers import ROOT

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n%b\r\n"
CLOSE = b"Connection: close\r\n"


class Host(asyncio.Protocol):
    """One connection; takes GET requests without a body."""

    def __init__(self, photos: Sequence[bytes]) -> None:
        self._photos = photos
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no instances of it

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        photo = self._photos[int(head.split(b"/", 2)[1])]
        last = b"connection: close" in head.lower()
        self._transport.write(HEAD % (len(photo), CLOSE if last else b"") + photo)
        if last:
            self._transport.close()


@contextmanager
def running_origin(photos: Sequence[Path]) -> Iterator[str]:
    """Serve the files until the block ends; yield ``http://127.0.0.1:PORT``."""
    command = [sys.executable, "-m", "benchmarks.harness.origin", *(str(photo.resolve()) for photo in photos)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


async def serve(photos: Sequence[bytes]) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Host(photos), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve([Path(name).read_bytes() for name in sys.argv[1:]]))
