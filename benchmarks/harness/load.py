"""Drives a server with ``wrk`` (``apt-get install wrk``): callers that each ask again as soon as they are answered."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.servers import Request, Server

SCRIPT = Path(__file__).with_name("post.lua")


@dataclass(frozen=True)
class Load:
    """What one run of wrk found.

    Attributes:
        seconds: How long it lasted.
        answers: Answers, failures among them.
        failed: Answers with a status of 400 and more.
        broken: Connections that failed, and answers that did not come within the time.
        mean: Milliseconds.
        percentiles: Milliseconds: the first to the 99th percentile.
    """

    seconds: float
    answers: int
    failed: int
    broken: int
    mean: float
    percentiles: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Good answers per second."""
        return (self.answers - self.failed) / self.seconds

    def percentile(self, percent: int) -> float:
        """Return milliseconds within which ``percent`` of the answers came, 1..99."""
        return self.percentiles[percent - 1]


@dataclass(frozen=True)
class Photos:
    """Where photos are: the origin's URL, and how many it has."""

    origin: str
    count: int

    def link(self, number: int, mark: str) -> str:
        """Return a link to a photo; ``mark`` makes it one that nobody asked for before."""
        return f"{self.origin}/{number % self.count}/{mark}.jpg"


def require_wrk() -> None:
    """End the program with one sentence where there is no wrk."""
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: `apt-get install wrk`.")


def drive(server: Server, request: Request, photos: Photos, callers: int, seconds: float, mark: str) -> Load:
    """Let ``callers`` ask for ``seconds``; ``mark`` must differ from run to run, so that no link comes twice."""
    command = ["wrk", "-t1", f"-c{callers}", f"-d{max(1, round(seconds))}s", "--timeout", "60s", "-s", str(SCRIPT)]
    command += [f"http://127.0.0.1:{server.port}", "--", request.path, request.content_type]
    command += [photos.origin, str(photos.count), mark, request.body, *map(str, request.uploads)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"wrk: {run.stderr.strip() or run.stdout.strip()}")
    found = json.loads(run.stdout.strip().splitlines()[-1])
    return Load(**found | {"percentiles": tuple(found["percentiles"])})
