"""Admission, batching and their promise: a place is given back when the work has truly ended."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from food_vision.admission import Admission, run_holding
from food_vision.errors import Overloaded
from food_vision.serving.batching import Batcher
from food_vision.serving.build import build_predictor
from food_vision.serving.predictor import Answer
from food_vision.settings import Settings
from tests.photos import large_jpeg
from tests.service import ROOT

Pixels = NDArray[np.uint8]
Outputs = NDArray[np.float32]


def pixels(value: int) -> Pixels:
    return np.full((4, 4, 3), value, np.uint8)


class SlowEngine:
    """Answers each photo with its first pixel, when told to; remembers the size of every batch."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.started = threading.Event()
        self.go_on = threading.Event()

    def predict(self, batch: Pixels) -> Outputs:
        self.batches.append([int(photo[0, 0, 0]) for photo in batch])
        self.started.set()
        assert self.go_on.wait(10)
        return batch[:, 0, 0, :1].astype(np.float32)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in a thread
            await asyncio.sleep(0.005)


def test_admission_refuses_one_more_than_its_limit() -> None:
    admission = Admission(2)
    with admission.place(), admission.place(), pytest.raises(Overloaded) as refusal:
        admission.place()
    assert refusal.value.retry_after
    assert admission.taken == 0


def test_a_place_is_taken_until_its_last_holder_lets_go() -> None:
    admission = Admission(1)
    with admission.place() as place:
        place.hold()
    assert admission.taken == 1
    place.let_go()
    assert admission.taken == 0


def test_the_bytes_of_all_places_are_bounded() -> None:
    admission = Admission(10, max_bytes=100)
    with admission.place(60):
        with admission.place(40), pytest.raises(Overloaded):
            admission.place(1)
        with pytest.raises(Overloaded):
            admission.place(41)
        assert (admission.taken, admission.bytes_held) == (1, 60), "what was refused holds nothing"
    assert admission.bytes_held == 0


def test_a_photo_alone_fits_whatever_its_size() -> None:
    admission = Admission(10, max_bytes=100)
    with admission.place(500), pytest.raises(Overloaded):
        admission.place(1)
    with admission.place() as place:
        place.add_bytes(80)
        place.add_bytes(80)
    assert admission.bytes_held == 0


def test_bytes_are_held_until_the_last_holder_lets_go() -> None:
    admission = Admission(10, max_bytes=100)
    with admission.place(70) as place:
        place.hold()
    assert admission.bytes_held == 70
    place.let_go()
    assert admission.bytes_held == 0


def test_work_in_a_thread_holds_its_places_after_the_caller_has_gone() -> None:
    async def scenario() -> None:
        first, second, go_on = Admission(1), Admission(1), threading.Event()
        with ThreadPoolExecutor(1) as threads:
            with first.place() as place, second.place() as other:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await run_holding((place, other), threads, go_on.wait, 10)
                waiting = asyncio.create_task(run_holding((place,), threads, go_on.wait, 10))
                await asyncio.sleep(0)
                waiting.cancel()
            await asyncio.sleep(0.05)
            assert (first.taken, second.taken) == (1, 1)
            go_on.set()
            await until(lambda: (first.taken, second.taken) == (0, 0))

    asyncio.run(scenario())


def test_threads_that_take_no_more_work_keep_no_place() -> None:
    async def scenario() -> None:
        admission, threads = Admission(1), ThreadPoolExecutor(1)
        threads.shutdown()
        for _ in range(3):
            with admission.place() as place, pytest.raises(RuntimeError):
                await run_holding((place,), threads, len, "abc")
        assert admission.taken == 0

    asyncio.run(scenario())


AS_NICE_AS_CAN_BE = """
import os
from concurrent.futures import ThreadPoolExecutor
from food_vision.serving.predictor import step_back
os.nice(19)
if os.getuid() == 0:
    os.setuid(65534)
with ThreadPoolExecutor(1, initializer=step_back) as threads:
    print(threads.submit(os.getpriority, os.PRIO_PROCESS, 0).result())
"""


def test_decoders_work_in_a_process_that_is_nicer_than_they_would_be() -> None:
    """``nice python main.py``, without the right to take that back: every decoder ended as it began."""
    command = [sys.executable, "-c", AS_NICE_AS_CAN_BE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("19\n", 0), done.stderr


def test_photos_that_wait_for_a_decoder_hold_bounded_bytes() -> None:
    async def scenario() -> None:
        photo = large_jpeg(400, 300)
        predictor = build_predictor(Settings(queue_bytes=2 * len(photo)))
        answers = await asyncio.gather(*(predictor.predict(photo) for _ in range(3)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [Answer, Answer, Overloaded]
        assert isinstance(await predictor.predict(photo), Answer)
        predictor.close()

    asyncio.run(scenario())


def test_photos_that_wait_together_run_together_and_each_gets_its_own_answer() -> None:
    async def scenario() -> None:
        engine, admission = SlowEngine(), Admission(20)
        batcher = Batcher(engine.predict, max_batch=4)

        async def ask(value: int) -> float:
            with admission.place() as place:
                return float((await batcher.infer(pixels(value), place)).outputs[0])

        first = asyncio.create_task(ask(1))
        await until(engine.started.is_set)
        others = [asyncio.create_task(ask(value)) for value in range(2, 8)]
        await asyncio.sleep(0)
        engine.go_on.set()
        assert await asyncio.gather(first, *others) == [1, 2, 3, 4, 5, 6, 7]
        assert engine.batches == [[1], [2, 3, 4, 5], [6, 7]]
        await until(lambda: admission.taken == 0)

    asyncio.run(scenario())


def test_lanes_run_side_by_side_and_share_what_waits() -> None:
    async def scenario() -> None:
        engine, admission = SlowEngine(), Admission(20)
        batcher = Batcher(engine.predict, max_batch=4, lanes=2)

        async def ask(value: int) -> float:
            with admission.place() as place:
                return float((await batcher.infer(pixels(value), place)).outputs[0])

        first = [asyncio.create_task(ask(value)) for value in (1, 2)]
        await until(lambda: len(engine.batches) == 2)
        others = [asyncio.create_task(ask(value)) for value in range(3, 8)]
        await asyncio.sleep(0.02)
        assert sorted(engine.batches) == [[1], [2]], "there are two lanes, and both are taken"
        engine.go_on.set()
        assert await asyncio.gather(*first, *others) == [1, 2, 3, 4, 5, 6, 7]
        assert sorted(engine.batches[2:4]) == [[3, 4, 5], [6]], "five wait for two lanes: three, and half of the rest"
        await until(lambda: admission.taken == 0)

    asyncio.run(scenario())


def test_a_photo_that_comes_as_a_lane_falls_idle_is_not_forgotten() -> None:
    """Its lane was still counted as busy, and no other was there to take it: it waited for ever."""

    async def scenario() -> None:
        admission = Admission(2)
        batcher = Batcher(lambda batch: np.ones((len(batch), 1), np.float32), max_batch=1)
        with admission.place() as place:
            async with asyncio.timeout(10):
                for _ in range(300):
                    await batcher.infer(pixels(1), place)

    asyncio.run(scenario())


def test_the_longest_run_is_the_oldest_under_way() -> None:
    async def scenario() -> None:
        engine, admission = SlowEngine(), Admission(20)
        batcher = Batcher(engine.predict, max_batch=1, lanes=2)
        assert batcher.longest_run() == 0

        async def ask(value: int) -> None:
            with admission.place() as place:
                await batcher.infer(pixels(value), place)

        first = asyncio.create_task(ask(1))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(ask(2))
        await until(lambda: len(engine.batches) == 2)
        assert 0.04 < batcher.longest_run() < 9
        engine.go_on.set()
        await asyncio.gather(first, second)
        assert batcher.longest_run() == 0

    asyncio.run(scenario())


def test_work_whose_caller_has_gone_is_not_started() -> None:
    async def scenario() -> None:
        engine, admission = SlowEngine(), Admission(20)
        batcher = Batcher(engine.predict, max_batch=4)

        async def ask(value: int) -> None:
            with admission.place() as place:
                await batcher.infer(pixels(value), place)

        first = asyncio.create_task(ask(1))
        await until(engine.started.is_set)
        gone, stays = asyncio.create_task(ask(2)), asyncio.create_task(ask(3))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        assert admission.taken == 3, "the one who left is counted until its place in the queue is cleared"
        engine.go_on.set()
        await asyncio.gather(first, stays)
        assert engine.batches == [[1], [3]]
        await until(lambda: admission.taken == 0)

    asyncio.run(scenario())


def test_a_running_inference_keeps_its_place_when_the_caller_leaves() -> None:
    async def scenario() -> None:
        engine, admission = SlowEngine(), Admission(1)
        batcher = Batcher(engine.predict, max_batch=4)

        async def ask() -> None:
            with admission.place() as place:
                await batcher.infer(pixels(1), place)

        task = asyncio.create_task(ask())
        await until(engine.started.is_set)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert admission.taken == 1
        engine.go_on.set()
        await until(lambda: admission.taken == 0)

    asyncio.run(scenario())


def test_a_failing_engine_fails_its_batch_and_no_other() -> None:
    async def scenario() -> None:
        def broken_on_zero(batch: Pixels) -> Outputs:
            if not batch.any():
                raise ArithmeticError("zero")
            return np.ones((len(batch), 1), np.float32)

        admission = Admission(2)
        batcher = Batcher(broken_on_zero, max_batch=1)
        with admission.place() as place:
            with pytest.raises(ArithmeticError):
                await batcher.infer(pixels(0), place)
            assert (await batcher.infer(pixels(1), place)).outputs[0] == 1
        assert admission.taken == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_an_engine_that_answers_with_rows_too_few_or_too_many_fails_the_whole_batch(rows: int) -> None:
    async def scenario() -> None:
        go_on = threading.Event()

        def miscounting(_: Pixels) -> Outputs:
            assert go_on.wait(10)
            return np.ones((rows, 1), np.float32)

        admission = Admission(3)
        batcher = Batcher(miscounting, max_batch=2)

        async def ask() -> None:
            with admission.place() as place:
                await batcher.infer(pixels(1), place)

        asked = [asyncio.create_task(ask()) for _ in range(2)]
        await asyncio.sleep(0)
        go_on.set()
        async with asyncio.timeout(5):
            answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(answer) for answer in answers] == [ValueError, ValueError]
        await until(lambda: admission.taken == 0)

    asyncio.run(scenario())
