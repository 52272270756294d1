"""The one path from a photo's bytes to an answer; the API, the command line and the benchmarks all take it."""

import asyncio
import contextlib
import hashlib
import math
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from food_vision.admission import Admission, Place, run_holding
from food_vision.intake.decode import Photo, PhotoLimits, decode
from food_vision.intake.formats import Format
from food_vision.intake.memory import MemoryBudget
from food_vision.model.bundle import Bundle
from food_vision.model.engine import Engine
from food_vision.model.explain import overlay, weights, with_parts_hidden
from food_vision.model.scores import Scorer, Scores
from food_vision.serving.batching import Batcher, Inferred
from food_vision.serving.metrics import Metrics
from food_vision.serving.protection import ResponseCache

DECODER_NICENESS = 10


@dataclass(frozen=True, slots=True)
class Timings:
    """Where a photo's time went, in seconds."""

    decode: float
    queue: float
    inference: float


@dataclass(frozen=True, slots=True)
class Original:
    """The photo as it was sent: width and height in pixels when upright, its format, and the SHA-256 of its bytes."""

    width: int
    height: int
    format: Format
    sha256: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What there is to say about one photo."""

    scores: Scores
    photo: Original
    timings: Timings


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """An answer, and what it rests on.

    Attributes:
        answer: As without an explanation.
        dish: Which one is explained; ``score`` is its calibrated probability.
        cells: ``float64[7, 7]``, 0..1: how much the dish rests on each part of the square that the model sees.
        pixels: That square, ``uint8[size, size, 3]``.
    """

    answer: Answer
    dish: str
    score: float
    cells: NDArray[np.float64]
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Known:
    """What the cache keeps of a photo; the rest of an answer is made from it."""

    outputs: NDArray[np.float32]
    photo: Original


class Predictor:
    """Decodes photos in a bounded thread pool and runs them through the model in batches.

    Args:
        bundle: The model's labels, constants and preprocessing.
        engine: The model itself.
        limits: What a photo may be like.
        decode_threads: Photos decoded at once.
        max_batch: Most photos in one run of the model.
        queue_limit: Photos inside at once, waiting ones included.
        crowded_limit: The same while callers are being refused; 0 for half as many as decoders, one at least.
        queue_bytes: Bytes of their files, all together.
        explain_limit: Explanations inside at once, waiting ones included.
        cache_bytes: Memory for what the model said of photos seen before; 0 for none.
        metrics: Where photos are counted; for itself alone when left out.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: Engine,
        limits: PhotoLimits,
        *,
        decode_threads: int,
        max_batch: int,
        queue_limit: int,
        crowded_limit: int = 0,
        queue_bytes: float = math.inf,
        explain_limit: int = 16,
        cache_bytes: int = 0,
        metrics: Metrics | None = None,
    ) -> None:
        self.bundle = bundle
        self.engine_name = engine.name
        self._recipe = bundle.preprocessing
        self._limits = limits
        self._memory = MemoryBudget(limits.decode_bytes)
        self._scorer = Scorer(bundle)
        self.admission = Admission(queue_limit, queue_bytes, crowded_limit=crowded_limit or max(1, decode_threads // 2))
        # An explanation costs 49 photos. One at a time ends soonest for all of them, and leaves room for other photos:
        # 80 at once advanced together and so ran into their deadlines together.
        self._explanations, self._explaining = Admission(explain_limit), asyncio.Lock()
        self._decoders = ThreadPoolExecutor(decode_threads, thread_name_prefix="decode", initializer=step_back)
        self._engine = engine
        self._max_batch = max_batch
        self._batcher = Batcher(self._run, max_batch, engine.lanes)
        self._cache: ResponseCache[_Known] = ResponseCache(cache_bytes)
        self._metrics = metrics or Metrics()
        self.last_answer = -math.inf
        """When the model last answered, by ``time.monotonic``."""

    def longest_inference(self) -> float:
        """Return for how many seconds the oldest inference under way has lasted; 0 where there is none."""
        return self._batcher.longest_run()

    async def predict(self, data: bytes) -> Answer:
        """Tell the dish on an encoded photo.

        Raises:
            Overloaded: when too many photos are inside already, or too many bytes of them.
            CallerProblem: when the bytes are not a photo that we take.
        """
        with self._metrics.photo(), self.admission.place(len(data)) as place:
            if not self._cache:
                return await self._look(data, place)
            key = await run_holding((place,), self._decoders, _sha256, data)
            known = self._cache.get(key)
            self._metrics.looked_up(known is not None)
            if known is None:
                return await self._look(data, place, key)
            return Answer(self._scorer.score(known.outputs), known.photo, Timings(0.0, 0.0, 0.0))

    async def predict_anew(self, data: bytes) -> Answer:
        """Do as ``predict`` does, but never answer from the cache: a probe wants to know whether the model works."""
        with self._metrics.photo(), self.admission.place(len(data)) as place:
            return await self._look(data, place)

    async def predict_pixels(self, pixels: NDArray[np.uint8]) -> Scores:
        """Tell the dish on a photo that is decoded already, ``uint8[size, size, 3]``, RGB.

        Raises:
            Overloaded: when too many photos are inside already.
        """
        with self._metrics.photo(), self.admission.place() as place:
            return self._score(await self._batcher.infer(pixels, place))

    async def explain(self, data: bytes, dish: str | None = None) -> Explained:
        """Tell the dish on an encoded photo, and on which parts of it a dish rests: the likeliest, or another.

        Costs an inference for each of 49 parts; they go in batches, so that other callers' photos come in between.

        Raises:
            Overloaded, CallerProblem: as ``predict`` does; Overloaded when too many explanations are inside as well.
            LookupError: when the model knows no such dish.
        """
        with self._metrics.photo(), self._explanations.place() as turn:
            with self.admission.place(len(data)) as place:
                decoded, answer, outputs = await self._see(data, place)
            ranked = next((known for known in answer.scores.ranked if known.dish == (dish or known.dish)), None)
            if ranked is None:
                raise LookupError(dish)
            async with self._explaining:
                with self._metrics.timed("explain"):
                    hidden = await self._infer_all(with_parts_hidden(decoded.pixels), turn)
        of_dishes = self._scorer.logits
        cells = weights(of_dishes(outputs), of_dishes(hidden), self.bundle.display_names.index(ranked.dish))
        return Explained(answer, *ranked, cells, decoded.pixels)

    async def draw(self, explained: Explained) -> bytes:
        """Return a PNG of the square that the model sees, with what the dish rests on in light.

        Takes no place: 50 inferences are spent, which would be lost, and explanations come one after the other.
        """
        return await run_holding((), self._decoders, overlay, explained.pixels, explained.cells)

    def close(self) -> None:
        """Give the threads back; work under way ends first."""
        self._decoders.shutdown(wait=False, cancel_futures=True)
        self._batcher.close()

    async def _look(self, data: bytes, place: Place, key: str | None = None) -> Answer:
        _, answer, outputs = await self._see(data, place)
        if key is not None:
            # A copy: the row is a view that would keep its whole batch in memory.
            self._cache.put(key, _Known(outputs.copy(), answer.photo), outputs.nbytes)
            self._metrics.cache_holds(self._cache.bytes_kept)
        return answer

    async def _see(self, data: bytes, place: Place) -> tuple[Photo, Answer, NDArray[np.float32]]:
        started = time.perf_counter()
        decoded, sha256 = await run_holding((place,), self._decoders, self._decode, data)
        decoding = time.perf_counter() - started
        self._metrics.took("decode", decoding)
        inferred = await self._batcher.infer(decoded.pixels, place)
        photo = Original(decoded.width, decoded.height, decoded.format, sha256)
        answer = Answer(self._score(inferred), photo, Timings(decoding, inferred.queued, inferred.ran))
        return decoded, answer, inferred.outputs

    async def _infer_all(self, photos: Iterator[NDArray[np.uint8]], place: Place) -> NDArray[np.float32]:
        """Return the outputs of many, ``float32[N, outputs]``; no more wait at a time than go into one batch."""
        rows: list[Inferred] = []
        while chunk := list(islice(photos, self._max_batch)):
            rows += await asyncio.gather(*(self._batcher.infer(pixels, place) for pixels in chunk))
        return np.stack([row.outputs for row in rows])

    def _score(self, inferred: Inferred) -> Scores:
        self._metrics.took("queue", inferred.queued)
        self._metrics.took("inference", inferred.ran)
        scores = self._scorer.score(inferred.outputs)
        self.last_answer = time.monotonic()
        return scores

    def _run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        self._metrics.batch(len(batch))
        return self._engine.predict(batch)

    def _decode(self, data: bytes) -> tuple[Photo, str]:
        return decode(data, self._recipe, self._limits, self._memory), _sha256(data)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def step_back() -> None:
    """Lower the calling thread's priority below the event loop's.

    Decoders keep every processor busy; without this the loop waits its turn behind them, and so do liveness probes.
    """
    thread = threading.get_native_id()
    # A process that is nicer already may not be made less so without a right, and a sandbox may refuse altogether:
    # both cost a little patience, and must not cost the thread.
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, max(os.getpriority(os.PRIO_PROCESS, thread), DECODER_NICENESS))
