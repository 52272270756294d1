"""An open connection to a photo's server, read piece by piece.

asyncio's streams would do; but they copy what arrives three times more on its way, and with what they are made of took
an eighth of the event loop's work for a photo behind a link.
"""

import asyncio
import ssl
from collections import deque
from typing import cast

READ_AHEAD = 65_536
"""Bytes that may wait to be asked for; while there are more, the server is left waiting. Not so behind TLS: what is
held back there when the server leaves without TLS's goodbye, as many do, is lost in uvloop."""
FRAMING = 1 << 20
"""Bytes that an answer may have beside its photo: heads, and the sizes of chunks, of which a photo has few."""


class Connection(asyncio.Protocol):
    """What one side sends, in the order in which it comes, and a way to answer. For one reader at a time.

    Args:
        most_bytes: Of a photo. Behind TLS so many may wait to be asked for, with their framing: a reader who takes no
            more than that misses nothing by what is left out.
    """

    def __init__(self, most_bytes: int) -> None:
        self.ahead = 0
        """Bytes that have come and not been read."""
        self._most_ahead = most_bytes + FRAMING
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
        if self._tls is None and self.ahead <= READ_AHEAD < self.ahead + len(piece) and not self._has_ended:
            self._transport.resume_reading()
        return piece

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no instances of it
        self._tls = cast("ssl.SSLObject | None", transport.get_extra_info("ssl_object"))

    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)
        self.ahead += len(data)
        if self._tls is not None and self.ahead > self._most_ahead:
            self._error = self._error or ConnectionAbortedError("more than any photo has, unread")
            self._transport.abort()
        elif self._tls is None and self.ahead > READ_AHEAD >= self.ahead - len(data):
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._end(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error)  # uvloop tells of an end without goodbye by this alone

    def _end(self, error: Exception | None) -> None:
        if not self._has_ended and self._tls is not None and not _said_goodbye(self._tls):
            # Anyone on the way may have cut it (RFC 9112, section 9.8). What tells its own length is read before.
            error = error or ConnectionAbortedError("ended without TLS's goodbye")
        self._has_ended, self._error = True, self._error or error
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def _said_goodbye(tls: ssl.SSLObject) -> bool:
    try:
        return tls.read(1) == b""
    except ssl.SSLError:  # it would wait for more
        return False
