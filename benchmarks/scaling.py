"""How cost grows: with workers, the photo's size and the queue's length: ``python -m benchmarks.scaling [--short]``.

Ours, asked by upload: by 16 callers for workers and sizes, by up to 256 to fill the queue. Writes the tables, the plots
and the advice that follows from them to docs/scaling.md. Four minutes; ``--short`` asks for seconds and writes nothing.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.charts import curves
from benchmarks.harness.load import Load, Photos, drive, require_wrk
from benchmarks.harness.ours import by_upload, running_ours
from benchmarks.harness.photos import write_photos
from benchmarks.harness.report import draw, machine, table, write_section
from benchmarks.harness.servers import ROOT

PAGE = ROOT / "docs" / "scaling.md"
SIZES = {
    "64 x 64": (64, 64),
    "640 x 480": (640, 480),
    "1600 x 1200": (1600, 1200),
    "12 MP": (4032, 3024),
    "36 MP": (7360, 4912),
}
ORDINARY, PHONE = "640 x 480", "12 MP"
WORKERS, INSIDE = (1, 2, 3, 4), (1, 4, 16, 64, 256)
CALLERS = 16
ROOM = {"FOOD_VISION_QUEUE_LIMIT": 1024}
ROUNDS, SECONDS = 3, 3.0
PHOTOS = 8
"""Of each size: about some of them the model asks twice."""
PROCESSORS = len(os.sched_getaffinity(0))
LOADS = (1, 10, 50, 200, 1000)
HEADROOM = 0.6
"""How much of its throughput a machine should be planned with: beyond it, waiting grows faster than the load."""


@dataclass(frozen=True)
class Cost:
    """Medians over the rounds of one setting.

    Attributes:
        rate: Good answers per second.
        p50: Milliseconds; ``p99`` too.
        refused: Share of answers that were refusals, 0..1.
        processor: Milliseconds of processor time per good answer.
        memory: Megabytes after it, pages that processes share counted once.
    """

    rate: float
    p50: float
    p99: float
    refused: float
    processor: float
    memory: float


Costs = Mapping[str, Cost]


@dataclass(frozen=True)
class Plan:
    """How long each setting is asked."""

    rounds: int
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a second each; writes nothing")
    short = parser.parse_args().short
    require_wrk()
    plan = Plan(1, 1.0) if short else Plan(ROUNDS, SECONDS)
    with tempfile.TemporaryDirectory(prefix="scaling-") as name:
        files = {size: write_photos(Path(name), *pixels, PHOTOS) for size, pixels in SIZES.items()}
        workers = {str(n): _cost(files[ORDINARY], _shared_out(n), CALLERS, plan) for n in WORKERS}
        sizes = {size: _cost(some, {}, CALLERS, plan) for size, some in files.items()}
        queues = {str(n): _cost(files[ORDINARY], ROOM, n, plan) for n in INSIDE}
    tables, advice = _tables(workers, sizes, queues), _advice(workers, sizes)
    print(tables, advice, sep="\n\n")
    if not short:
        write_section(PAGE, "curves", "\n\n".join([tables, *_plots(workers, sizes, queues)]))
        write_section(PAGE, "advice", advice)


def _shared_out(workers: int) -> dict[str, int]:
    """Return settings for so many workers; they share out the processors."""
    threads = max(1, PROCESSORS // workers)
    names = ("FOOD_VISION_INFERENCE_THREADS", "FOOD_VISION_DECODE_THREADS")
    return {"WEB_CONCURRENCY": workers} | dict.fromkeys(names, threads)


def _cost(photos: Sequence[Path], settings: Mapping[str, int], callers: int, plan: Plan) -> Cost:
    request = by_upload(*photos)
    with tempfile.TemporaryDirectory() as folder, running_ours(Path(folder), (request, ""), settings) as server:
        drive(server, request, Photos("", 1), callers, 1, "warm")
        loads, processor = [], []
        for turn in range(plan.rounds):
            before = server.processor_seconds()
            loads.append(drive(server, request, Photos("", 1), callers, plan.seconds, str(turn)))
            good = loads[-1].answers - loads[-1].failed
            processor.append(1000 * (server.processor_seconds() - before) / max(good, 1))
        return _medians(loads, statistics.median(processor), server.megabytes("Pss"))


def _medians(loads: Sequence[Load], processor: float, memory: float) -> Cost:
    def middle(values: Iterable[float]) -> float:
        return statistics.median(list(values))

    rate, refused = middle(load.rate for load in loads), middle(load.failed / max(load.answers, 1) for load in loads)
    p50, p99 = (middle(load.percentile(percent) for load in loads) for percent in (50, 99))
    return Cost(rate, p50, p99, refused, processor, memory)


def _tables(workers: Costs, sizes: Costs, queues: Costs) -> str:
    parts = [f"{machine()}. Medians; photos of {ORDINARY} by upload where nothing else is said."]
    parts += [f"By workers, which share out the processors; {CALLERS} callers:", _table("workers", workers)]
    parts += [f"By the photo's size; {CALLERS} callers:", _table("photo", sizes)]
    parts += ["By how many photos are inside at once, one per caller:", _table("photos inside", queues)]
    return "\n\n".join(parts)


def _table(first: str, costs: Costs) -> str:
    head = [first, "photos/s", "p50, p99 ms", "refused %", "processor ms per photo", "memory MB"]
    rows = (
        [
            name,
            f"{c.rate:.1f}",
            f"{c.p50:.0f}, {c.p99:.0f}",
            f"{100 * c.refused:.0f}",
            f"{c.processor:.1f}",
            f"{c.memory:.0f}",
        ]
        for name, c in costs.items()
    )
    return table(head, rows)


def _advice(workers: Costs, sizes: Costs) -> str:
    ordinary, phone = (sizes[size].rate / PROCESSORS for size in (ORDINARY, PHONE))
    more = (workers["2"].memory - workers["1"].memory) if "2" in workers else 0
    lines = [
        f"- A processor gives {ordinary:.0f} photos a second of {ORDINARY}, and {phone:.0f} of {PHONE}.",
        f"- A worker takes {workers['1'].memory:.0f} MB, each further one {more:.0f} MB.",
        f"- Best here: {max(workers, key=lambda n: workers[n].rate)} workers on {PROCESSORS} processors; "
        f"two give {workers['2'].rate / workers['1'].rate:.2f} times what one gives.",
    ]
    head = ["photos a second, at peak", f"processors for {ORDINARY}", f"processors for {PHONE}"]
    rows = [[str(load), *(f"{_processors(load, rate)}" for rate in (ordinary, phone))] for load in LOADS]
    planned = f"Processors to have, each planned with {HEADROOM:.0%} of what it can:"
    return "\n".join(lines) + f"\n\n{planned}\n\n{table(head, rows)}"


def _processors(load: float, rate: float) -> int:
    return -int(-load // (HEADROOM * rate))


def _plots(workers: Costs, sizes: Costs, queues: Costs) -> Iterator[str]:
    title, points = "Throughput against workers", {"photos/s": [(float(n), cost.rate) for n, cost in workers.items()]}
    yield draw("scaling-workers", title, curves(title, "workers", "photos/s", points, log_x=False, log_y=False))
    pixels = {size: width * height / 1e6 for size, (width, height) in SIZES.items()}
    title, points = "Throughput against the photo's size", {"photos/s": [(pixels[s], c.rate) for s, c in sizes.items()]}
    yield draw("scaling-size", title, curves(title, "megapixels", "photos/s", points, log_x=True, log_y=True))
    waits = {f"p{n}": [(float(q), getattr(cost, f"p{n}")) for q, cost in queues.items()] for n in (50, 99)}
    title = "Waiting against photos inside"
    yield draw("scaling-queue", title, curves(title, "photos inside at once", "ms", waits, log_x=True, log_y=True))


if __name__ == "__main__":
    main()
