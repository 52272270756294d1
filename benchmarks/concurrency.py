"""Does batching help, and what does it cost when idle: ``python -m benchmarks.concurrency [--short]``.

Ours with different settings, asked by 1, 2, 4 … 256 callers who upload photos of 640 x 480; the variants take turns at
each number of callers, and each has its queue long enough for all. The engine takes a batch photo by photo
(docs/decisions/001), so that a batch saves hand-overs between threads and nothing else. Writes the table to
docs/benchmarks.md and two plots. Six minutes; ``--short`` asks for seconds and writes nothing.
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.harness.charts import curves
from benchmarks.harness.load import Load, Photos, drive, require_wrk
from benchmarks.harness.ours import by_upload, figures, running_ours
from benchmarks.harness.photos import write_photos
from benchmarks.harness.report import draw, machine, table, write_section
from benchmarks.harness.servers import ROOT, Request, Server

ROOM = {"FOOD_VISION_QUEUE_LIMIT": 1024, "FOOD_VISION_QUEUE_BYTES": 1_000_000_000}
VARIANTS: Mapping[str, Mapping[str, int]] = {
    "no batches": {"FOOD_VISION_MAX_BATCH": 1},
    "at most 8 (default)": {"FOOD_VISION_MAX_BATCH": 8},
    "at most 32": {"FOOD_VISION_MAX_BATCH": 32},
    "at most 8, one lane": {"FOOD_VISION_MAX_BATCH": 8, "FOOD_VISION_INFERENCE_THREADS": 1},
    "two workers, one lane each": {
        "WEB_CONCURRENCY": 2,
        "FOOD_VISION_INFERENCE_THREADS": 1,
        "FOOD_VISION_DECODE_THREADS": 1,
    },
}
CALLERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
ROUNDS, SECONDS = 3, 2.0
PHOTOS = 16


@dataclass
class Curve:
    """What one variant gave, by the number of callers: a load for each round, and the mean size of its batches."""

    loads: dict[int, list[Load]] = field(default_factory=dict)
    batches: dict[int, float] = field(default_factory=dict)

    def rate(self, callers: int) -> float:
        return statistics.median(load.rate for load in self.loads[callers])

    def percentile(self, callers: int, percent: int) -> float:
        return statistics.median(load.percentile(percent) for load in self.loads[callers])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="one round of a second, few callers; writes nothing")
    short = parser.parse_args().short
    require_wrk()
    found = measure((1, 8, 64), 1, 1.0) if short else measure(CALLERS, ROUNDS, SECONDS)
    text = report(found)
    print(text)
    if not short:
        write_section(ROOT / "docs" / "benchmarks.md", "concurrency", "\n\n".join([text, *_plots(found)]))


def measure(callers: Sequence[int], rounds: int, seconds: float) -> dict[str, Curve]:
    """Start every variant, and let them take turns; those whose turn it is not are idle."""
    found = {name: Curve() for name in VARIANTS}
    with tempfile.TemporaryDirectory(prefix="concurrency-") as name, ExitStack() as stack:
        folder = Path(name)
        request = by_upload(*write_photos(folder, 640, 480, PHOTOS))
        ask = request, ""
        servers = {
            variant: stack.enter_context(running_ours(folder, ask, {**ROOM, **settings}))
            for variant, settings in VARIANTS.items()
        }
        for count in callers:
            for turn in range(rounds):
                for variant, server in servers.items():
                    _take_turn(found[variant], server, request, count, seconds, f"{variant[:2]}{turn}")
    return found


def _take_turn(curve: Curve, server: Server, request: Request, callers: int, seconds: float, mark: str) -> None:
    before = figures(server)
    load = drive(server, request, Photos("", 1), callers, seconds, mark)
    assert not load.failed + load.broken, load
    after = figures(server)
    curve.loads.setdefault(callers, []).append(load)
    photos, runs = (
        after[name] - before[name] for name in ("food_vision_batch_size_sum{}", "food_vision_batch_size_count{}")
    )
    curve.batches[callers] = photos / runs


def report(found: Mapping[str, Curve]) -> str:
    """Return a table for the rates, and one for how long callers wait."""
    callers = list(next(iter(found.values())).loads)
    head = ["callers", *found]
    rates = [[str(n), *(f"{c.rate(n):.0f} (batches of {c.batches[n]:.1f})" for c in found.values())] for n in callers]
    waits = [[str(n), *(_wait(curve, n) for curve in found.values())] for n in callers]
    return "\n\n".join([f"{machine()}.", "Photos per second:", table(head, rates), "ms: p50, p99:", table(head, waits)])


def _wait(curve: Curve, callers: int) -> str:
    return f"{curve.percentile(callers, 50):.1f}, {curve.percentile(callers, 99):.1f}"


def _plots(found: Mapping[str, Curve]) -> Iterator[str]:
    rates = {name: [(float(n), curve.rate(n)) for n in curve.loads] for name, curve in found.items()}
    waits = {name: [(float(n), curve.percentile(n, 99)) for n in curve.loads] for name, curve in found.items()}
    title = "Throughput against callers"
    yield draw("concurrency-throughput", title, curves(title, "callers", "photos/s", rates, log_x=True, log_y=False))
    title = "What 99 of 100 callers wait at most"
    yield draw("concurrency-p99", title, curves(title, "callers", "ms", waits, log_x=True, log_y=True))


if __name__ == "__main__":
    main()
