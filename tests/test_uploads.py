"""Bodies on the wire: too long, too slow, without end, or left half way; each ends in one answer and a closed door."""

import base64
import contextlib
import json
import socket
import time
from collections.abc import Iterator

import pytest

from tests.photos import photo
from tests.service import Service, running_service

LIMIT = 100_000
BODY_TIMEOUT = 1.0
PHOTO = photo("JPEG", 64, 64)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {
        "FOOD_VISION_MAX_PHOTO_BYTES": str(LIMIT),
        "FOOD_VISION_BODY_TIMEOUT": str(BODY_TIMEOUT),
        "FOOD_VISION_MAX_BATCH_BYTES": "200000",
        "FOOD_VISION_UPLOAD_BYTES": "150000",
    }
    with running_service(tmp_path_factory.mktemp("service"), settings) as service:
        yield service


@contextlib.contextmanager
def connection(service: Service, head: str, path: str = "/v1/predict") -> Iterator[socket.socket]:
    port = int(service.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connected:
        connected.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\n{head}\r\n".encode())
        yield connected


def answer_on(connected: socket.socket) -> tuple[int, dict[str, str], str]:
    """Return status, headers and code of the answer, and make sure that the server closes behind it."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connected.recv(65_536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, json.loads(body)["code"]


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


CHUNKED = "Transfer-Encoding: chunked\r\nContent-Type: image/jpeg\r\n"


def test_a_body_without_a_length_is_counted(service: Service) -> None:
    with connection(service, CHUNKED) as connected:
        for _ in range(3):
            connected.sendall(chunk(bytes(LIMIT // 2)))
        status, headers, code = answer_on(connected)
    assert (status, code, headers["connection"]) == (413, "photo_too_large", "close")


def test_a_declared_length_over_the_limit_is_refused_at_once(service: Service) -> None:
    with connection(service, f"Content-Length: {LIMIT + 1}\r\nExpect: 100-continue\r\n") as connected:
        started = time.monotonic()
        status, _, code = answer_on(connected)
    assert (status, code) == (413, "photo_too_large")
    assert time.monotonic() - started < 0.5, "nothing was sent, so there is nothing to wait for"


def test_a_caller_who_sends_everything_first_still_gets_the_refusal(service: Service) -> None:
    answer = service.client.post("/v1/predict", content=bytes(40 * LIMIT))
    assert (answer.status_code, answer.json()["code"]) == (413, "photo_too_large")


def test_a_body_that_trickles_is_cut_off(service: Service) -> None:
    with connection(service, "Content-Length: 5000\r\n") as connected:
        started = time.monotonic()
        connected.settimeout(0.1)
        answered = False
        while not answered and time.monotonic() - started < 10:
            connected.sendall(b"\xff")
            with contextlib.suppress(TimeoutError):
                answered = bool(connected.recv(1, socket.MSG_PEEK))
        took = time.monotonic() - started
        connected.settimeout(5)
        status, headers, code = answer_on(connected)
    assert (status, code, headers["connection"]) == (408, "request_timeout", "close")
    assert BODY_TIMEOUT <= took < BODY_TIMEOUT + 3


def test_refused_before_the_body_is_read_closes_as_well(service: Service) -> None:
    with connection(service, "Content-Length: 5000\r\nExpect: 100-continue\r\n", "/nowhere") as connected:
        status, headers, code = answer_on(connected)
    assert (status, code, headers["connection"]) == (404, "not_found", "close")


def test_a_caller_who_leaves_half_way_frees_the_room(service: Service) -> None:
    for _ in range(5):
        with connection(service, f"Content-Length: {LIMIT}\r\n") as connected:
            connected.sendall(bytes(LIMIT - 1))
    wait_for_room(service)
    assert service.client.post("/v1/predict", content=PHOTO).status_code == 200


def test_bodies_of_all_requests_together_are_bounded(service: Service) -> None:
    with connection(service, f"Content-Length: {LIMIT}\r\n") as waiting:
        waiting.sendall(bytes(LIMIT - 1))
        time.sleep(0.2)
        refused = service.client.post("/v1/predict", content=bytes(LIMIT))
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert refused.headers["retry-after"]
        assert service.client.post("/v1/predict", content=PHOTO).status_code == 200
    wait_for_room(service)


def wait_for_room(service: Service) -> None:
    """Return when the server has noticed that the callers before are gone."""
    deadline = time.monotonic() + 5
    while service.client.post("/v1/predict", content=bytes(LIMIT)).status_code == 503:
        assert time.monotonic() < deadline


def test_base64_that_unfolds_beyond_the_limit(service: Service) -> None:
    text = base64.b64encode(bytes(LIMIT + 1)).decode()
    answer = service.client.post("/v1/predict", json={"image": text})
    assert (answer.status_code, answer.json()["code"]) == (413, "photo_too_large")
    item, good = service.client.post(
        "/v1/predict/batch", json=[{"image": text}, {"image": base64.b64encode(PHOTO).decode()}]
    ).json()["results"]
    assert item["problem"]["code"] == "photo_too_large"
    assert "result" in good


def test_the_connection_is_kept_after_a_body_that_was_read(service: Service) -> None:
    answer = service.client.post("/v1/predict", content=PHOTO)
    assert answer.status_code == 200
    assert "connection" not in answer.headers


def test_broken_forms_leave_nothing_in_the_log_but_their_line(service: Service) -> None:
    head = {"Content-Type": "multipart/form-data; boundary=a"}
    answer = service.client.post("/v1/predict", content=b"--hunter2\r\n", headers=head)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")
    before, _, _ = service.log().partition(answer.headers["x-request-id"])
    assert "boundary" not in before
    assert "hunter2" not in service.log()
