"""The one path from a photo's bytes to an answer; the API, the command line and the benchmarks all take it."""

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
from food_vision.model.bundle import Bundle
from food_vision.model.engine import Engine
from food_vision.model.scores import Scorer, Scores
from food_vision.serving.batching import Batcher, Inferred

DECODER_NICENESS = 10


@dataclass(frozen=True, slots=True)
class Timings:
    """Where a photo's time went, in seconds."""

    decode: float
    queue: float
    inference: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What there is to say about one photo."""

    scores: Scores
    photo: Photo
    timings: Timings


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
    ) -> None:
        self.bundle = bundle
        self._recipe = bundle.preprocessing
        self._limits = limits
        self._scorer = Scorer(bundle)
        self._admission = Admission(queue_limit, queue_bytes)
        self._decoders = ThreadPoolExecutor(decode_threads, thread_name_prefix="decode", initializer=step_back)
        self._batcher = Batcher(engine.predict, max_batch)
        self.last_answer = -math.inf
        """When the model last answered, by ``time.monotonic``."""

    async def predict(self, data: bytes) -> Answer:
        """Tell the dish on an encoded photo.

        Raises:
            Overloaded: when too many photos are inside already, or too many bytes of them.
            CallerProblem: when the bytes are not a photo that we take.
        """
        with self._admission.place(len(data)) as place:
            started = time.perf_counter()
            photo = await self._decode(data, place)
            decoded = time.perf_counter()
            inferred = await self._batcher.infer(photo.pixels, place)
        scores = self._score(inferred)
        return Answer(scores, photo, Timings(decoded - started, inferred.queued, inferred.ran))

    async def predict_pixels(self, pixels: NDArray[np.uint8]) -> Scores:
        """Tell the dish on a photo that is decoded already, ``uint8[size, size, 3]``, RGB.

        Raises:
            Overloaded: when too many photos are inside already.
        """
        with self._admission.place() as place:
            return self._score(await self._batcher.infer(pixels, place))

    def close(self) -> None:
        """Give the threads back; work under way ends first."""
        self._decoders.shutdown(wait=False, cancel_futures=True)
        self._batcher.close()

    def _score(self, inferred: Inferred) -> Scores:
        scores = self._scorer.score(inferred.logits)
        self.last_answer = time.monotonic()
        return scores

    async def _decode(self, data: bytes, place: Place) -> Photo:
        return await run_holding((place,), self._decoders, decode, data, self._recipe, self._limits)


def step_back() -> None:
    """Lower the calling thread's priority below the event loop's.

    Decoders keep every processor busy; without this the loop waits its turn behind them, and so do liveness probes.
    """
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), DECODER_NICENESS)
