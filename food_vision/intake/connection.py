"""An open connection to a photo's server, read piece by piece.

asyncio's streams would do; but they copy what arrives three times more on its way, and with what they are made of took
a tenth of the event loop's work for a photo behind a link.
"""

import asyncio
from collections import deque
from typing import cast

READ_AHEAD = 65_536
"""Bytes that may wait to be asked for; while there are more, the server is left waiting."""


class Connection(asyncio.Protocol):
    """What one side sends, in the order in which it comes, and a way to answer. For one reader at a time."""

    def __init__(self) -> None:
        self.ahead = 0
        """Bytes that have come and not been read."""
        self._pieces: deque[bytes] = deque()
        self._has_ended = False
        self._error: Exception | None = None
        self._waiting: asyncio.Future[None] | None = None

    def write(self, data: bytes) -> None:
        """Send; waits for nothing, so only for what is short."""
        self._transport.write(data)

    def abort(self) -> None:
        """Be gone at once: to close would be to flush, wait for TLS's goodbye, and keep the socket meanwhile."""
        self._transport.abort()

    async def read(self) -> bytes:
        """Return what came next; nothing at the end.

        Raises:
            OSError: the connection broke, and all that came before is read.
        """
        while not self._pieces:
            if self._error:
                raise self._error
            if self._has_ended:
                return b""
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        piece = self._pieces.popleft()
        self.ahead -= len(piece)
        if self.ahead <= READ_AHEAD < self.ahead + len(piece) and not self._has_ended:
            self._transport.resume_reading()
        return piece

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no instances of it

    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)
        self.ahead += len(data)
        if self.ahead > READ_AHEAD >= self.ahead - len(data):
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._has_ended = True
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self._has_ended, self._error = True, error
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
