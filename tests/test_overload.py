"""More than the service can do: who is let in is served as ever, the others are told at once, and nothing is wasted.

The long form, with its figures, is ``python -m benchmarks.overload``.
"""

import asyncio
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from benchmarks.load import post
from benchmarks.overload import measure, photos_inferred
from food_vision.admission import CALM, TURN_BACK, Admission, run_holding
from food_vision.errors import Overloaded
from food_vision.serving.batching import Batcher, Inferred, Outputs, Pixels
from tests.figures import eventually, figures, sum_of
from tests.photos import jpeg_of_many_scans, large_jpeg, photo
from tests.service import Service, running_service

LARGE = large_jpeg(4_000, 3_000)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_has_all_places_and_a_crowd_only_a_few() -> None:
    clock = Clock()
    admission = Admission(5, crowded_limit=2, clock=clock)
    burst = [admission.place() for _ in range(5)]
    for place in burst:
        place.hold()
    with pytest.raises(Overloaded, match="no room"):
        admission.place()
    for place in burst[:4]:
        place.let_go()
    with admission.place(), pytest.raises(Overloaded):
        admission.place()
    clock.now += CALM - 0.01
    with admission.place(), pytest.raises(Overloaded):
        admission.place()
    clock.now += CALM
    for _ in range(4):
        admission.place().hold()


@pytest.mark.parametrize(
    ("let_in", "refused", "goes_on"),
    [
        pytest.param(1, 1, False, id="as many refused as let in"),
        pytest.param(1, 2, False, id="twice as many"),
        pytest.param(1, 9, True, id="nine times as many"),
        pytest.param(0, 1, True, id="nobody is let in"),
    ],
)
def test_a_crowd_ends_when_most_are_let_in(let_in: int, refused: int, goes_on: bool) -> None:
    """One place refuses a third even of a quarter of what can be served: those kept a crowd going for ever."""
    clock = Clock()
    admission = Admission(4, crowded_limit=1, clock=clock)
    for place in [admission.place() for _ in range(4)]:
        place.hold()
    crowd(admission, 1)
    for place in list(admission.inside):
        place.let_go()
    for _ in range(50):
        clock.now += 5 * CALM / 50
        for _ in range(let_in):
            admission.place().__enter__().let_go()
        while_crowded = refused if admission.at_once(4) == 1 else 0
        for _ in range(while_crowded):
            with pytest.raises(Overloaded):
                admission.require_place(1)
    assert (admission.at_once(4) == 1) is goes_on


def test_the_photos_of_one_request_are_not_refused_for_one_another() -> None:
    clock = Clock()
    admission = Admission(4, crowded_limit=2, clock=clock)
    assert [admission.at_once(most) for most in (3, 8)] == [3, 4]
    for place in [admission.place() for _ in range(4)]:
        place.hold()
    crowd(admission, 1)
    assert [admission.at_once(most) for most in (1, 8)] == [1, 2]


def crowd(admission: Admission, refusals: int) -> None:
    """Have so many callers refused."""
    for _ in range(refusals):
        with pytest.raises(Overloaded):
            admission.require_place()


@pytest.mark.parametrize(
    ("places", "crowded_limit", "refusals", "waited", "turned_back"),
    [
        pytest.param(4, 1, 3, 0.0, False, id="a burst with a few too many"),
        pytest.param(4, 1, 4, 0.0, True, id="a crowd"),
        pytest.param(4, 1, 9, TURN_BACK - 0.01, True, id="a crowd that goes on"),
        pytest.param(4, 1, 4, TURN_BACK + 0.01, False, id="those who have waited for long are served"),
        pytest.param(4, 4, 9, 0.0, False, id="places that do not become fewer"),
    ],
)
def test_a_crowd_turns_back_who_came_just_before(
    places: int, crowded_limit: int, refusals: int, waited: float, turned_back: bool
) -> None:
    async def scenario() -> None:
        clock, go_on = Clock(), threading.Event()
        admission = Admission(places, crowded_limit=crowded_limit, clock=clock)

        async def work() -> bool:
            with admission.place() as place:
                return await run_holding((place,), threads, go_on.wait, 20)

        with ThreadPoolExecutor(1) as threads:
            callers = [asyncio.create_task(work()) for _ in range(places)]
            await asyncio.sleep(0)
            clock.now += waited
            crowd(admission, refusals)
            go_on.set()
            first, *others = await asyncio.gather(*callers, return_exceptions=True)
        assert first is True, "work that has begun is never called off"
        assert [isinstance(other, Overloaded) for other in others] == [turned_back] * (places - 1)
        await asyncio.sleep(0)
        assert admission.taken == 0

    asyncio.run(scenario())


def test_photos_that_wait_for_the_model_are_turned_back_too() -> None:
    async def scenario() -> None:
        began, go_on, batches = threading.Event(), threading.Event(), []

        def run(batch: Pixels) -> Outputs:
            batches.append(len(batch))
            began.set()
            go_on.wait(20)
            return np.ones((len(batch), 1), np.float32)

        admission, batcher = Admission(4, crowded_limit=1, clock=Clock()), Batcher(run, max_batch=1)

        async def infer() -> Inferred:
            with admission.place() as place:
                return await batcher.infer(np.zeros((4, 4, 3), np.uint8), place)

        callers = [asyncio.create_task(infer()) for _ in range(4)]
        await asyncio.sleep(0)
        await asyncio.to_thread(began.wait, 20)
        crowd(admission, 4)
        go_on.set()
        first, *others = await asyncio.gather(*callers, return_exceptions=True)
        assert isinstance(first, Inferred)
        assert all(isinstance(other, Overloaded) for other in others)
        assert batches == [1]
        batcher.close()

    asyncio.run(scenario())


def test_those_on_their_way_count() -> None:
    admission = Admission(2)
    admission.require_place(1)
    with pytest.raises(Overloaded):
        admission.require_place(2)
    assert admission.taken == 0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service"), {"FOOD_VISION_DECODE_THREADS": "1"}) as service:
        yield service


def test_ten_times_too_many(service: Service) -> None:
    """The promises proper depend on the machine; here are those that do not, and generous bounds for the others."""
    outcome = measure(service, seconds=8, warm_up=2)
    flood = outcome.flood
    assert set(flood.counts) == {200, 503}
    assert all(answer.retry_after for answer in flood.of(503))
    assert len(flood.of(503)) > 4 * len(flood.of(200))
    settled = flood.after(4)
    assert settled.milliseconds(503, 50) < 250
    assert settled.milliseconds(200, 50) < 20 * outcome.alone.milliseconds(200, 50)
    assert outcome.inferences == len(flood.of(200)), "nothing was computed for those who were refused"
    assert outcome.growth < 30
    assert outcome.slower_after < 3
    after = figures(service.client)
    assert sum_of(after, "food_vision_refusals_total") == len(flood.of(503))
    assert after["food_vision_queue_length"] == 0


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/explain", "/net/image/prediction/?image_link=https://a.example/"])
def test_whoever_is_refused_may_stay_connected(service: Service, path: str) -> None:
    connected = http.client.HTTPConnection(*address_of(service), timeout=20)
    connected.connect()
    port = connected.sock.getsockname()[1]
    enough = threading.Event()

    def keep_asking() -> set[int]:
        statuses = set()
        while not enough.is_set():
            statuses.add(service.client.post("/v1/predict", content=LARGE).status_code)
            time.sleep(0.05)
        return statuses

    with ThreadPoolExecutor(80) as callers:
        floods = [callers.submit(keep_asking) for _ in range(80)]
        refused, until = 0, time.monotonic() + 20
        while refused < 3 and time.monotonic() < until:
            connected.request("POST", path, LARGE[:100_000], {"Content-Type": "image/jpeg"})
            answer = connected.getresponse()
            answer.read()
            refused += answer.status == 503
            assert connected.sock.getsockname()[1] == port
        enough.set()
        assert refused == 3
        assert set().union(*(flood.result() for flood in floods)) <= {200, 503}
    connected.close()
    assert eventually(lambda: service.client.post("/v1/predict", content=photo()).status_code == 200)


def test_strangers_without_a_key_make_no_crowd(tmp_path: Path) -> None:
    """All places are taken; each refusal for want of one would keep them few, whoever hears it."""
    key = {"X-API-Key": "the-key-of-a-caller"}
    settings = {"FOOD_VISION_API_KEYS": key["X-API-Key"], "FOOD_VISION_QUEUE_LIMIT": "1"}
    with running_service(tmp_path, settings) as service, ThreadPoolExecutor(1) as callers:
        long = callers.submit(service.client.post, "/v1/predict", content=jpeg_of_many_scans(50, 4_500), headers=key)
        assert eventually(lambda: figures(service.client)["food_vision_queue_length"] == 1)
        known = service.client.post("/v1/predict", content=photo(), headers=key)
        strangers = {service.client.post("/v1/predict", content=photo()).status_code for _ in range(20)}
        assert not long.done()
        assert (known.status_code, strangers) == (503, {401})
        assert figures(service.client)['food_vision_refusals_total{reason="overloaded"}'] == 1
        assert long.result().status_code == 200


def test_only_photos_wait_for_a_place(tmp_path: Path) -> None:
    """To try again later does not help who has the wrong address; nor do they make a crowd."""
    no_photos = {"/v1/labels": 405, "/healthz": 405, "/v1/predictions": 404}
    posted = [
        "/v1/predict",
        "/v1/predict/batch",
        "/v1/explain",
        "/v2/models/food-vision/infer",
        "/net/image/prediction/",
    ]
    with (
        running_service(tmp_path, {"FOOD_VISION_QUEUE_LIMIT": "1"}) as service,
        ThreadPoolExecutor(1) as callers,
    ):
        long = callers.submit(service.client.post, "/v1/predict", content=jpeg_of_many_scans(50, 4_500))
        assert eventually(lambda: figures(service.client)["food_vision_queue_length"] == 1)
        statuses = {path: service.client.post(path).status_code for path in [*no_photos, *posted]}
        assert not long.done()
        assert statuses == no_photos | dict.fromkeys(posted, 503)
        assert figures(service.client)['food_vision_refusals_total{reason="overloaded"}'] == len(posted)
        assert long.result().status_code == 200


def test_work_whose_caller_has_gone_is_not_done(service: Service) -> None:
    """Sixty photos of 12 megapixels, and each caller hangs up at once: hardly any is decoded, fewer are inferred."""
    assert eventually(lambda: figures(service.client)["food_vision_queue_length"] == 0)
    time.sleep(CALM)
    before = figures(service.client)
    gone = [socket.create_connection(address_of(service)) for _ in range(60)]
    senders = [threading.Thread(target=caller.sendall, args=(post("/v1/predict", LARGE),)) for caller in gone]
    for sender in senders:
        sender.start()
    for sender, caller in zip(senders, gone, strict=True):
        sender.join()
        caller.close()
    assert eventually(lambda: figures(service.client)["food_vision_requests_in_flight"] == 0)
    assert eventually(lambda: figures(service.client)["food_vision_queue_length"] == 0)
    after = figures(service.client)
    left = 'food_vision_requests_total{outcome="client_gone",route="/v1/predict"}'
    assert after[left] - before.get(left, 0) >= 30
    assert photos_inferred(after) - photos_inferred(before) <= 30


def test_a_batch_larger_than_the_queue_is_answered(tmp_path: Path) -> None:
    with running_service(tmp_path, {"FOOD_VISION_QUEUE_LIMIT": "1"}) as service:
        files = [("file", (f"{index}.jpg", photo(), "image/jpeg")) for index in range(4)]
        answer = service.client.post("/v1/predict/batch", files=files)
        assert ["result" in result for result in answer.json()["results"]] == [True] * 4, answer.text


def test_work_for_links_whose_caller_has_gone_is_not_done(tmp_path: Path) -> None:
    """Nobody is asked for a photo that nobody waits for, and its place comes back at once."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        running_service(
            tmp_path, {"FOOD_VISION_ALLOW_NETWORKS": "127.0.0.0/8", "FOOD_VISION_FETCH_SLOTS": "4"}
        ) as service,
    ):
        link = f"http://127.0.0.1:{silent.getsockname()[1]}/a.jpg"
        for _ in range(20):
            with socket.create_connection(address_of(service)) as caller:
                caller.sendall(post(f"/net/image/prediction/?image_link={link}", b""))
                time.sleep(0.02)
        assert eventually(lambda: figures(service.client)["food_vision_fetches_in_flight"] == 0, 3)
        assert photos_inferred(figures(service.client)) <= 1


def address_of(service: Service) -> tuple[str, int]:
    return "127.0.0.1", int(service.url.rpartition(":")[2])
