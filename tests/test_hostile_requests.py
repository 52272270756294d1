"""What strangers try, row by row, against a real server: ways in that there are not, and uploads made to do harm."""

import base64
import contextlib
import json
import socket
from collections.abc import Iterator

import pytest

from tests.figures import eventually, figures
from tests.origin import Origin
from tests.photos import photo
from tests.service import Service, running_service

PHOTO = photo("JPEG", 64, 64)
TEXT = base64.b64encode(PHOTO).decode()
LIMIT = 200_000
FETCH_SLOTS = 8
BOUNDARY = "b0undary"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.fixture(scope="module")
def trap() -> Iterator[Origin]:
    """What the server's environment calls its proxy; nobody may ever come."""
    with Origin().running() as origin:
        yield origin


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, trap: Origin) -> Iterator[Service]:
    settings = {
        "FOOD_VISION_ALLOW_NETWORKS": "127.0.0.0/8",
        "FOOD_VISION_MAX_PHOTO_BYTES": str(LIMIT),
        "FOOD_VISION_FETCH_SLOTS": str(FETCH_SLOTS),
        "FOOD_VISION_FETCH_TIMEOUT": "25",
        "FOOD_VISION_BODY_TIMEOUT": "2",
        **dict.fromkeys(PROXIES, trap.url()),
    }
    with running_service(tmp_path_factory.mktemp("service"), settings) as service:
        yield service
        assert not any("internal_error" in series for series in figures(service.client))
        assert "Traceback" not in service.log()


def test_the_environments_proxies_are_a_trap_that_nobody_walks_into(
    service: Service, origin: Origin, trap: Origin
) -> None:
    assert service.ask(origin.url("/photo.jpg")).status_code == 200
    assert service.ask(f"https://127.0.0.1:{origin.talking_port}/").status_code == 502
    assert service.ask("http://10.0.0.1/").status_code == 403
    assert trap.connections == 0


# Uploads

IMAGE, JSON, FORM = "image/jpeg", "application/json", f"multipart/form-data; boundary={BOUNDARY}"


def part(content: bytes, more: str = "") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n{more}\r\n'
    return head.encode() + content + b"\r\n"


def form(*parts: bytes, end: bytes = b"--\r\n") -> bytes:
    return b"".join(parts) + b"--" + BOUNDARY.encode() + end


def image(text: str) -> bytes:
    return json.dumps({"image": text}).encode()


def in_chunks(data: bytes) -> list[bytes]:
    """A body that the client sends without saying how long it is."""
    return [data[start : start + 10_000] for start in range(0, len(data), 10_000)]


@pytest.mark.parametrize(
    ("kind", "body", "status", "code"),
    [
        pytest.param(IMAGE, PHOTO, 200, None, id="a photo"),
        pytest.param(IMAGE, in_chunks(PHOTO), 200, None, id="a photo without a length"),
        pytest.param(IMAGE, in_chunks(bytes(LIMIT + 1)), 413, "photo_too_large", id="no length, over the limit"),
        pytest.param(IMAGE, bytes(LIMIT + 1), 413, "photo_too_large", id="one byte over the limit"),
        pytest.param(IMAGE, b"", 422, "undecodable_photo", id="an empty photo"),
        pytest.param(FORM, form(part(PHOTO)), 200, None, id="a form"),
        pytest.param(FORM, form(part(PHOTO), end=b"--" + b"-" * 50_000), 200, None, id="dashes behind the boundary"),
        pytest.param(FORM, form(*[part(b"a")] * 1_001), 413, "too_many_items", id="1,001 fields"),
        pytest.param(
            FORM, form(part(PHOTO, f"X: {'a' * 100_000}\r\n")), 400, "malformed_body", id="a huge part header"
        ),
        pytest.param(FORM, form(part(PHOTO), part(PHOTO)), 422, "invalid_parameter", id="two files"),
        pytest.param(FORM, form(part(b"http://127.0.0.1/")), 415, "unsupported_format", id="a link in the file field"),
        pytest.param(FORM, part(PHOTO), 400, "malformed_body", id="a form without an end"),
        pytest.param(JSON, image(TEXT), 200, None, id="base64"),
        pytest.param(JSON, image(TEXT.replace("+", "-").replace("/", "_")), 200, None, id="base64, url-safe"),
        pytest.param(JSON, image(f"data:image/jpeg;base64,{TEXT}"), 200, None, id="data URI"),
        pytest.param(JSON, image(TEXT[:40] + " " + TEXT[40:]), 400, "malformed_body", id="base64 with a space"),
        pytest.param(JSON, image("AAAA="), 400, "malformed_body", id="base64 with wrong padding"),
        pytest.param(
            JSON, image(base64.b64encode(bytes(LIMIT + 1)).decode()), 413, "photo_too_large", id="base64 over the limit"
        ),
        pytest.param(JSON, b"[" * 100_000, 400, "malformed_body", id="deep JSON"),
        pytest.param(JSON, b'{"image": ' + b'{"a":' * 20_000, 400, "malformed_body", id="deep JSON inside"),
    ],
)
def test_uploads(service: Service, kind: str, body: bytes | list[bytes], status: int, code: str | None) -> None:
    answer = service.client.post("/v1/predict", content=body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text


@pytest.mark.parametrize(
    "size", [b"ffffffffffffffff", b"fffffffffffffffff", b"-1", b"0x10", b"1 0", b"", b"5;" + b"a" * 70_000]
)
def test_a_chunk_of_a_size_without_sense(service: Service, size: bytes) -> None:
    head = b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(address_of(service), timeout=20) as caller:
        caller.sendall(head + size + b"\r\n")
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := caller.recv(65_536):
                received += piece
    assert received[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 408", b"HTTP/1.1 413", b"HTTP/1.1 431"), received


# Ways in that there are not


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("POST", "/v2/repository/index", id="the repository of models"),
        pytest.param("POST", "/v2/repository/models/food-vision/load", id="load a model"),
        pytest.param("POST", "/v2/repository/models/food-vision/unload", id="unload a model"),
        pytest.param("GET", "/food-vision-model.h5", id="the weights"),
        pytest.param("GET", "/page/..%2f..%2fmain.py", id="a path upwards, encoded"),
        pytest.param("GET", "/page/../../etc/passwd", id="a path upwards"),
        pytest.param("GET", "/docs/assets/..%2f..%2fserver.py", id="a path upwards from the documentation"),
        pytest.param("GET", "/docs/%2e%2e/%2e%2e/etc/passwd", id="dots, encoded"),
        pytest.param("GET", "//etc/passwd", id="two slashes"),
        pytest.param("GET", "/.env", id="a hidden file"),
        pytest.param("GET", "/debug/pprof", id="a debugger"),
    ],
)
def test_there_is_no_such_way(service: Service, method: str, path: str) -> None:
    answer = service.client.request(method, service.url + path)
    assert answer.status_code == 404, answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize("path", ["/", "/v1/predict", "/nowhere", "/healthz", "/docs"])
def test_answers_name_no_program(service: Service, path: str) -> None:
    headers = service.client.get(path).headers
    assert not {"server", "x-powered-by", "via"} & set(headers)
    assert "uvicorn" not in str(headers).lower()


def test_slow_origins_do_not_keep_uploads_and_probes_waiting(service: Service, origin: Origin) -> None:
    """Every fetch slot is held by a server that says nothing, and none is given back until all others are served."""
    ask = f"POST /v1/predict?url={origin.url('/stall')} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    with contextlib.ExitStack() as held:
        for _ in range(FETCH_SLOTS):
            held.enter_context(socket.create_connection(address_of(service))).sendall(ask.encode())
        assert eventually(lambda: fetches_under_way(service) == FETCH_SLOTS)
        assert service.ask(origin.url("/photo.jpg")).status_code == 503
        for _ in range(10):
            headers = {"Content-Type": IMAGE}
            assert service.client.post("/v1/predict", content=PHOTO, headers=headers).status_code == 200
            assert service.client.get("/healthz").status_code == 200
        assert fetches_under_way(service) == FETCH_SLOTS
    assert eventually(lambda: fetches_under_way(service) == 0), "callers who leave free their place"
    assert service.ask(origin.url("/photo.jpg")).status_code == 200


def fetches_under_way(service: Service) -> float:
    return figures(service.client)["food_vision_fetches_in_flight"]


def address_of(service: Service) -> tuple[str, int]:
    return "127.0.0.1", int(service.url.rpartition(":")[2])
