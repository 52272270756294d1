"""One request and its answer over an open connection. h11 reads the protocol; here stand the bounds.

A connection serves one exchange: nothing that one host sent can be taken for another's answer. It is closed, not
drained, whatever happened on it.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import NamedTuple, Self

import h11

from food_vision import __version__
from food_vision.admission import Place
from food_vision.errors import PhotoTooLarge, SourceFailed
from food_vision.intake.connection import Connection
from food_vision.intake.links import Link

MAX_HEADER_BYTES = 32_768
MAX_INTERIM_ANSWERS = 10
"""1xx answers before the real one; an endless row of them is an attack on the processor."""
FREE_PIECES, BYTES_PER_PIECE = 1_000, 1_024
"""A body in crumbs (small chunks) costs more processor time than its size pays for: 8 µs a piece, whatever is in it."""
PIECES_PER_TURN = 16
"""Pieces after which others get their turn. Reading does not wait while bytes are there: ten bodies of 256-byte chunks
let a liveness probe wait for 144 ms."""

HEADERS = [
    ("User-Agent", f"food-vision/{__version__}"),
    ("Accept", "image/jpeg, image/png, image/webp, image/gif, */*;q=0.1"),
    # Decompression bombs need a decompressor; this client has none.
    ("Accept-Encoding", "identity"),
    ("Connection", "close"),
]


class Head(NamedTuple):
    """Status and headers of an answer."""

    status: int
    headers: list[tuple[bytes, bytes]]

    def values(self, name: bytes) -> list[str]:
        """Give a header's values as text, in order; ``name`` in lower case."""
        return [value.decode("utf-8", "replace") for key, value in self.headers if key == name]


class Exchange:
    """A request, its answer's head, its body: to be used in this order, within ``async with``."""

    def __init__(self, connection: Connection, link: Link) -> None:
        self._connection = connection
        self._link = link
        self._protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEADER_BYTES)
        self._declared = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.abort()

    async def get(self) -> Head:
        """Send the request and wait for the head of the answer.

        Raises:
            SourceFailed: what comes back is no HTTP, or its head is out of all proportion.
        """
        headers = [("Host", self._link.authority), *HEADERS]
        with self._source_errors():
            self._send(h11.Request(method="GET", target=self._link.target, headers=headers))
            self._send(h11.EndOfMessage())
            return await self._head()

    async def body(self, limit: int, place: Place) -> bytes:
        """Read the whole body.

        Args:
            limit: Most bytes that are taken, declared or counted.
            place: Holds the bytes as they arrive.

        Raises:
            PhotoTooLarge: more than the limit.
            Overloaded: no room for more bytes beside those of other places.
            SourceFailed: cut short, broken, or in crumbs.
        """
        if self._declared > limit:
            raise _too_large(limit)
        pieces: list[bytes] = []
        received = 0
        with self._source_errors():
            while isinstance(event := await self._next_event(), h11.Data):
                received += len(event.data)
                if received > limit:
                    raise _too_large(limit)
                place.add_bytes(len(event.data))
                pieces.append(event.data)
                if len(pieces) > FREE_PIECES + received // BYTES_PER_PIECE:
                    raise self._failed(f"body in crumbs: {len(pieces)} pieces for {received} bytes")
                if len(pieces) % PIECES_PER_TURN == 0:
                    await asyncio.sleep(0)
        return b"".join(pieces)

    def _send(self, event: h11.Request | h11.EndOfMessage) -> None:
        self._connection.write(self._protocol.send(event) or b"")

    async def _head(self) -> Head:
        for _ in range(MAX_INTERIM_ANSWERS + 1):
            event = await self._next_event()
            if isinstance(event, h11.Response):
                return self._checked(Head(event.status_code, list(event.headers)))
        raise self._failed("too many interim answers")

    def _checked(self, head: Head) -> Head:
        # h11 bounds a head that is not complete yet; one that completes within the last read can still be larger.
        if sum(len(name) + len(value) for name, value in head.headers) > MAX_HEADER_BYTES:
            raise self._failed("too many header bytes")
        self._declared = max(map(int, head.values(b"content-length")), default=0)
        return head

    async def _next_event(self) -> object:
        while (event := self._protocol.next_event()) is h11.NEED_DATA:
            self._protocol.receive_data(await self._connection.read())
        return event

    @contextmanager
    def _source_errors(self) -> Iterator[None]:
        try:
            yield
        except (h11.ProtocolError, OSError) as error:
            raise self._failed(f"{type(error).__name__}: {error}") from None

    def _failed(self, reason: str) -> SourceFailed:
        return SourceFailed(internal=f"{self._link.host}: {reason}")


def _too_large(limit: int) -> PhotoTooLarge:
    return PhotoTooLarge(f"The photo has more than {limit:,} bytes, which is more than are taken.")
