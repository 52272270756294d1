"""Ten times what the server can do: who is let in is served as ever, the others are told to come back.

    python -m benchmarks.overload [--seconds 60] [--times 10] [--crowded-limit N]

Starts ``python main.py`` and uploads one photo of 512 x 384 over and over: by one caller (unloaded), by 16 who wait for
their answers (what the server can do), at ten times that rate whatever comes back, and by one caller again from two
seconds after the end. Callers have a process of their own, on the same processors: what they take, the server lacks.
"""

import argparse
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load import Answers, Plan, offer, post
from benchmarks.memory import photo, resident
from benchmarks.watching import watching
from tests.figures import Figures, figures
from tests.service import Service, running_service

CROWD = 16
CONNECTIONS = 512
PAUSE = 2.0
SIZE = (512, 384)


@dataclass
class Outcome:
    """What was measured, and what was promised of it."""

    alone: Answers
    capacity: Answers
    flood: Answers
    after: Answers
    times: float
    memory: list[float] = field(default_factory=list)
    """Of the server, MB, each half second of the flood."""
    inferences: float = 0.0

    @property
    def slower(self) -> float:
        """How many times as long accepted requests took, at the 99th percentile."""
        return self.flood.milliseconds(200, 99) / self.alone.milliseconds(200, 99)

    @property
    def slower_after(self) -> float:
        return self.after.milliseconds(200, 50) / self.alone.milliseconds(200, 50)

    @property
    def growth(self) -> float:
        """MB by which memory grew from the first quarter of the flood to the last."""
        quarter = max(1, len(self.memory) // 4)
        return sum(self.memory[-quarter:]) / quarter - sum(self.memory[:quarter]) / quarter

    def rows(self) -> Iterator[tuple[str, str]]:
        flood = self.flood
        yield "alone, p50 / p99 (ms)", times_of(self.alone, 200)
        yield "what it can do (photos/s)", f"{self.capacity.rate(200):.0f}"
        yield "offered (requests/s)", f"{sum(flood.rate(status) for status in flood.counts):.0f}"
        yield "answers by status", ", ".join(f"{status}: {count:,}" for status, count in flood.counts.items())
        yield "not sent for want of a connection", f"{flood.unsent:,}"
        yield "accepted (photos/s)", f"{flood.rate(200):.0f}"
        yield "accepted, p50 / p99 (ms)", times_of(flood, 200)
        yield "accepted, p99 to p99 alone", f"{self.slower:.2f}"
        yield "refused, p50 / p99 (ms)", times_of(flood, 503)
        yield "refused within 50 ms", f"{100 * self.share_in_time:.2f} %"
        yield "sender's own lag, p50 / p99 (ms)", f"{flood.lag(50):.1f} / {flood.lag(99):.1f}"
        yield "photos inferred, accepted", f"{self.inferences:,.0f}, {len(flood.of(200)):,}"
        yield "memory, first to last quarter (MB)", f"{self.growth:+.1f} of {max(self.memory, default=0):.0f}"
        yield "2 s after, p50 / p99 (ms)", times_of(self.after, 200)

    @property
    def share_in_time(self) -> float:
        refused = self.flood.of(503)
        return sum(answer.seconds <= 0.05 for answer in refused) / max(1, len(refused))


def measure(service: Service, seconds: float, times: float = 10, warm_up: float = 3) -> Outcome:
    """Flood a running server for so many seconds; a third of that goes into each of the other measurements."""
    port = int(service.url.rpartition(":")[2])
    request = post("/v1/predict", photo(*SIZE))
    short = max(2.0, min(20.0, seconds / 3))
    offer(Plan(port, request, warm_up, CROWD))
    alone = offer(Plan(port, request, short, 1))
    capacity = offer(Plan(port, request, short, CROWD))
    before = figures(service.client)
    memory: list[float] = []
    with watching(lambda: memory.append(resident(service)), every=0.5):
        flood = offer(Plan(port, request, seconds, CONNECTIONS, times * capacity.rate(200)))
    inferences = photos_inferred(figures(service.client)) - photos_inferred(before)
    threading.Event().wait(PAUSE)
    after = offer(Plan(port, request, short, 1))
    return Outcome(alone, capacity, flood, after, times, memory, inferences)


def times_of(answers: Answers, status: int) -> str:
    return f"{answers.milliseconds(status, 50):.1f} / {answers.milliseconds(status, 99):.1f}"


def photos_inferred(found: Figures) -> float:
    return found["food_vision_batch_size_sum"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--times", type=float, default=10)
    parser.add_argument("--crowded-limit", type=int, default=0, help="FOOD_VISION_CROWDED_LIMIT")
    arguments = parser.parse_args()
    settings = {"FOOD_VISION_CROWDED_LIMIT": str(arguments.crowded_limit)}
    with tempfile.TemporaryDirectory() as name, running_service(Path(name), settings) as service:
        outcome = measure(service, arguments.seconds, arguments.times)
    print("| | |\n|---|---|")
    for what, value in outcome.rows():
        print(f"| {what} | {value} |")


if __name__ == "__main__":
    main()
