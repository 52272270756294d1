"""One turn of one server: started, asked by one caller and by several, weighed, stopped."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.load import Load, Photos, drive
from benchmarks.harness.servers import ROOT, Server, running_server
from benchmarks.peers.entrants import Entrant, filled, variables


@dataclass(frozen=True)
class Plan:
    """How long and by how many callers each server is asked in a turn.

    Attributes:
        callers: For the throughput; latency at rest is always that of one caller.
        seconds: Of each of the two runs.
        warm_up: Seconds before them, not counted.
    """

    callers: int
    seconds: float
    warm_up: float


@dataclass(frozen=True)
class Turn:
    """What one turn of a server gave.

    Attributes:
        alone: One caller.
        busy: Several callers.
        first_answer: Seconds from the start of the process.
        memory: Resident megabytes after the load, summed over processes; ``shared_memory`` counts shared pages once.
        processor: Milliseconds of processor time per photo, of the server alone.
    """

    alone: Load
    busy: Load
    first_answer: float
    memory: float
    shared_memory: float
    processor: float


def take_turn(entrant: Entrant, environment: Path, folder: Path, photos: Photos, plan: Plan) -> Turn:
    """Start a server, measure it, stop it.

    Raises:
        RuntimeError: when it does not start, or an answer was not good: then its figures mean nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entrant.prepare(folder)
    command, mark = filled(entrant.command, environment, folder), f"{entrant.name}-{time.time_ns()}"
    ask = entrant.request, photos.link(0, f"{mark}-first")
    with running_server(command, variables(entrant, folder), ROOT, folder / "server.log", ask) as server:
        return _measured(server, entrant, photos, plan, mark)


def _measured(server: Server, entrant: Entrant, photos: Photos, plan: Plan, mark: str) -> Turn:
    def run(callers: int, seconds: float, name: str) -> Load:
        load = drive(server, entrant.request, photos, callers, seconds, f"{mark}-{name}")
        if load.failed or load.broken or not load.answers:
            raise RuntimeError(f"{entrant.label}: {load.failed} of {load.answers} failed, {load.broken} broken")
        return load

    run(plan.callers, plan.warm_up, "warm")
    alone = run(1, plan.seconds, "alone")
    before = server.processor_seconds()
    busy = run(plan.callers, plan.seconds, "busy")
    processor = 1000 * (server.processor_seconds() - before) / busy.answers
    return Turn(alone, busy, server.first_answer, server.megabytes("Rss"), server.megabytes("Pss"), processor)


def middle(turns: Sequence[Turn], figure: Callable[[Turn], float]) -> float:
    """Return the median of a figure over the turns."""
    return statistics.median(map(figure, turns))
