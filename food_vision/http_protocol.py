"""HTTP as strangers speak it: heads bounded in size and time, and the number of open connections.

uvicorn's parser keeps a head for as long as it goes on: 110 MB of header lines took 315 MB of memory, and 60 MB of one
URL kept ``/healthz`` waiting for 2.2 s. Bodies are counted and timed by those who read them, in ``food_vision.api``.
"""

import asyncio
import json
import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from food_vision.api.problems import MEDIA_TYPE, problem_body
from food_vision.errors import HeadersTooLarge, Overloaded, Problem, RequestTimeout
from food_vision.logs import write

log = logging.getLogger("food_vision")

LINGER = 1.0
"""Seconds for which a refused caller is still read. One who reads only after having sent everything would lose the
answer to a connection reset."""


@dataclass(frozen=True)
class HeadBounds:
    """What a caller may take before there is a request: bytes, seconds, and connections of all callers together."""

    head_bytes: int
    head_seconds: float
    connections: int
    docs_url: str


class BoundedHttp(HttpToolsProtocol):
    """One connection: uvicorn's own protocol, within ``bounds``.

    Past the bytes the answer is 431, past the seconds 408. Past the connections the one whose caller has kept us
    waiting longest is closed for the new one: a probe gets in, whatever strangers hold.
    """

    def __init__(self, bounds: HeadBounds, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed on as they are
        super().__init__(*args, **kwargs)
        self._bounds = bounds
        self._room = bounds.head_bytes
        self._in_head = self._in_body = self._refused = False
        self._timer: asyncio.TimerHandle | None = None
        self._since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._since = self.loop.time()
        self._start_timer()
        if len(self.connections) > self._bounds.connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # One read may hold more than there is room for. A view, for slices of bytes would copy.
        rest = data if len(data) <= self._room else memoryview(data)
        while rest and not self._refused and not self.transport.is_closing():
            piece, rest = rest[: self._room], rest[self._room :]
            self._feed(piece)

    def _feed(self, piece: bytes | memoryview) -> None:
        """Parse at most as much as there is room for; what is body, or ends a head, gives the room back."""
        self._room -= len(piece)
        # Empty lines before a request are no beginning to the parser. Ours they are: they have stopped the idle timer.
        self._in_head = self._in_head or not self._in_body
        super().data_received(piece)  # type: ignore[arg-type]  # it only hands it to the parser, which takes views
        if self._room <= 0:
            self._refuse(HeadersTooLarge(f"The head of the request has more than {self._bounds.head_bytes} bytes."))
        elif self._in_head and self._timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._room = self._bounds.head_bytes
        self._in_head, self._in_body = False, True
        self._since = self.loop.time()
        self._stop_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        # What is left to count are extensions of chunks, and trailers, which the parser keeps as it keeps headers.
        self._room = self._bounds.head_bytes
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._since = self.loop.time()
        super().on_response_complete()

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _is_callers_turn(self) -> bool:
        """Whether we wait for the caller: to send, or to read what we have sent."""
        return not self._answering or self.cycle.more_body or self.flow.write_paused

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self._bounds.head_seconds, self._overdue)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _overdue(self) -> None:
        self._timer = None
        if self._answering:
            # The next head may be waiting because we have stopped reading, and an answer belongs to the one before.
            self._start_timer()
        elif self._in_head:
            seconds = f"{self._bounds.head_seconds:g} seconds"
            self._refuse(RequestTimeout(f"The head of the request did not arrive within {seconds}."))
        else:
            self.transport.close()

    def _make_room(self) -> None:
        others = [other for other in self.connections if isinstance(other, BoundedHttp) and other is not self]
        idle = [other for other in others if other._is_callers_turn]
        if not idle:
            self._refuse(Overloaded("There are too many connections."))
            return
        oldest = min(idle, key=lambda other: other._since)
        self.connections.discard(oldest)
        oldest.transport.abort()

    def _refuse(self, problem: Problem) -> None:
        """Answer with ``problem``, where no other answer is under way, and end the connection."""
        self._refused = True
        self._stop_timer()
        if self._answering or self.transport.is_closing():
            self.transport.close()
            return
        self.transport.write(b"".join(self._answer(problem)))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER, self.transport.close)

    def _answer(self, problem: Problem) -> Iterator[bytes]:
        request_id = uuid.uuid4().hex
        write(log, logging.INFO, id=request_id, status=problem.status, outcome=problem.code)
        body = json.dumps(problem_body(problem, request_id, self._bounds.docs_url)).encode()
        yield f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\n".encode()
        for name, value in self.server_state.default_headers:
            yield name + b": " + value + b"\r\n"
        if problem.retry_after is not None:
            yield b"retry-after: %d\r\n" % problem.retry_after
        yield f"content-type: {MEDIA_TYPE}\r\nx-request-id: {request_id}\r\n".encode()
        yield b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        yield body
