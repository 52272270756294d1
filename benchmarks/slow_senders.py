"""Five hundred callers who never come to the point, and one who does: how long the one has to wait.

    python -m benchmarks.slow_senders [--senders 500] [--rounds 8]

Starts ``python main.py`` as it is. A round has a normal caller upload a photo, over and over, first alone and then
beside so many connections that trickle heads, bodies, or chunks of bodies, a byte each every half second, or that say
nothing. Both take turns, so that a noisy neighbour hits them alike. Prints the times of the normal caller, and how the
connections ended.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

import uvloop

from benchmarks.load import Answers, Plan, offer, post
from tests.photos import photo
from tests.service import Service, running_service

PHOTO = photo("JPEG", 512, 384)
EVERY = 0.5
Pipe: TypeAlias = "Connection[Any, Any]"
HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\n"
BEGINNINGS = {
    "heads": b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nX-Long: ",
    "bodies": HEAD + b"Content-Length: 1000000\r\n\r\n",
    "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
    "nothing": b"",
}
"""How each kind of slow sender begins; what follows comes a byte at a time."""
MORE = {"heads": b"a", "bodies": b"\xff", "chunks": b"1\r\n\xff\r\n", "nothing": b""}


@dataclass
class Outcome:
    """What the normal caller was told, and how the slow senders ended: by status, 0 for closed without a word."""

    alone: Answers = field(default_factory=Answers)
    beside: Answers = field(default_factory=Answers)
    ends: Counter[tuple[str, int]] = field(default_factory=Counter)
    longest: float = 0.0
    """Seconds that a slow sender lasted at most."""

    def ratio(self, percent: float) -> float:
        """Return how many times as long the normal caller waited."""
        return self.beside.milliseconds(200, percent) / self.alone.milliseconds(200, percent)


def measure(service: Service, senders: int, rounds: int, seconds: float) -> Outcome:
    """Compare a normal caller alone and beside slow senders."""
    port = int(service.url.rpartition(":")[2])
    plan, outcome = Plan(port, post("/v1/predict", PHOTO), seconds, connections=1), Outcome()
    offer(plan)
    for _ in range(rounds):
        outcome.alone.answers += offer(plan).answers
        with slow_senders(port, senders, outcome):
            outcome.beside.answers += offer(plan).answers
    return outcome


@contextlib.contextmanager
def slow_senders(port: int, count: int, outcome: Outcome) -> Iterator[None]:
    """Have so many slow senders in a process of their own; at the end of the block wait until they were cut."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_send_slowly, args=(port, count, theirs))
    process.start()
    ours.recv()
    yield
    ends, longest = ours.recv()
    outcome.ends += ends
    outcome.longest = max(outcome.longest, longest)
    process.join()


def _send_slowly(port: int, count: int, pipe: Pipe) -> None:
    uvloop.run(_crowd(port, count, pipe))


async def _crowd(port: int, count: int, pipe: Pipe) -> None:
    kinds = [kind for kind, _ in zip(cycle(BEGINNINGS), range(count), strict=False)]
    opened = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in kinds))
    began = time.monotonic()
    pipe.send(None)
    found = await asyncio.gather(*(_trickle(kind, *ends) for kind, ends in zip(kinds, opened, strict=True)))
    pipe.send((Counter(zip(kinds, found, strict=True)), time.monotonic() - began))


async def _trickle(kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    """Send a byte at a time until there is an answer or an end; return the status, or 0."""
    answer = asyncio.ensure_future(reader.read(12))
    writer.write(BEGINNINGS[kind])
    await asyncio.sleep(random.uniform(0, EVERY))
    while not answer.done() and not writer.is_closing():
        writer.write(MORE[kind])
        await asyncio.wait({answer}, timeout=EVERY)
    with contextlib.suppress(ConnectionError):
        return int((await answer)[9:12] or 0)
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--senders", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=8)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, running_service(Path(name), {}) as service:
        outcome = measure(service, arguments.senders, arguments.rounds, arguments.seconds)
    print("| normal caller | p50 (ms) | p99 (ms) |\n|---|---|---|")
    for who, answers in (("alone", outcome.alone), (f"beside {arguments.senders}", outcome.beside)):
        print(f"| {who} | {answers.milliseconds(200, 50):.1f} | {answers.milliseconds(200, 99):.1f} |")
    print(f"| ratio | {outcome.ratio(50):.2f} | {outcome.ratio(99):.2f} |\n")
    print("| slow senders of | ended with |\n|---|---|")
    for kind in BEGINNINGS:
        ends = {status or "closed": count for (name, status), count in outcome.ends.items() if name == kind}
        print(f"| {kind} | {', '.join(f'{status}: {count:,}' for status, count in ends.items())} |")
    print(
        f"\nThe last one was cut after {outcome.longest:.1f} s; answers to the normal caller: {outcome.beside.counts}"
    )


if __name__ == "__main__":
    main()
