"""Photos that wait for the model at the same moment go through it side by side and together.

There is an inference thread for each lane of the engine. While one is idle a photo starts at once, so that batching
adds no delay; while all are busy, photos gather, and the next run takes its share of them. Callers who have gone are
dropped before it.
"""

import asyncio
import math
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
    """Gathers photos into batches and runs one batch after the other in each lane.

    Args:
        run: ``uint8[N,S,S,3] -> float32[N,outputs]``; called in inference threads only.
        max_batch: Most photos in one run.
        lanes: Runs at once.
    """

    def __init__(self, run: Callable[[Pixels], Outputs], max_batch: int, lanes: int = 1) -> None:
        self._run = run
        self._max_batch = max_batch
        self._lanes = lanes
        self._waiting: deque[_Job] = deque()
        self._threads = ThreadPoolExecutor(lanes, thread_name_prefix="inference")
        self._lanes_busy: list[asyncio.Task[None]] = []
        self._runs_began: list[float] = []

    async def infer(self, pixels: Pixels, place: Place) -> Inferred:
        """Return what the model puts out for a photo, ``uint8[S,S,3]``.

        Raises:
            Exception: whatever the engine raised for the batch.
        """
        job = _Job(pixels, place, asyncio.get_running_loop().create_future(), time.perf_counter())
        place.hold()
        place.call_off = job.answer.cancel
        self._waiting.append(job)
        # By looking at each: a callback of its end may come later than the next photo.
        self._lanes_busy = [lane for lane in self._lanes_busy if not lane.done()]
        if len(self._lanes_busy) < self._lanes:
            self._lanes_busy.append(asyncio.create_task(self._run_what_waits()))
        return await job.answer

    def longest_run(self) -> float:
        """Return for how many seconds the oldest run under way has lasted; 0 where there is none."""
        return time.perf_counter() - min(self._runs_began) if self._runs_began else 0.0

    def close(self) -> None:
        """Stop the inference threads once their runs have ended."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run_what_waits(self) -> None:
        while self._waiting:
            batch = self._take_batch()
            if batch:
                await self._run_batch(batch)

    def _take_batch(self) -> list[_Job]:
        batch: list[_Job] = []
        # A share and no more: what one lane took beyond it would wait here while the others have nothing to do.
        share = min(self._max_batch, math.ceil(len(self._waiting) / self._lanes))
        while self._waiting and len(batch) < share:
            job = self._waiting.popleft()
            if job.answer.cancelled():
                job.place.let_go()
            else:
                job.place.call_off = None
                batch.append(job)
        return batch

    async def _run_batch(self, batch: list[_Job]) -> None:
        started = time.perf_counter()
        self._runs_began.append(started)
        try:
            pixels = [job.pixels for job in batch]
            outputs = await asyncio.get_running_loop().run_in_executor(self._threads, self._run_together, pixels)
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
            self._runs_began.remove(started)
            for job in batch:
                job.place.let_go()

    def _run_together(self, photos: list[Pixels]) -> Outputs:
        # A photo that is alone need not be copied. Many are copied here, in the thread, where nobody waits for it.
        return self._run(photos[0][np.newaxis] if len(photos) == 1 else np.stack(photos))
