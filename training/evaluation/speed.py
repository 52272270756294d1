"""Milliseconds of one photo by engine and threads.

Every engine lives in a process of its own and is asked for a few photos in turn, round after round, so that whatever
else the machine does meets all of them alike.
"""

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from food_vision.model.bundle import load_bundle
from food_vision.model.engine import open_engine
from food_vision.settings import Settings
from training.evaluation.compare import Other
from training.evaluation.facts import Speed

ROUNDS, PHOTOS = 15, 8
"""Rounds, and photos that an engine is asked for in each."""
Pixels = NDArray[np.uint8]


class Entrant(NamedTuple):
    """An engine, its threads, and for the fast one another file than the model's."""

    engine: str
    threads: int
    other: Other | None = None


def race(weights: Path, entrants: Sequence[Entrant], pixels: Pixels, rounds: int) -> list[Speed]:
    """Return what each entrant takes for one of the photos ``uint8[N, S, S, 3]``, asked one after the other."""
    with ExitStack() as stack:
        runners = [stack.enter_context(_runner(weights, entrant, pixels)) for entrant in entrants]
        names = [_answer(runner) for runner in runners]
        times: list[list[float]] = [[] for _ in runners]
        for _ in range(rounds):
            for runner, taken in zip(runners, times, strict=True):
                runner.send(True)
                taken.append(float(_answer(runner)))
    return [
        _speed(str(name), entrant, taken, rounds * len(pixels))
        for name, entrant, taken in zip(names, entrants, times, strict=True)
    ]


def _speed(name: str, entrant: Entrant, taken: list[float], photos: int) -> Speed:
    low, median, high = np.quantile(taken, (0.25, 0.5, 0.75))
    return Speed(
        engine=name, threads=entrant.threads, median=float(median), low=float(low), high=float(high), photos=photos
    )


@contextmanager
def _runner(weights: Path, entrant: Entrant, pixels: Pixels) -> Iterator[Connection]:
    # Spawned, not forked: TensorFlow and ONNX Runtime have threads of their own, which a fork would not bring along.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, weights, entrant, pixels), daemon=True)
    process.start()
    theirs.close()  # so that a process that dies is noticed as the end of the pipe
    try:
        yield ours
    finally:
        ours.close()
        process.join()


def _run(pipe: Connection, weights: Path, entrant: Entrant, pixels: Pixels) -> None:
    """Live as one engine: send its name, then for each message the median milliseconds of a photo."""
    bundle = load_bundle(weights)
    settings = Settings.model_validate(
        {"model": weights, "engine": entrant.engine, "inference_threads": entrant.threads}
    )
    engine = open_engine(entrant.other.instead(bundle) if entrant.other else bundle, settings)
    pipe.send(engine.name)
    while _wanted(pipe):
        taken = []
        for photo in pixels:
            start = time.perf_counter()
            engine.predict(photo[np.newaxis])
            taken.append(1000 * (time.perf_counter() - start))
        pipe.send(float(np.median(taken)))


def _wanted(pipe: Connection) -> bool:
    try:
        return bool(pipe.recv())
    except EOFError:
        return False


def _answer(pipe: Connection) -> str | float:
    answer = pipe.recv()
    if not isinstance(answer, str | float):
        raise TypeError(f"an engine answered {answer!r}")
    return answer
