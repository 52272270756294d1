"""Ours stays far ahead of the tutorial's way: ratios within one run, never times, so that any machine will do.

All figures, and other servers too: ``python -m benchmarks.peers``.
"""

import statistics
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from importlib.util import find_spec
from itertools import count

import pytest

from benchmarks.harness.load import Photos
from benchmarks.harness.origin import running_origin
from benchmarks.harness.ours import BY_LINK, running_ours
from benchmarks.harness.photos import write_photos
from benchmarks.harness.servers import ROOT, Server, ask, running_server

LEAST_THROUGHPUT, MOST_MEMORY = 8, 1 / 2
CALLERS, ROUNDS, SECONDS, PHOTOS = 8, 5, 1.5, 8

pytestmark = pytest.mark.skipif(
    not all(map(find_spec, ("tensorflow", "keras", "h5py"))), reason="TensorFlow is not installed"
)


@dataclass
class Side:
    """A server and its photos per second, round by round."""

    server: Server
    rates: list[float] = field(default_factory=list)


@dataclass
class Race:
    ours: Side
    tutorial: Side


@pytest.fixture(scope="module")
def race(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Race]:
    """Both servers, having answered in turn."""
    folder = tmp_path_factory.mktemp("race")
    with ExitStack() as stack:
        photos = Photos(stack.enter_context(running_origin(write_photos(folder, 640, 480, PHOTOS))), PHOTOS)
        ours = stack.enter_context(running_ours(folder, (BY_LINK, photos.link(0, "ours"))))
        command = [sys.executable, "-m", "uvicorn", "benchmarks.peers.tutorial:app", "--port", "{port}"]
        variables = {"KERAS_HOME": str(folder), "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
        ask = BY_LINK, photos.link(0, "tutorial")
        tutorial = stack.enter_context(running_server(command, variables, ROOT, folder / "tutorial.log", ask))
        found = Race(Side(ours), Side(tutorial))
        marks = count()
        for turn in range(ROUNDS + 1):
            for side in (found.ours, found.tutorial):
                rate = photos_per_second(side.server, photos, marks)
                if turn:  # the first warms up
                    side.rates.append(rate)
        yield found


def photos_per_second(server: Server, photos: Photos, marks: Iterator[int]) -> float:
    """Let some callers ask for photos that nobody asked for before, each as soon as it has its answer.

    They stay connected, as programs do: connecting anew costs the callers more than the server, on the same processors.
    """
    started = time.perf_counter()

    def ask_on(_: int) -> int:
        answers = 0
        with closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
            while time.perf_counter() - started < SECONDS:
                status, body = ask(connection, BY_LINK, photos.link(mark := next(marks), str(mark)))
                assert status == 200, body
                answers += 1
        return answers

    with ThreadPoolExecutor(CALLERS) as callers:
        answers = sum(callers.map(ask_on, range(CALLERS)))
    return answers / (time.perf_counter() - started)


def test_throughput_is_a_multiple_of_the_tutorials(race: Race) -> None:
    assert times_the_tutorials(race) >= LEAST_THROUGHPUT, (race.ours.rates, race.tutorial.rates)


def times_the_tutorials(race: Race) -> float:
    """Return the median of the rounds' ratios."""
    pairs = zip(race.ours.rates, race.tutorial.rates, strict=True)
    return statistics.median(ours / tutorial for ours, tutorial in pairs)


def test_memory_is_a_part_of_the_tutorials(race: Race) -> None:
    ours, tutorial = race.ours.server.megabytes(), race.tutorial.server.megabytes()
    assert 0 < ours <= MOST_MEMORY * tutorial, f"{ours:.0f} MB beside {tutorial:.0f} MB"
