"""The Python client, against a small server that refuses as told, and against the real one."""

import asyncio
import email.utils
import io
import json
import math
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from food_vision.calls import seconds_of
from food_vision.client import AsyncFoodVision, FoodVision, FoodVisionError, PhotoSource, Prediction
from tests.busy import PREDICTION, PROBLEM, Busy, Reply, busy, refusal
from tests.origin import Origin
from tests.photos import photo
from tests.service import ROOT, Service, free_port, running_service

Ask = Callable[..., Prediction]
Values = Mapping[str, Any]
NONE: Values = {}


def ask_waiting(
    url: str, source: PhotoSource = b"photo", *, settings: Values = NONE, options: Values = NONE
) -> Prediction:
    with FoodVision(url, **settings) as server:
        return server.predict(source, **options)


def ask_async(
    url: str, source: PhotoSource = b"photo", *, settings: Values = NONE, options: Values = NONE
) -> Prediction:
    async def work() -> Prediction:
        async with AsyncFoodVision(url, **settings) as server:
            return await server.predict(source, **options)

    return asyncio.run(work())


@pytest.fixture(params=[ask_waiting, ask_async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Either client; what holds for one holds for the other."""
    asked: Ask = request.param
    return asked


def refused(ask: Ask, url: str, *arguments: PhotoSource, **options: Values) -> FoodVisionError:
    with pytest.raises(FoodVisionError) as caught:
        ask(url, *arguments, **options)
    return caught.value


def test_an_answer_is_read_into_types(ask: Ask) -> None:
    with busy(Reply()) as server:
        prediction = ask(server.url)
    assert (prediction.dish, prediction.score, prediction.food) == ("ramen", 0.9341, True)
    assert [(item.dish, item.score) for item in prediction.predictions] == [("ramen", 0.9341), ("pho", 0.0312)]
    assert prediction.prediction_set == ("ramen",)
    assert prediction.photo.width == 64
    assert prediction.model.version == "1.3.1"
    with pytest.raises(AttributeError):
        prediction.dish = "pho"  # type: ignore[misc]


def test_null_members_are_none(ask: Ask) -> None:
    unknown = {"prediction_set": None, "coverage": None, "food": None, "food_score": None}
    with busy(Reply(body=PREDICTION | unknown)) as server:
        prediction = ask(server.url)
    found = (prediction.prediction_set, prediction.coverage, prediction.food, prediction.food_score)
    assert found == (None,) * 4


def test_options_key_and_name_are_sent(ask: Ask) -> None:
    with busy(Reply()) as server:
        ask(server.url, settings={"api_key": "secret-secret-secret"}, options={"top_k": 3, "min_score": 0.25})
    path, headers, body = server.asked[0]
    assert path == "/v1/predict?top_k=3&min_score=0.25"
    assert headers["x-api-key"] == "secret-secret-secret"
    assert headers["user-agent"].startswith("food-vision/")
    assert body == b"photo"


def test_no_key_is_sent_where_none_was_given(ask: Ask) -> None:
    with busy(Reply()) as server:
        ask(f"{server.url}/below/a/path")
    assert server.asked[0][0] == "/below/a/path/v1/predict"
    assert "x-api-key" not in server.asked[0][1]


@pytest.mark.parametrize(
    "replies",
    [
        pytest.param([refusal(503, "0"), refusal(429, "0")], id="refused with a time"),
        pytest.param([refusal(503), refusal(429)], id="refused without a time"),
        pytest.param([Reply(hang_up=True)], id="hung up"),
        pytest.param([Reply(503, b"<html>busy</html>", (("Retry-After", "0"),))], id="refused by a balancer"),
    ],
)
def test_what_is_temporary_is_tried_again(ask: Ask, replies: list[Reply]) -> None:
    with busy(*replies, Reply()) as server:
        assert ask(server.url).dish == "ramen"
    assert len(server.asked) == len(replies) + 1
    assert {body for _, _, body in server.asked} == {b"photo"}


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(ask: Ask, form: str) -> None:
    # Dates have whole seconds: two from now may be hardly more than one.
    when = "1" if form == "seconds" else email.utils.formatdate(time.time() + 2, usegmt=True)
    with busy(refusal(429, when), Reply()) as server:
        started = time.monotonic()
        ask(server.url)
        assert 0.9 < time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("retry_after", "settings"),
    [
        pytest.param("61", {}, id="longer than the default patience"),
        pytest.param("2", {"patience": 1}, id="longer than the patience given"),
        pytest.param("9" * 400, {}, id="longer than a number"),
        pytest.param("0", {"retries": 0}, id="no retries wanted"),
        pytest.param("Fri, 31 Dec 9999 23:59:59 GMT", {}, id="a far date"),
    ],
)
def test_what_takes_too_long_is_given_up_at_once(ask: Ask, retry_after: str, settings: Values) -> None:
    with busy(refusal(503, retry_after)) as server:
        started = time.monotonic()
        error = refused(ask, server.url, settings=settings)
    assert time.monotonic() - started < 1
    assert len(server.asked) == 1
    assert error.status == 503


def test_retries_are_counted(ask: Ask) -> None:
    with busy(refusal(503, "0")) as server:
        assert refused(ask, server.url, settings={"retries": 3}).code == "overloaded"
    assert len(server.asked) == 4


def test_patience_bounds_the_time_of_all_tries(ask: Ask) -> None:
    with busy(refusal(503)) as server:
        started = time.monotonic()
        refused(ask, server.url, settings={"retries": 1000, "patience": 1.0})
    assert time.monotonic() - started < 1.5
    assert len(server.asked) > 1


def test_an_unreadable_retry_after_counts_as_none(ask: Ask) -> None:
    with busy(refusal(503, "soon"), Reply()) as server:
        assert ask(server.url).dish == "ramen"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("Fri, 99 Dec 2026", None),
        ("0", 0.0),
        ("120", 120.0),
        ("9" * 400, math.inf),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_read(text: str | None, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("status", [400, 401, 422, 500, 504])
def test_what_is_final_is_told_at_once(ask: Ask, status: int) -> None:
    with busy(Reply(status, PROBLEM | {"status": status, "code": "some_code", "detail": "A sentence."})) as server:
        error = refused(ask, server.url)
    assert len(server.asked) == 1
    assert (error.status, error.code, error.detail, error.request_id) == (status, "some_code", "A sentence.", "abc")
    assert str(error) == "A sentence."


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(200, b"<html>log in</html>"), id="HTML"),
        pytest.param(Reply(200, b""), id="nothing"),
        pytest.param(Reply(200, []), id="a list"),
        pytest.param(Reply(200, None), id="null"),
        pytest.param(Reply(200, {"dish": "ramen"}), id="members missing"),
        pytest.param(Reply(200, PREDICTION | {"score": "high"}), id="no number"),
        pytest.param(Reply(200, PREDICTION | {"predictions": 3}), id="no list"),
        pytest.param(Reply(302, b"", (("Location", "http://127.0.0.1:1/"),)), id="a redirect"),
        pytest.param(Reply(502, b"bad gateway"), id="a proxy's error"),
        pytest.param(Reply(404, {"detail": "Not Found"}), id="another service"),
        pytest.param(Reply(500, [1]), id="an error that is a list"),
        pytest.param(Reply(200, b"\x1f\x8b broken", (("Content-Encoding", "gzip"),)), id="undecodable"),
    ],
)
def test_what_is_no_answer_of_ours_is_an_error_too(ask: Ask, reply: Reply) -> None:
    with busy(reply) as server:
        error = refused(ask, server.url, settings={"api_key": "secret-secret-secret"})
    assert error.code == "unexpected_answer"
    assert len(server.asked) == 1


def test_no_server_is_tried_again_and_then_told(ask: Ask) -> None:
    error = refused(ask, f"http://127.0.0.1:{free_port()}", settings={"retries": 1})
    assert (error.code, error.status) == ("no_connection", None)


def test_a_server_that_never_answers_is_a_timeout(ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert refused(ask, url, settings={"timeout": 0.3}).code == "timeout"


@pytest.mark.parametrize(
    ("url", "key"),
    [
        pytest.param("localhost:5000", None, id="no scheme"),
        pytest.param("ftp://localhost", None, id="a scheme nobody speaks"),
        pytest.param("http://host:port", None, id="port in words"),
        pytest.param("http://localhost", "schlüssel", id="key that no header can hold"),
    ],
)
def test_an_unusable_server_is_told_when_the_client_is_made(url: str, key: str | None) -> None:
    for kind in (FoodVision, AsyncFoodVision):
        with pytest.raises(FoodVisionError) as caught:
            kind(url, api_key=key)
        assert caught.value.code == "invalid_server"


@pytest.mark.parametrize("name", ["missing.jpg", ".", "no\0name"])
def test_a_file_that_cannot_be_read_is_an_error(ask: Ask, tmp_path: Path, name: str) -> None:
    with busy(Reply()) as server:
        error = refused(ask, server.url, str(tmp_path / name))
    assert (error.code, error.status) == ("unreadable_file", None)
    assert server.asked == []


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(photo())
    return path


SOURCES: list[tuple[str, Callable[[Path], PhotoSource]]] = [
    ("path", lambda file: file),
    ("text", str),
    ("bytes", lambda file: file.read_bytes()),
    ("file", lambda file: file.open("rb")),
    ("memory", lambda file: io.BytesIO(file.read_bytes())),
]


@pytest.mark.parametrize("source", [make for _, make in SOURCES], ids=[name for name, _ in SOURCES])
def test_photos_are_sent_from_wherever_they_are(ask: Ask, file: Path, source: Callable[[Path], PhotoSource]) -> None:
    with busy(refusal(503, "0"), Reply()) as server:
        ask(server.url, source(file))
    assert [body for _, _, body in server.asked] == [photo(), photo()], "a retry sends all of it once more"


@pytest.mark.parametrize("link", ["https://photos.example/ramen.jpg", "HTTP://photos.example/"])
def test_links_are_for_the_server_to_follow(ask: Ask, link: str) -> None:
    with busy(Reply()) as server:
        ask(server.url, link)
    assert json.loads(server.asked[0][2]) == {"url": link}


def test_results_and_errors_travel_between_processes() -> None:
    prediction = Prediction.from_json(PREDICTION)
    assert pickle.loads(pickle.dumps(prediction)) == prediction
    error = FoodVisionError("overloaded", "No room.", 503, "abc", 1.0)
    copy = pickle.loads(pickle.dumps(error))
    assert vars(copy) == vars(error)
    assert str(copy) == "No room."


def many_waiting(server: Busy | Service, photos: list[PhotoSource]) -> list[Prediction | FoodVisionError]:
    with FoodVision(server.url) as client:
        return client.predict_many(photos, top_k=2)


def many_async(server: Busy | Service, photos: list[PhotoSource]) -> list[Prediction | FoodVisionError]:
    async def work() -> list[Prediction | FoodVisionError]:
        async with AsyncFoodVision(server.url) as client:
            return await client.predict_many(photos, top_k=2)

    return asyncio.run(work())


@pytest.fixture(params=[many_waiting, many_async], ids=["sync", "async"])
def many(request: pytest.FixtureRequest) -> Callable[..., list[Prediction | FoodVisionError]]:
    asked: Callable[..., list[Prediction | FoodVisionError]] = request.param
    return asked


def test_without_httpx2_a_sentence_says_what_to_install() -> None:
    program = "import sys; sys.modules['httpx2'] = None; import food_vision.client"
    outcome = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert outcome.stderr.splitlines()[-1] == "ImportError: The client needs httpx2: `pip install '.[client]'`."


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with running_service(folder, {"FOOD_VISION_ALLOW_NETWORKS": "127.0.0.0/8"}) as service:
        yield service


def test_the_real_server_answers(ask: Ask, service: Service, origin: Origin) -> None:
    prediction = ask(service.url, photo(), options={"top_k": 3})
    assert len(prediction.predictions) == 3
    assert prediction.predictions[0] == max(prediction.predictions, key=lambda item: item.score)
    assert ask(service.url, origin.url("/photo.jpg")).photo.format == "JPEG"


def test_one_bad_photo_among_many_fails_alone(
    many: Callable[..., list[Prediction | FoodVisionError]], service: Service, origin: Origin, tmp_path: Path
) -> None:
    results = many(service, [photo(), b"no photo", tmp_path / "none", origin.url("/photo.jpg"), origin.url("/empty")])
    told = [result.code if isinstance(result, FoodVisionError) else "" for result in results]
    assert told == ["", "unsupported_format", "unreadable_file", "", "undecodable_photo"]


def test_the_model_and_its_answers_can_be_looked_into(service: Service) -> None:
    with FoodVision(service.url) as client:
        labels, model, explained = client.labels(), client.model(), client.explain(photo(), dish="ramen")
    assert len(labels) == len(set(labels)) == model.classes == 101
    assert model.name == explained.model.name
    assert explained.explanation is not None
    assert explained.explanation.dish == "ramen"
    assert max(map(max, explained.explanation.grid)) == 1


def test_the_model_and_its_answers_can_be_looked_into_asynchronously(service: Service) -> None:
    async def work() -> tuple[tuple[str, ...], str, Prediction]:
        async with AsyncFoodVision(service.url) as client:
            return await client.labels(), (await client.model()).name, await client.explain(photo())

    labels, name, explained = asyncio.run(work())
    assert len(labels) == 101
    assert name == explained.model.name
    assert explained.explanation is not None
    assert explained.explanation.dish == explained.dish


def test_the_real_servers_problem_is_the_error(ask: Ask, service: Service) -> None:
    error = refused(ask, service.url, "http://169.254.169.254/latest/")
    assert (error.status, error.code) == (403, "address_not_allowed")
    assert error.request_id
    assert refused(ask, service.url, photo(), options={"top_k": 0}).code == "invalid_parameter"
