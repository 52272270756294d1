"""Whatever callers hand to the client, and whatever answers it: what goes wrong is a ``FoodVisionError``."""

import asyncio
import io
from collections.abc import Callable
from typing import Any

import pytest

from food_vision.client import AsyncFoodVision, FoodVision, FoodVisionError, PhotoSource
from tests.busy import PREDICTION, PROBLEM, Reply, busy
from tests.test_client import Ask, ask, many, refused

__all__ = ["ask", "many"]
HALF = "\ud800"


@pytest.mark.parametrize(
    "photo",
    [
        pytest.param(bytearray(b"photo"), id="bytearray"),
        pytest.param(memoryview(b"photo"), id="memoryview"),
        pytest.param(memoryview(b"p.h.o.t.o")[::2], id="every other byte"),
    ],
)
def test_all_kinds_of_bytes_are_taken(ask: Ask, photo: bytearray | memoryview) -> None:
    with busy(Reply()) as server:
        ask(server.url, photo)
    assert server.asked[0][2] == b"photo"


@pytest.mark.parametrize(
    ("photo", "code"),
    [
        pytest.param(None, "unreadable_file", id="nothing"),
        pytest.param(5, "unreadable_file", id="a number"),
        pytest.param(io.StringIO("text"), "unreadable_file", id="a file of text"),
        pytest.param(f"{HALF}.jpg", "unreadable_file", id="a path that is no text"),
        pytest.param(f"http://{HALF}/", "invalid_url", id="a host that is no text"),
        pytest.param("http://a/\udcff.jpg", "invalid_url", id="a link that is no text"),
    ],
)
def test_what_is_no_photo_fails_before_anything_is_sent(ask: Ask, photo: PhotoSource, code: str) -> None:
    with busy(Reply()) as server:
        error = refused(ask, server.url, photo)
    assert (error.code, error.status) == (code, None)
    assert server.asked == []


def test_what_is_no_photo_among_many_fails_alone(many: Callable[..., list[Any]]) -> None:
    with busy(Reply()) as server:
        results = many(server, [b"photo", None, f"http://{HALF}/", bytearray(b"photo")])
    told = [result.code if isinstance(result, FoodVisionError) else result.dish for result in results]
    assert told == ["ramen", "unreadable_file", "invalid_url", "ramen"]


@pytest.mark.parametrize("dish", [pytest.param(HALF, id="no text"), pytest.param("a" * 100_000, id="too long")])
def test_an_option_that_cannot_be_sent_is_an_error(dish: str) -> None:
    async def explain() -> None:
        async with AsyncFoodVision(server.url) as client:
            await client.explain(b"photo", dish=dish)

    with busy(Reply()) as server, FoodVision(server.url) as client:
        for asked in (lambda: client.explain(b"photo", dish=dish), lambda: asyncio.run(explain())):
            with pytest.raises(FoodVisionError) as caught:
                asked()
            assert caught.value.code == "invalid_parameter"
    assert server.asked == []


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(200, b"[" * 200_000), id="a depth without end"),
        pytest.param(Reply(500, b"[" * 200_000), id="an error with a depth without end"),
        pytest.param(Reply(200, PREDICTION | {"score": 10**400}), id="a score beyond numbers"),
        pytest.param(Reply(500, PROBLEM | {"status": float("inf")}), id="a status beyond numbers"),
        pytest.param(Reply(200, PREDICTION | {"score": float("nan")}), id="a score that is no number"),
        pytest.param(Reply(200, PREDICTION | {"predictions": [{"dish": "a", "score": 1e300}]}), id="a long bar"),
        pytest.param(Reply(200, PREDICTION | {"dish": 5}), id="a dish that is no text"),
        pytest.param(Reply(200, PREDICTION | {"prediction_set": [5]}), id="a set of numbers"),
        pytest.param(Reply(200, PREDICTION | {"coverage": "most"}), id="a coverage in words"),
        pytest.param(Reply(200, PREDICTION | {"food": []}), id="neither food nor none"),
    ],
)
def test_answers_that_no_caller_could_use_are_an_error(ask: Ask, reply: Reply) -> None:
    with busy(reply) as server:
        assert refused(ask, server.url).code == "unexpected_answer"


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"url": f"http://{HALF}/"}, id="a URL that is no text"),
        pytest.param({"url": None}, id="no URL"),
        pytest.param({"api_key": HALF}, id="a key that is no text"),
        pytest.param({"api_key": 5}, id="a key that is a number"),
    ],
)
def test_a_server_that_cannot_be_one_is_told(arguments: dict[str, Any]) -> None:
    for kind in (FoodVision, AsyncFoodVision):
        with pytest.raises(FoodVisionError) as caught:
            kind(**arguments)
        assert caught.value.code == "invalid_server"
