"""What the service counts, for Prometheus; never by link, host, key or caller: those are secret, and without bound.

What happens during a request is also noted in its ``Visit``, from which the access log and ``Server-Timing`` are made.
"""

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

from food_vision import __version__
from food_vision.errors import Problem
from food_vision.intake.fetch import Fetcher
from food_vision.serving.metric_files import figures_of_all, make_room
from food_vision.settings import Settings

STAGES = ("fetch", "decode", "queue", "inference", "explain")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@dataclass(slots=True)
class Visit:
    """What one request has done so far.

    Attributes:
        stages: Seconds by stage, photos of the request added up.
        bytes_fetched: Of all its photos.
        cached: Photos that the response cache knew.
    """

    stages: dict[str, float] = field(default_factory=dict)
    bytes_fetched: int = 0
    cached: int = 0


_CURRENT: ContextVar[Visit] = ContextVar("visit")


class Metrics:
    """The figures of one process, or of all workers that share a folder.

    Args:
        folder: Where several workers keep their figures; ``None`` for one worker.

    Raises:
        StartupError: the folder has no room.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._registry = registry = CollectorRegistry()
        if folder is None:
            ProcessCollector(registry=registry)
        else:
            make_room(folder)
        self._requests = Counter(
            "food_vision_requests", "Requests answered, by outcome.", ["route", "outcome"], registry=registry
        )
        self._request_seconds = Histogram(
            "food_vision_request_seconds", "From arrival to answer.", ["route"], buckets=SECONDS, registry=registry
        )
        self._stage_seconds = Histogram(
            "food_vision_stage_seconds", "Time of a photo in a stage.", ["stage"], buckets=SECONDS, registry=registry
        )
        self._refusals = Counter(
            "food_vision_refusals", "Photos and callers refused, by the problem's code.", ["reason"], registry=registry
        )
        self._bytes_fetched = Counter("food_vision_fetched_bytes", "Bytes of photos fetched.", registry=registry)
        self._batches = Histogram(
            "food_vision_batch_size", "Photos in one inference.", buckets=SIZES, registry=registry
        )
        self._cache = Counter("food_vision_cache_lookups", "Looks into the cache.", ["result"], registry=registry)
        self._requests_inside = self._gauge("requests_in_flight", "Requests not answered yet; probes not counted.")
        self._fetches_inside = self._gauge("fetches_in_flight", "Photos being fetched.")
        self._queue = self._gauge("queue_length", "Photos admitted and not answered yet.")
        self._cache_bytes = self._gauge("cache_bytes", "Memory that the response cache takes.")
        self._gauge("workers", "Processes that serve.").set(1)
        self._name_the_build()
        # Found once: a look-up by labels takes a lock and makes a key.
        self._stages = {stage: self._stage_seconds.labels(stage) for stage in STAGES}

    def name_the_model(self, name: str, version: str, sha256: str, engine: str) -> None:
        """Say which model answers."""
        labels = ["name", "version", "sha256", "engine"]
        self._info("model", "The model that answers.", labels).labels(name, version, sha256, engine).set(1)

    @contextmanager
    def request(self) -> Iterator[Visit]:
        """Count a request as in flight, and begin its visit."""
        visit = Visit()
        _CURRENT.set(visit)
        with self._requests_inside.track_inprogress():
            yield visit

    def answered(self, route: str, outcome: str, seconds: float) -> None:
        """Count a request as answered; ``route`` is a template, never a path."""
        self._requests.labels(route, outcome).inc()
        self._request_seconds.labels(route).observe(seconds)

    def refused(self, problem: Problem) -> None:
        """Count a photo or a caller as refused."""
        self._refusals.labels(problem.code).inc()

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Count the problem that ends the block, if one does."""
        try:
            yield
        except Problem as problem:
            self.refused(problem)
            raise

    @contextmanager
    def photo(self) -> Iterator[None]:
        """Count a photo as inside, and as refused if it ends so."""
        with self.refusals(), self._queue.track_inprogress():
            yield

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """Time and count a fetch, however it ends."""
        with self.timed("fetch"), self.refusals(), self._fetches_inside.track_inprogress():
            yield

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Note how long the block takes, however it ends."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.took(stage, time.perf_counter() - started)

    def took(self, stage: str, seconds: float) -> None:
        """Note the seconds of a photo in one of the ``STAGES``."""
        self._stages[stage].observe(seconds)
        visit = _CURRENT.get(Visit())
        visit.stages[stage] = visit.stages.get(stage, 0.0) + seconds

    def fetched(self, size: int) -> None:
        """Count the bytes of a photo fetched."""
        self._bytes_fetched.inc(size)
        _CURRENT.get(Visit()).bytes_fetched += size

    def cache_holds(self, size: int) -> None:
        """Note how many bytes the response cache takes."""
        self._cache_bytes.set(size)

    def looked_up(self, found: bool) -> None:
        """Count a look into the response cache."""
        self._cache.labels("hit" if found else "miss").inc()
        _CURRENT.get(Visit()).cached += found

    def batch(self, size: int) -> None:
        """Note how many photos run together."""
        self._batches.observe(size)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the figures as Prometheus reads them, and their media type. Blocks while another worker renders."""
        encoder, media_type = choose_encoder(accept)
        if self._folder is None:
            return encoder(self._registry), media_type
        with figures_of_all(self._folder) as registry:
            return encoder(registry), media_type

    def _gauge(self, name: str, help_text: str) -> Gauge:
        gauge = Gauge(f"food_vision_{name}", help_text, registry=self._registry, multiprocess_mode="livesum")
        # A worker may get the process id, and with it the file, of one that died.
        gauge.set(0)
        return gauge

    def _info(self, name: str, help_text: str, labels: list[str]) -> Gauge:
        # The client's own Info does not work with several workers.
        name = f"food_vision_{name}_info"
        return Gauge(name, help_text, labels, registry=self._registry, multiprocess_mode="livemax")

    def _name_the_build(self) -> None:
        info = self._info("build", "The program that serves.", ["version", "python"])
        info.labels(__version__, platform.python_version()).set(1)


class WatchedFetcher(Fetcher):
    """A fetcher whose fetches are timed and counted."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        super().__init__(settings)
        self._metrics = metrics

    async def fetch(self, url: str) -> bytes:
        with self._metrics.fetching():
            data = await super().fetch(url)
        self._metrics.fetched(len(data))
        return data
