"""Callers for the other benchmarks, light enough to share a small machine with the server that they measure.

``offer`` sends a request over and over, in a process of its own: either so many callers each wait for their answer and
ask again, or requests go out at a rate whatever becomes of the earlier ones, as a crowd of strangers sends them.
"""

import asyncio
import random
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import NamedTuple, cast

import numpy as np
import uvloop

TICK = 0.001
LAST_ANSWERS = 10.0
"""Seconds for which answers are waited on when the time is over."""


@dataclass(frozen=True)
class Plan:
    """What is asked, by whom, and for how long.

    Attributes:
        request: Head and body, as they go over the wire.
        connections: Kept open; without a rate each is a caller who waits for the answer and asks again.
        rate: Requests per second, at random moments; ``None`` for as fast as the answers come.
    """

    port: int
    request: bytes
    seconds: float
    connections: int
    rate: float | None = None


class Answer(NamedTuple):
    """What became of a request.

    Attributes:
        status: 0 where the connection was lost instead.
        sent: By ``time.monotonic``.
        seconds: From sending to the whole answer.
        retry_after: Whether it says when to come back.
        late: Seconds by which the sender itself was late.
    """

    status: int
    sent: float
    seconds: float
    retry_after: bool
    late: float


@dataclass
class Answers:
    """What became of all."""

    answers: list[Answer] = field(default_factory=list)
    unsent: int = 0
    """Requests that found no free connection."""

    def of(self, status: int) -> list[Answer]:
        return [answer for answer in self.answers if answer.status == status]

    def after(self, seconds: float) -> "Answers":
        """Return those to requests sent later than that after the first."""
        first = min(answer.sent for answer in self.answers)
        return Answers([answer for answer in self.answers if answer.sent > first + seconds], self.unsent)

    def rate(self, status: int) -> float:
        """Return the answers of a status per second."""
        sent = [answer.sent for answer in self.answers]
        return len(self.of(status)) / (max(sent) - min(sent))

    def milliseconds(self, status: int, percent: float) -> float:
        """Return a percentile of the time that answers of a status took."""
        return 1000 * percentile([answer.seconds for answer in self.of(status)], percent)

    def lag(self, percent: float) -> float:
        """Return a percentile of the milliseconds by which the sender was late."""
        return 1000 * percentile([answer.late for answer in self.answers], percent)

    @property
    def counts(self) -> dict[int, int]:
        """Answers by status."""
        found = [answer.status for answer in self.answers]
        return {status: found.count(status) for status in sorted(set(found))}


def percentile(values: list[float], percent: float) -> float:
    return float(np.percentile(values, percent)) if values else float("nan")


def post(path: str, body: bytes, media_type: str = "image/jpeg") -> bytes:
    """Return a request as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def offer(plan: Plan) -> Answers:
    """Carry out a plan in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(carry_out, plan).result()


def carry_out(plan: Plan) -> Answers:
    """Carry out a plan in this process."""
    return uvloop.run(_Crowd(plan).ask())


class _Crowd:
    """All connections, and what was heard on them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.heard = Answers()
        # In turns: the last one free again would leave others idle until the server closes them, just as they are used.
        self.free: deque[_Caller] = deque()
        self.callers: set[_Caller] = set()
        self.end = float("inf")
        self._opening: set[asyncio.Task[object]] = set()

    async def ask(self) -> Answers:
        await asyncio.gather(*(self._connect() for _ in range(self.plan.connections)))
        self.end = time.monotonic() + self.plan.seconds
        if self.plan.rate is None:
            while self.free:
                self.free.popleft().ask()
            await asyncio.sleep(self.plan.seconds)
        else:
            await self._ask_at(self.plan.rate)
        await self._hear_the_rest()
        return self.heard

    async def _ask_at(self, rate: float) -> None:
        chance = random.Random(0)
        due = time.monotonic()
        while due < self.end:
            now = time.monotonic()
            while due <= now and due < self.end:
                if self.free:
                    self.free.popleft().ask(due)
                else:
                    self.heard.unsent += 1
                due += chance.expovariate(rate)
            await asyncio.sleep(TICK)

    async def _hear_the_rest(self) -> None:
        patience = time.monotonic() + LAST_ANSWERS
        while any(caller.asked for caller in self.callers) and time.monotonic() < patience:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for caller in list(self.callers):
            caller.leave()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: _Caller(self), "127.0.0.1", self.plan.port)

    def answered(self, caller: "_Caller", answer: Answer) -> None:
        self.heard.answers.append(answer)
        if answer.status and caller.is_open:
            if self.plan.rate is not None:
                self.free.append(caller)
            elif time.monotonic() < self.end:
                caller.ask()

    def came(self, caller: "_Caller") -> None:
        self.callers.add(caller)
        if self.plan.rate is None and self.end < float("inf"):
            caller.ask()
        else:
            self.free.append(caller)

    def left(self, caller: "_Caller") -> None:
        self.callers.discard(caller)
        if caller in self.free:
            self.free.remove(caller)
        if time.monotonic() < self.end:
            opening: asyncio.Task[object] = asyncio.ensure_future(self._connect())
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)


class _Caller(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, crowd: _Crowd) -> None:
        self._crowd = crowd
        self._received = b""
        self._sent = self._late = 0.0
        self.asked = False
        self.is_open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._crowd.came(self)

    def ask(self, due: float | None = None) -> None:
        self.asked = True
        self._sent = time.monotonic()
        self._late = self._sent - (due or self._sent)
        self._transport.write(self._crowd.plan.request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end and len(body) >= _length(head):
            self.is_open = b"connection: close" not in head.lower()
            self._hear(int(head[9:12]), b"retry-after: " in head.lower())

    def connection_lost(self, _: Exception | None) -> None:
        self.is_open = False
        if self.asked:
            self._hear(0, False)
        self._crowd.left(self)

    def leave(self) -> None:
        self._transport.abort()

    def _hear(self, status: int, retry_after: bool) -> None:
        self.asked, self._received = False, b""
        took = time.monotonic() - self._sent
        self._crowd.answered(self, Answer(status, self._sent, took, retry_after, self._late))


def _length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length: ")
    return int(rest.partition(b"\r\n")[0] or 0)
