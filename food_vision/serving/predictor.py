"""The one path from a photo's bytes to an answer; the API, the command line and the benchmarks all take it."""

import hashlib
import math
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from food_vision.admission import Admission, Place, run_holding
from food_vision.intake.decode import Photo, PhotoLimits, decode
from food_vision.intake.formats import Format
from food_vision.model.bundle import Bundle
from food_vision.model.engine import Engine
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
    """The photo as it was sent: width and height in pixels when upright, and its format."""

    width: int
    height: int
    format: Format


@dataclass(frozen=True, slots=True)
class Answer:
    """What there is to say about one photo."""

    scores: Scores
    photo: Original
    timings: Timings


@dataclass(frozen=True, slots=True)
class _Known:
    """What the cache keeps of a photo; the rest of an answer is made from it."""

    logits: NDArray[np.float32]
    photo: Original


class Predictor:
    """Decodes photos in a bounded thread pool and runs them through the model in batches.

    Args:
        bundle: The model's labels, constants and preprocessing.
        engine: The model itself.
        limits: What a photo may be like.
        decode_threads: Photos decoded at once.
        max_batch: Most photos in one inference.
        queue_limit: Photos inside at once, waiting ones included.
        queue_bytes: Bytes of their files, all together.
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
        queue_bytes: int = 256_000_000,
        cache_bytes: int = 0,
        metrics: Metrics | None = None,
    ) -> None:
        self.bundle = bundle
        self._recipe = bundle.preprocessing
        self._limits = limits
        self._scorer = Scorer(bundle)
        self._admission = Admission(queue_limit, queue_bytes)
        self._decoders = ThreadPoolExecutor(decode_threads, thread_name_prefix="decode", initializer=step_back)
        self._engine = engine
        self._batcher = Batcher(self._run, max_batch)
        self._cache: ResponseCache[_Known] = ResponseCache(cache_bytes)
        self._metrics = metrics or Metrics()
        self.last_answer = -math.inf
        """When the model last answered, by ``time.monotonic``."""

    async def predict(self, data: bytes) -> Answer:
        """Tell the dish on an encoded photo.

        Raises:
            Overloaded: when too many photos are inside already, or too many bytes of them.
            CallerProblem: when the bytes are not a photo that we take.
        """
        with self._metrics.photo(), self._admission.place(len(data)) as place:
            if not self._cache:
                return await self._look(data, place)
            key = await run_holding((place,), self._decoders, self._key, data)
            known = self._cache.get(key)
            self._metrics.looked_up(known is not None)
            if known is None:
                return await self._look(data, place, key)
            return Answer(self._scorer.score(known.logits), known.photo, Timings(0.0, 0.0, 0.0))

    async def predict_anew(self, data: bytes) -> Answer:
        """Do as ``predict`` does, but never answer from the cache: a probe wants to know whether the model works."""
        with self._metrics.photo(), self._admission.place(len(data)) as place:
            return await self._look(data, place)

    async def predict_pixels(self, pixels: NDArray[np.uint8]) -> Scores:
        """Tell the dish on a photo that is decoded already, ``uint8[size, size, 3]``, RGB.

        Raises:
            Overloaded: when too many photos are inside already.
        """
        with self._metrics.photo(), self._admission.place() as place:
            return self._score(await self._batcher.infer(pixels, place))

    def close(self) -> None:
        """Give the threads back; work under way ends first."""
        self._decoders.shutdown(wait=False, cancel_futures=True)
        self._batcher.close()

    async def _look(self, data: bytes, place: Place, key: str | None = None) -> Answer:
        started = time.perf_counter()
        decoded = await self._decode(data, place)
        decoding = time.perf_counter() - started
        self._metrics.took("decode", decoding)
        inferred = await self._batcher.infer(decoded.pixels, place)
        photo = Original(decoded.width, decoded.height, decoded.format)
        answer = Answer(self._score(inferred), photo, Timings(decoding, inferred.queued, inferred.ran))
        if key is not None:
            # A copy: the row is a view that would keep its whole batch in memory.
            self._cache.put(key, _Known(inferred.logits.copy(), photo), inferred.logits.nbytes)
            self._metrics.cache_holds(self._cache.bytes_kept)
        return answer

    def _key(self, data: bytes) -> str:
        return f"{self.bundle.sha256} {hashlib.sha256(data).hexdigest()}"

    def _score(self, inferred: Inferred) -> Scores:
        self._metrics.took("queue", inferred.queued)
        self._metrics.took("inference", inferred.ran)
        scores = self._scorer.score(inferred.logits)
        self.last_answer = time.monotonic()
        return scores

    def _run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        self._metrics.batch(len(batch))
        return self._engine.predict(batch)

    async def _decode(self, data: bytes, place: Place) -> Photo:
        return await run_holding((place,), self._decoders, decode, data, self._recipe, self._limits)


def step_back() -> None:
    """Lower the calling thread's priority below the event loop's.

    Decoders keep every processor busy; without this the loop waits its turn behind them, and so do liveness probes.
    """
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), DECODER_NICENESS)
