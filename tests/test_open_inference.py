"""The Open Inference Protocol, spoken by Triton's own client to a real server."""

import base64
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.utils import InferenceServerException

from food_vision.intake.decode import decode
from food_vision.model.bundle import Bundle, load_bundle
from food_vision.settings import Settings
from tests.photos import photo
from tests.service import ROOT, Service, running_service

MODEL = "food-vision"
INFER = f"/v2/models/{MODEL}/infer"
PHOTOS = [photo("JPEG"), photo("PNG", 300, 500), photo("WEBP", 64, 64)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service"), {}) as service:
        yield service


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(service.url.removeprefix("http://")) as client:
        yield client


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(Settings().weights)


def photos_input(photos: list[bytes], *, binary: bool = True) -> InferInput:
    elements = photos if binary else [base64.b64encode(photo) for photo in photos]
    tensor = InferInput("photos", [len(photos)], "BYTES")
    tensor.set_data_from_numpy(np.array(elements, np.object_), binary_data=binary)
    return tensor


def pixels_input(pixels: NDArray[Any], *, binary: bool = True) -> InferInput:
    tensor = InferInput("pixels", list(pixels.shape), "UINT8" if pixels.dtype == np.uint8 else "FP32")
    tensor.set_data_from_numpy(pixels, binary_data=binary)
    return tensor


def scores(result: InferResult) -> NDArray[np.float32]:
    return np.asarray(result.as_numpy("scores"))


def test_health(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.is_model_ready(MODEL, "1.3.1")
    assert not client.is_model_ready("other")
    assert not client.is_model_ready(MODEL, "0.9")


def test_metadata(client: InferenceServerClient, bundle: Bundle) -> None:
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data", "classification"]
    expected = {
        "name": bundle.name,
        "versions": [bundle.version],
        "platform": "keras",
        "inputs": [
            {"name": "photos", "datatype": "BYTES", "shape": [-1]},
            {"name": "pixels", "datatype": "UINT8", "shape": [-1, 224, 224, 3]},
        ],
        "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 101]}],
    }
    assert client.get_model_metadata(MODEL) == expected
    assert client.get_model_metadata(MODEL, bundle.version) == expected


@pytest.mark.parametrize("binary_out", [True, False], ids=["binary out", "json out"])
@pytest.mark.parametrize("binary_in", [True, False], ids=["binary in", "json in"])
def test_photos_give_calibrated_scores(client: InferenceServerClient, binary_in: bool, binary_out: bool) -> None:
    outputs = [InferRequestedOutput("scores", binary_data=binary_out)]
    result = client.infer(MODEL, [photos_input(PHOTOS, binary=binary_in)], outputs=outputs, request_id="order 66 ü")
    assert result.get_response()["id"] == "order 66 ü"
    assert (result.get_response()["model_name"], result.get_response()["model_version"]) == (MODEL, "1.3.1")
    rows = scores(result)
    assert rows.shape == (3, 101)
    assert rows.dtype == np.float32
    assert rows.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert not np.array_equal(rows[0], rows[2])


def test_without_outputs_the_client_is_given_binary_data_as_it_asks(client: InferenceServerClient) -> None:
    result = client.infer(MODEL, [photos_input(PHOTOS)])
    assert result.get_output("scores")["parameters"] == {"binary_data_size": 3 * 101 * 4}
    assert "id" not in result.get_response()


def test_every_form_gives_the_same_scores(client: InferenceServerClient, bundle: Bundle) -> None:
    pixels = np.stack([decode(data, bundle.preprocessing).pixels for data in PHOTOS[:2]])
    forms = {
        f"{tensor.name()} {tensor.datatype()} {'json' if tensor._get_binary_data() is None else 'binary'}": scores(
            client.infer(MODEL, [tensor])
        )
        for binary in (True, False)
        for tensor in (
            photos_input(PHOTOS[:2], binary=binary),
            pixels_input(pixels, binary=binary),
            pixels_input(pixels.astype(np.float32), binary=binary),
        )
    }
    assert len(forms) == 6
    expected = forms["photos BYTES binary"]
    for name, rows in forms.items():
        assert rows == pytest.approx(expected, abs=1e-5), name


def test_nested_json_is_read_as_flat_json_is(service: Service, bundle: Bundle) -> None:
    pixels = decode(PHOTOS[0], bundle.preprocessing).pixels[np.newaxis]
    tensor = {"name": "pixels", "datatype": "UINT8", "shape": list(pixels.shape)}
    nested, flat = (
        service.client.post(INFER, json={"inputs": [{**tensor, "data": data}]})
        for data in (pixels.tolist(), pixels.ravel().tolist())
    )
    assert nested.status_code == 200, nested.text
    assert nested.json() == flat.json()
    assert nested.headers["content-type"] == "application/json"


def test_fp32_is_rounded_to_whole_values(client: InferenceServerClient) -> None:
    whole = np.full((1, 224, 224, 3), 100, np.float32)
    assert np.array_equal(
        scores(client.infer(MODEL, [pixels_input(whole + 0.4)])), scores(client.infer(MODEL, [pixels_input(whole)]))
    )


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
def test_classification(client: InferenceServerClient, bundle: Bundle, binary: bool) -> None:
    rows = scores(client.infer(MODEL, [photos_input(PHOTOS)]))
    outputs = [InferRequestedOutput("scores", binary_data=binary, class_count=3)]
    answer = client.infer(MODEL, [photos_input(PHOTOS)], outputs=outputs)
    assert answer.get_output("scores")["datatype"] == "BYTES"
    texts = [[element if isinstance(element, str) else element.decode() for element in row] for row in scores(answer)]
    for row, told in zip(rows, texts, strict=True):
        best = np.argsort(-row, kind="stable")[:3]
        assert told == [f"{row[index]:.4f}:{index}:{bundle.display_names[index]}" for index in best]


def test_as_many_photos_as_are_taken(client: InferenceServerClient) -> None:
    rows = scores(client.infer(MODEL, [photos_input([PHOTOS[0], PHOTOS[2]] * 16)], model_version="1.3.1"))
    assert np.array_equal(rows[0::2], np.repeat(rows[:1], 16, axis=0))
    assert np.array_equal(rows[1::2], np.repeat(rows[1:2], 16, axis=0))


def test_failures_reach_the_client_as_its_own_exception(client: InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="photos, element 1: This is a PDF") as caught:
        client.infer(MODEL, [photos_input([PHOTOS[0], b"%PDF-1.7"])])
    assert caught.value.status() == "415"
    with pytest.raises(InferenceServerException, match="The only model here is food-vision"):
        client.infer("other", [photos_input(PHOTOS)])
    with pytest.raises(InferenceServerException, match="compressed"):
        client.infer(MODEL, [photos_input(PHOTOS)], request_compression_algorithm="gzip")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/v2/nowhere", 404, id="no such route"),
        pytest.param("GET", "/v2/models/other", 404, id="no such model"),
        pytest.param("GET", f"/v2/models/{MODEL}/versions/2", 404, id="no such version"),
        pytest.param("POST", "/v2/models/other/infer", 404, id="no such model to infer with"),
        pytest.param("POST", f"/v2/models/{MODEL}/versions/2/infer", 404, id="no such version to infer with"),
        pytest.param("GET", INFER, 405, id="wrong method"),
    ],
)
def test_failures_have_the_protocols_shape(service: Service, method: str, path: str, status: int) -> None:
    assert_error(service.client.request(method, path), status)


def assert_error(answer: httpx2.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    assert answer.json()["error"].endswith(".")


def test_other_routes_keep_their_shape(service: Service) -> None:
    assert service.client.get("/v2nd").json()["code"] == "not_found"


def test_overload_is_said_in_the_protocols_shape(tmp_path: Path) -> None:
    """One place, and several callers who want 32 photos told each: one after the other for each, but not for all."""
    body = {"inputs": [{"name": "photos", "datatype": "BYTES", "shape": [32], "data": [_text(PHOTOS[1])] * 32}]}
    with running_service(tmp_path, {"FOOD_VISION_QUEUE_LIMIT": "1"}) as service:
        alone = service.client.post(INFER, json=body)
        start = threading.Barrier(4)

        def ask() -> httpx2.Response:
            start.wait()
            return httpx2.post(service.url + INFER, json=body, timeout=30, trust_env=False)

        with ThreadPoolExecutor(4) as callers:
            answers = [asked.result() for asked in [callers.submit(ask) for _ in range(4)]]
    assert alone.status_code == 200, alone.text
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused
    for answer in refused:
        assert_error(answer, 503)
        assert answer.headers["retry-after"] == "1"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


PAGE = (ROOT / "docs" / "open-inference.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"<!-- runs -->\n```(\w+)\n(.*?)```.*?<!-- printed -->\n```text\n(.*?)```", PAGE, flags=re.DOTALL)
RUNNERS = {"python": [sys.executable, "-c"], "bash": ["bash", "-c"]}
RAMEN = ROOT.parent / "shared" / "data" / "sharp" / "test" / "ramen" / "1009072.webp"


@pytest.mark.parametrize(("language", "code", "printed"), EXAMPLES, ids=["Triton's client", "curl"])
def test_the_pages_examples_print_what_the_page_shows(
    service: Service, tmp_path: Path, language: str, code: str, printed: str
) -> None:
    if not RAMEN.exists():
        pytest.skip("photos not present: Food-101's test photos")
    (tmp_path / "ramen.jpg").write_bytes(RAMEN.read_bytes())
    code = code.replace("localhost:5000", service.url.removeprefix("http://"))
    outcome = subprocess.run([*RUNNERS[language], code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.strip() == printed.strip()


def test_the_page_names_every_route(service: Service) -> None:
    paths = [path for path in service.client.get("/openapi.json").json()["paths"] if path.startswith("/v2")]
    assert len(paths) == 9
    for path in paths:
        assert f"{path}`" in PAGE, path
