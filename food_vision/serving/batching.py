"""Photos that wait for the model at the same moment go through it together.

There is one inference thread. While it is idle a photo starts at once, so that batching adds no delay; while it is
busy, photos gather, and the next run takes as many of them as fit. Callers who have gone are dropped before it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from food_vision.admission import Place

Pixels = NDArray[np.uint8]
Outputs = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Inferred:
    """What the model puts out for a photo, ``float32[outputs]``, and how long it waited and ran, in seconds."""

    outputs: Outputs
    queued: float
    ran: float


@dataclass(frozen=True, slots=True)
class _Job:
    pixels: Pixels
    place: Place
    answer: asyncio.Future[Inferred]
    arrived: float


class Batcher:
    """Gathers photos into batches and runs them one batch after the other.

    Args:
        run: ``uint8[N,S,S,3] -> float32[N,outputs]``; called in the inference thread only.
        max_batch: Most photos in one run.
    """

    def __init__(self, run: Callable[[Pixels], Outputs], max_batch: int) -> None:
        self._run = run
        self._max_batch = max_batch
        self._waiting: deque[_Job] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._drain: asyncio.Task[None] | None = None

    async def infer(self, pixels: Pixels, place: Place) -> Inferred:
        """Return what the model puts out for a photo, ``uint8[S,S,3]``.

        Raises:
            Exception: whatever the engine raised for the batch.
        """
        job = _Job(pixels, place, asyncio.get_running_loop().create_future(), time.perf_counter())
        place.hold()
        place.call_off = job.answer.cancel
        self._waiting.append(job)
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._run_what_waits())
        return await job.answer

    def close(self) -> None:
        """Stop the inference thread once its run has ended."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run_what_waits(self) -> None:
        while self._waiting:
            batch = self._take_batch()
            if batch:
                await self._run_batch(batch)

    def _take_batch(self) -> list[_Job]:
        batch: list[_Job] = []
        while self._waiting and len(batch) < self._max_batch:
            job = self._waiting.popleft()
            if job.answer.cancelled():
                job.place.let_go()
            else:
                job.place.call_off = None
                batch.append(job)
        return batch

    async def _run_batch(self, batch: list[_Job]) -> None:
        started = time.perf_counter()
        try:
            pixels = [job.pixels for job in batch]
            outputs = await asyncio.get_running_loop().run_in_executor(self._thread, self._run_together, pixels)
            # Before anyone is answered: with a row too few or too many, no row is known to be anyone's.
            answers = list(zip(batch, outputs, strict=True))
        except Exception as error:
            for job in batch:
                if not job.answer.done():
                    job.answer.set_exception(error)
        else:
            ran = time.perf_counter() - started
            for job, row in answers:
                if not job.answer.done():
                    job.answer.set_result(Inferred(row, started - job.arrived, ran))
        finally:
            for job in batch:
                job.place.let_go()

    def _run_together(self, photos: list[Pixels]) -> Outputs:
        # A photo that is alone need not be copied. Many are copied here, in the thread, where nobody waits for it.
        return self._run(photos[0][np.newaxis] if len(photos) == 1 else np.stack(photos))
