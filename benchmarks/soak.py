"""Half an hour of mixed traffic: memory, open files and threads stay as they are.

    python -m benchmarks.soak [--minutes 30] [--rate 4] [--folder runs/soak] [--docs docs]

Starts ``python main.py`` and asks for a bit of everything (``benchmarks.soak_traffic``) at a modest rate, so that other
work may go on beside it. Samples the server once a second into ``samples.csv`` of the folder, notes the answers in
``answers.csv``, tests the slope of the second half, and writes ``soak.md`` and ``figures/soak.svg`` of the docs.
The exit status is 1 if something is not flat, or an answer was wrong.
"""

import argparse
import csv
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TextIO

import httpx2

from benchmarks import soak_report
from benchmarks.soak_traffic import LARGE, Kind, Traffic
from benchmarks.watching import watching
from tests.origin import Origin
from tests.service import Service, running_service

CALLERS = 16
SETTINGS = {"FOOD_VISION_ALLOW_NETWORKS": "127.0.0.0/8", "FOOD_VISION_FETCH_TIMEOUT": "3"}
CONNECTION_LOST = -1


class Sample(NamedTuple):
    """The server at a moment: seconds since the start, MB, MB, counts, seconds of processor time."""

    seconds: float
    resident: float
    proportional: float
    files: int
    threads: int
    processor: float


class Heard(NamedTuple):
    """An answer: its kind, status and seconds."""

    kind: str
    status: int
    seconds: float


@dataclass
class Outcome:
    """What was seen."""

    kinds: dict[str, Kind]
    samples: list[Sample] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)

    @property
    def wrong(self) -> Counter[tuple[str, int]]:
        """Answers that should not have been, by kind and status."""
        return Counter((kind, status) for kind, status, _ in self.heard if status not in self.kinds[kind].right)


def soak(service: Service, origin: Origin, minutes: float, rate: float, record: TextIO | None = None) -> Outcome:
    """Ask a service for a bit of everything, ``rate`` times a second."""
    kinds = Traffic(service, origin).kinds()
    outcome = Outcome(kinds)
    with ThreadPoolExecutor(CALLERS) as callers, sampling(service, outcome.samples, record):
        began = time.monotonic()
        for turn, kind in enumerate(order(kinds)):
            due = began + turn / rate
            if due > began + 60 * minutes:
                break
            time.sleep(max(0.0, due - time.monotonic()))
            callers.submit(ask, kind, kinds[kind], outcome.heard)
    return outcome


def order(kinds: dict[str, Kind]) -> Iterator[str]:
    """Yield kinds for ever: each round has all of them by their shares, in an order of its own."""
    chance = random.Random(0)
    a_round = [name for name, kind in kinds.items() for _ in range(kind.share)]
    while True:
        yield from chance.sample(a_round, len(a_round))


def ask(name: str, kind: Kind, heard: list[Heard]) -> None:
    began = time.monotonic()
    try:
        status = kind.ask()
    except httpx2.HTTPError:
        status = CONNECTION_LOST
    heard.append(Heard(name, status, time.monotonic() - began))


@contextmanager
def sampling(service: Service, samples: list[Sample], record: TextIO | None = None) -> Iterator[None]:
    """Look at the server once a second."""
    began = time.monotonic()
    table = csv.writer(record) if record else None
    if table:
        table.writerow(Sample._fields)

    def look() -> None:
        samples.append(sample(service.process.pid, time.monotonic() - began))
        if table and record:
            table.writerow([round(value, 3) for value in samples[-1]])
            record.flush()

    with watching(look, every=1.0):
        yield


def sample(pid: int, seconds: float) -> Sample:
    """Look at a process."""
    process = Path(f"/proc/{pid}")
    rollup = (process / "smaps_rollup").read_text()
    resident, proportional = (int(rollup.split(name)[1].split()[0]) * 1024 / 1e6 for name in ("\nRss:", "\nPss:"))
    files, threads = len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))
    times = (process / "stat").read_text().rpartition(")")[2].split()
    return Sample(seconds, resident, proportional, files, threads, (int(times[11]) + int(times[12])) / 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=4)
    parser.add_argument("--folder", type=Path, default=Path("runs/soak"))
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "large.jpg").write_bytes(LARGE)
    with (
        (folder / "samples.csv").open("w") as record,
        Origin(photos=folder).running() as origin,
        running_service(folder, SETTINGS) as service,
    ):
        outcome = soak(service, origin, arguments.minutes, arguments.rate, record)
    with (folder / "answers.csv").open("w") as record:
        csv.writer(record).writerows([Heard._fields, *outcome.heard])
    report = soak_report.Report(outcome.samples, outcome.heard, outcome.wrong)
    report.write(arguments.docs)
    print(report.page())
    sys.exit(not report.holds)


if __name__ == "__main__":
    main()
