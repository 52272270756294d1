"""Bodies that are wrong on purpose: each is refused with 400 and a sentence that says why, at once."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from tests.photos import photo
from tests.service import Service, running_service
from tests.test_open_inference import INFER, assert_error

SIZE = 224
VALUES = SIZE * SIZE * 3
JPEG = photo()
BASE64 = base64.b64encode(JPEG).decode()
LENGTH_HEADER = "Inference-Header-Content-Length"
QUICKLY = 5.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service"), {"FOOD_VISION_MAX_PHOTO_BYTES": "1000000"}) as service:
        yield service


def photos(**changes: object) -> dict[str, Any]:
    return {"inputs": [{"name": "photos", "datatype": "BYTES", "shape": [1], "data": [BASE64], **changes}]}


def pixels(**changes: object) -> dict[str, Any]:
    tensor = {"name": "pixels", "datatype": "UINT8", "shape": [1, SIZE, SIZE, 3], "data": [7] * VALUES}
    return {"inputs": [tensor | changes]}


def output(**parameters: object) -> dict[str, Any]:
    return photos() | {"outputs": [{"name": "scores", "parameters": parameters}]}


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def with_data(data: str) -> str:
    """A request whose data is JSON that Python would not write."""
    return json.dumps(pixels(datatype="FP32", data="DATA")).replace('"DATA"', data)


JSON_BODIES = [
    pytest.param("", "Invalid JSON", id="empty"),
    pytest.param("{", "Invalid JSON", id="cut JSON"),
    pytest.param('{"inputs": []} {}', "Invalid JSON", id="something behind the JSON"),
    pytest.param("[]", "object", id="a list"),
    pytest.param("{}", "inputs", id="no inputs"),
    pytest.param(nested(100_000), "Invalid JSON", id="deep JSON"),
    pytest.param("[" * 100_000, "Invalid JSON", id="deep JSON without an end"),
    pytest.param(with_data(nested(150)), "shape", id="deep data"),
    pytest.param('{"inputs":[' + "{}," * 300_000 + "{}]}", "more values", id="many objects"),
    pytest.param(with_data("[" + "0," * 1_000_000 + "0]"), "more values", id="many values"),
    pytest.param('{"inputs":[' + "0," * 500_000 + "0]}", "inputs", id="many wrong inputs"),
    pytest.param(with_data("9" * 100_000), "Invalid JSON", id="a number of 100,000 digits"),
    pytest.param(with_data("[" + "9" * 4000 + ",0" * (VALUES - 1) + "]"), "between 0 and 255", id="a huge number"),
    pytest.param(with_data("[NaN" + ",0" * (VALUES - 1) + "]"), "between 0 and 255", id="NaN among numbers"),
    pytest.param(with_data("[Infinity" + ",0" * (VALUES - 1) + "]"), "between 0 and 255", id="infinity"),
    pytest.param(with_data("[1e999" + ",0" * (VALUES - 1) + "]"), "between 0 and 255", id="infinity by exponent"),
    pytest.param(with_data("[null" + ",0" * (VALUES - 1) + "]"), "numbers", id="null among numbers"),
    pytest.param(with_data('["7"' + ",0" * (VALUES - 1) + "]"), "numbers", id="text among numbers"),
    pytest.param(with_data("[true" + ",0" * (VALUES - 1) + "]"), "numbers", id="a truth among numbers"),
    pytest.param(with_data("[[]" + ",0" * (VALUES - 1) + "]"), "numbers", id="a list among numbers"),
    pytest.param('{"id": "\\ud800", "inputs": []}', "Invalid JSON", id="half a character in the id"),
    pytest.param(
        '{"inputs": [{"name": "photos", "shape": [1], "datatype": "BYTES", "data": NaN}]}', "data", id="NaN data"
    ),
]


@pytest.mark.parametrize(("body", "reason"), JSON_BODIES)
def test_broken_json(service: Service, body: str, reason: str) -> None:
    assert_refused(service, body.encode(), {}, reason)


REQUESTS = [
    pytest.param({"inputs": []}, "one tensor", id="no tensor"),
    pytest.param({"inputs": photos()["inputs"] * 2}, "one tensor", id="two tensors"),
    pytest.param({"inputs": photos()["inputs"] * 5}, "inputs", id="five tensors"),
    pytest.param(photos(name="image"), "photos of datatype BYTES", id="unknown input"),
    pytest.param(photos(datatype="UINT8"), "photos of datatype BYTES", id="photos as UINT8"),
    pytest.param(pixels(datatype="BYTES"), "photos of datatype BYTES", id="pixels as BYTES"),
    pytest.param(pixels(datatype="FP16"), "UINT8 or FP32", id="FP16"),
    pytest.param(pixels(datatype="INT8"), "UINT8 or FP32", id="INT8"),
    pytest.param(photos(datatype=None), "datatype", id="no datatype"),
    pytest.param(photos(shape=[]), "shape", id="no dimension"),
    pytest.param(photos(shape=[0]), "from 1 to 32", id="none"),
    pytest.param(photos(shape=[-1]), "from 1 to 32", id="a negative number"),
    pytest.param(photos(shape=[33], data=[BASE64] * 33), "from 1 to 32", id="33 photos"),
    pytest.param(photos(shape=[2**64]), "from 1 to 32", id="2**64 photos"),
    pytest.param(photos(shape=[1, 1]), "shape", id="a dimension too many"),
    pytest.param(photos(shape=[1.0]), "shape", id="a shape of fractions"),
    pytest.param(photos(shape=[True]), "shape", id="a shape of truths"),
    pytest.param(photos(shape="1"), "shape", id="a shape of text"),
    pytest.param(photos(shape=[1] * 1000), "shape", id="1,000 dimensions"),
    pytest.param(photos(shape=[2]), "as the shape says, 2", id="fewer photos than the shape says"),
    pytest.param(photos(data=[BASE64, BASE64]), "as the shape says, 1", id="more photos than the shape says"),
    pytest.param(photos(data=None), "data", id="no data"),
    pytest.param(photos(data=BASE64), "data", id="data that is no list"),
    pytest.param(photos(data=[1]), "text", id="a number for a photo"),
    pytest.param(photos(data=["{}"]), "base64", id="no base64"),
    pytest.param(photos(data=[BASE64[:9]]), "base64", id="cut base64"),
    pytest.param(photos(data=["https://photos.example/1.jpg"]), "base64", id="a link: nothing is fetched here"),
    pytest.param(photos(parameters={"content_type": "np"}), "content_type", id="another content type"),
    pytest.param(photos(parameters={"binary_data_size": 5}, data=None), "0 bytes follow", id="no binary data"),
    pytest.param(photos(parameters={"binary_data_size": 0}), "both", id="both data and binary data"),
    pytest.param(pixels(shape=[2**40, SIZE, SIZE, 3]), "from 1 to 32", id="2**40 pictures"),
    pytest.param(pixels(shape=[2**62, 2, 2, 3]), "shape", id="a product that overflows"),
    pytest.param(pixels(shape=[1, 3, SIZE, SIZE]), "shape", id="channels first"),
    pytest.param(pixels(shape=[1, SIZE, SIZE, 4]), "shape", id="four channels"),
    pytest.param(pixels(shape=[SIZE, SIZE, 3]), "shape", id="no number of pictures"),
    pytest.param(pixels(data=[7] * (VALUES - 1)), "shape", id="a value too few"),
    pytest.param(pixels(data=[7] * (VALUES + 1)), "shape", id="a value too many"),
    pytest.param(pixels(data=[[[[7] * 3] * SIZE] * (SIZE - 1)]), "shape", id="a row too few"),
    pytest.param(pixels(data=[[[[7] * 2] * SIZE] * SIZE]), "shape", id="two channels in the data"),
    pytest.param(pixels(data=[256] + [7] * (VALUES - 1)), "between 0 and 255", id="256"),
    pytest.param(pixels(data=[-1] + [7] * (VALUES - 1)), "between 0 and 255", id="-1"),
    pytest.param(pixels(data=[0.5] + [7] * (VALUES - 1)), "whole", id="a fraction as UINT8"),
    pytest.param(pixels(data="7" * VALUES), "shape", id="text for pixels"),
    pytest.param(pixels(data={"0": 7}), "shape", id="an object for pixels"),
    pytest.param(photos() | {"outputs": [{"name": "probabilities"}]}, "one output", id="unknown output"),
    pytest.param(photos() | {"outputs": [{"name": "scores"}] * 2}, "one output", id="an output twice"),
    pytest.param(output(classification=0), "from 1 to 101", id="no classes"),
    pytest.param(output(classification=102), "from 1 to 101", id="more classes than there are"),
    pytest.param(output(classification="3"), "classification", id="classes as text"),
    pytest.param(output(binary_data="yes"), "binary_data", id="binary data as text"),
    pytest.param(output(shared_memory_region="r"), "shared_memory_region", id="shared memory"),
    pytest.param(photos() | {"id": 7}, "id", id="an id that is no text"),
    pytest.param(photos() | {"id": "x" * 1025}, "id", id="a long id"),
    pytest.param(photos() | {"parameters": []}, "parameters", id="parameters that are no object"),
]


@pytest.mark.parametrize(("request_", "reason"), REQUESTS)
def test_wrong_requests(service: Service, request_: dict[str, Any], reason: str) -> None:
    assert_refused(service, json.dumps(request_).encode(), {}, reason)


def element(data: bytes, length: int | None = None) -> bytes:
    return (len(data) if length is None else length).to_bytes(4, "little") + data


def floats(first: float) -> bytes:
    values = np.zeros(VALUES, "<f4")
    values[0] = first
    return values.tobytes()


BINARY = [
    pytest.param("BYTES", [1], element(JPEG)[:3], "within element 0", id="cut within the length"),
    pytest.param("BYTES", [1], b"", "within element 0", id="nothing"),
    pytest.param("BYTES", [1], element(JPEG)[:-1], "within element 0", id="cut within the photo"),
    pytest.param("BYTES", [1], element(JPEG, 2**32 - 1), "within element 0", id="a length of 4 GB"),
    pytest.param("BYTES", [2], element(JPEG), "within element 1", id="one photo instead of two"),
    pytest.param("BYTES", [1], element(JPEG) + b"\0", "1 bytes follow", id="a byte too many"),
    pytest.param("BYTES", [1], b"\0" * 4_000_000, "bytes follow", id="a million empty photos"),
    pytest.param("UINT8", [1, SIZE, SIZE, 3], b"\0" * (VALUES - 1), "150,528 bytes", id="UINT8, a byte too few"),
    pytest.param("UINT8", [1, SIZE, SIZE, 3], b"\0" * (VALUES + 1), "150,528 bytes", id="UINT8, a byte too many"),
    pytest.param("UINT8", [2, SIZE, SIZE, 3], b"\0" * VALUES, "301,056 bytes", id="UINT8, a picture too few"),
    pytest.param("UINT8", [2**40, SIZE, SIZE, 3], b"\0" * VALUES, "from 1 to 32", id="UINT8, 2**40 pictures"),
    pytest.param("FP32", [1, SIZE, SIZE, 3], b"\0" * VALUES, "602,112 bytes", id="FP32 that is UINT8"),
    pytest.param("FP32", [1, SIZE, SIZE, 3], floats(float("nan")), "between 0 and 255", id="FP32, NaN"),
    pytest.param("FP32", [1, SIZE, SIZE, 3], floats(float("inf")), "between 0 and 255", id="FP32, infinity"),
    pytest.param("FP32", [1, SIZE, SIZE, 3], floats(-0.6), "between 0 and 255", id="FP32 below 0"),
    pytest.param("FP32", [1, SIZE, SIZE, 3], floats(255.5), "between 0 and 255", id="FP32 above 255"),
]


@pytest.mark.parametrize(("datatype", "shape", "data", "reason"), BINARY)
def test_wrong_binary_data(service: Service, datatype: str, shape: list[int], data: bytes, reason: str) -> None:
    text = binary_request(datatype, shape, len(data))
    assert_refused(service, text + data, {LENGTH_HEADER: str(len(text))}, reason)


def binary_request(datatype: str, shape: list[int], size: object) -> bytes:
    name = "photos" if datatype == "BYTES" else "pixels"
    tensor = {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}
    return json.dumps({"inputs": [tensor]}).encode()


DATA = element(JPEG)
TEXT = binary_request("BYTES", [1], len(DATA))
LENGTHS = [
    pytest.param("-1", "number of bytes", id="negative"),
    pytest.param("+5", "number of bytes", id="signed"),
    pytest.param("0x10", "number of bytes", id="hexadecimal"),
    pytest.param("1_0", "number of bytes", id="underscored"),
    pytest.param("", "number of bytes", id="empty"),
    pytest.param("9" * 5000, "number of bytes", id="5,000 digits"),
    pytest.param("999999999999", "the body has", id="more than the body"),
    pytest.param("0", "Invalid JSON", id="none"),
    pytest.param(str(len(TEXT) - 1), "Invalid JSON", id="one too few"),
    pytest.param(str(len(TEXT) + 1), "Invalid JSON", id="one too many"),
]


@pytest.mark.parametrize(("length", "reason"), LENGTHS)
def test_wrong_lengths_of_the_json(service: Service, length: str, reason: str) -> None:
    assert_refused(service, TEXT + DATA, {LENGTH_HEADER: length}, reason)


@pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1, -1, 2**70, "5", None, 1.5, True], ids=str)
def test_wrong_sizes_of_the_binary_data(service: Service, size: object) -> None:
    text = binary_request("BYTES", [1], size)
    assert_refused(service, text + DATA, {LENGTH_HEADER: str(len(text))}, "binary_data_size")


def test_two_lengths_of_the_json_are_refused(service: Service) -> None:
    headers = [(LENGTH_HEADER, str(len(TEXT))), (LENGTH_HEADER, "5")]
    answer = service.client.post(INFER, content=TEXT + DATA, headers=headers)
    assert_error(answer, 400)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip"])
def test_compressed_bodies_are_refused(service: Service, encoding: str) -> None:
    assert_refused(service, TEXT + DATA, {LENGTH_HEADER: str(len(TEXT)), "Content-Encoding": encoding}, "compressed")


def test_a_photo_with_too_many_bytes_is_refused(service: Service) -> None:
    data = element(b"\0" * 1_000_001)
    text = binary_request("BYTES", [1], len(data))
    answer = service.client.post(INFER, content=text + data, headers={LENGTH_HEADER: str(len(text))})
    assert_error(answer, 413)
    in_json = service.client.post(INFER, json=photos(data=["A" * 1_333_400]))
    assert_error(in_json, 413)


def test_a_body_with_too_many_bytes_is_refused_declared_or_counted(tmp_path: Path) -> None:
    with running_service(tmp_path, {"FOOD_VISION_MAX_BATCH_BYTES": "10000"}) as service:
        declared = service.client.post(INFER, content=b"x" * 10_001)
        counted = service.client.post(INFER, content=iter([b"x" * 1_000] * 11))
        fits = service.client.post(INFER, content=iter([b"x" * 1_000] * 10))
    for answer in (declared, counted):
        assert_error(answer, 413)
    assert_error(fits, 400)


def test_health_answers_while_large_bodies_are_parsed(service: Service) -> None:
    body = with_data("[" + "0.123," * 520_000 + "0]").encode()
    stop = threading.Event()

    def keep_sending() -> None:
        with httpx2.Client(base_url=service.url, timeout=30, trust_env=False) as client:
            while not stop.is_set():
                client.post(INFER, content=body)

    with ThreadPoolExecutor(4) as callers:
        for _ in range(4):
            callers.submit(keep_sending)
        time.sleep(0.5)
        times = sorted(_time_of(service, "/healthz") for _ in range(50))
        stop.set()
    # Within what one body takes to be parsed, not four.
    assert times[40] < 0.3, times


def _time_of(service: Service, path: str) -> float:
    started = time.perf_counter()
    assert service.client.get(path).status_code == 200
    return time.perf_counter() - started


def test_the_good_ones_are_taken(service: Service) -> None:
    """The rows above fail for their own reason only if what they are made from is right."""
    for request_ in (photos(), pixels(), output(classification=101), photos(parameters={"content_type": "base64"})):
        assert service.client.post(INFER, json=request_).status_code == 200
    ignored = photos(parameters={"content_type": "base64", "anything": [1]}) | {"parameters": {"priority": 3}}
    assert service.client.post(INFER, json=ignored).status_code == 200
    binary = service.client.post(INFER, content=TEXT + DATA, headers={LENGTH_HEADER: str(len(TEXT))})
    assert binary.status_code == 200


def assert_refused(service: Service, body: bytes, headers: dict[str, str], reason: str) -> None:
    started = time.monotonic()
    answer = service.client.post(INFER, content=body, headers=headers)
    assert_error(answer, 400)
    assert reason in answer.json()["error"]
    assert len(answer.content) < 500
    assert time.monotonic() - started < QUICKLY
