"""Callers who take their time, or never come to the point, before there is a request; and those who do not."""

import contextlib
import http.client
import json
import re
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx2
import pytest

from tests.photos import photo
from tests.service import ROOT, Service, running_service

HEAD_BYTES = 65_536
HEAD_TIMEOUT = 1.5
CONNECTIONS = 40
GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
SETTINGS = {
    "FOOD_VISION_HEAD_TIMEOUT": str(HEAD_TIMEOUT),
    "FOOD_VISION_MAX_CONNECTIONS": str(CONNECTIONS),
    "FOOD_VISION_KEEP_ALIVE": "3",
}
WITH_ASYNCIO = """
import asyncio, sys, uvicorn.config
uvicorn.config.LOOP_FACTORIES["auto"] = "uvicorn.loops.asyncio:asyncio_loop_factory"
sys.argv = ["main.py"]
import runpy; runpy.run_path("main.py", run_name="__main__")
"""


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    command: Sequence[str] = (sys.executable, "main.py")
    if request.param == "asyncio":
        command = (sys.executable, "-c", WITH_ASYNCIO)
    with running_service(tmp_path_factory.mktemp(request.param), SETTINGS, command=command) as service:
        yield service


def port_of(service: Service) -> int:
    return int(service.url.rpartition(":")[2])


@contextlib.contextmanager
def connection(service: Service, sent: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port_of(service)), timeout=20) as connected:
        connected.sendall(sent)
        yield connected


def all_of(connected: socket.socket) -> bytes:
    """Return what comes until the server closes."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connected.recv(65_536):
            received += piece
    return received


def healthy_answer(connected: socket.socket) -> bytes:
    """Return the whole answer to a first request; head and body may come apart."""
    received = b""
    while not received.endswith(b'{"status":"ok"}'):
        piece = connected.recv(65_536)
        assert piece, received
        received += piece
    return received


def status_and_code(received: bytes) -> tuple[int, str]:
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    return int(head.split()[1]), json.loads(body)["code"]


def memory_of(pid: int) -> int:
    """Return resident bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def assert_healthy(service: Service, within: float = 1.0) -> None:
    began = time.monotonic()
    assert httpx2.get(f"{service.url}/healthz", trust_env=False).status_code == 200
    assert time.monotonic() - began < within


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        pytest.param(GET, b"A: " + b"b" * 995 + b"\r\n", id="header lines"),
        pytest.param(GET + b"A: ", b"b" * 1_000, id="one header"),
        pytest.param(GET, b"n" * 1_000, id="a header's name"),
        pytest.param(b"GET /", b"u" * 1_000, id="one URL"),
        pytest.param(b"", b"\r\n" * 500, id="empty lines"),
    ],
)
def test_a_head_without_end_is_refused(service: Service, begin: bytes, more: bytes) -> None:
    before = memory_of(service.process.pid)
    with connection(service, begin) as connected:
        with contextlib.suppress(ConnectionError):
            began = time.monotonic()
            while time.monotonic() - began < 5:
                connected.sendall(more)
            pytest.fail("it is still read")
        assert memory_of(service.process.pid) - before < 10_000_000
    assert_healthy(service)


@pytest.mark.parametrize("surplus", [0, 1], ids=["at the limit", "one byte over"])
@pytest.mark.parametrize("in_one_piece", [True, False], ids=["at once", "in pieces"])
def test_the_limit_is_exact(service: Service, surplus: int, in_one_piece: bool) -> None:
    end = b"\r\nConnection: close\r\n\r\n"
    head = GET + b"A: "
    head += b"b" * (HEAD_BYTES + surplus - len(head) - len(end)) + end
    with connection(service) as connected:
        for start in range(0, len(head), len(head) if in_one_piece else 30_000):
            connected.sendall(head[start:][: len(head) if in_one_piece else 30_000])
            time.sleep(0.02)
        received = all_of(connected)
    if surplus:
        assert status_and_code(received) == (431, "headers_too_large")
    else:
        assert received.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "more", [pytest.param(b"0\r\nA: b\r\n", id="trailers"), pytest.param(b"5;", id="extension of a chunk")]
)
def test_what_surrounds_a_body_is_bounded_too(service: Service, more: bytes) -> None:
    head = b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connection(service, head + more) as connected, contextlib.suppress(ConnectionError):
        began = time.monotonic()
        while time.monotonic() - began < 5:
            connected.sendall(b"A: " + b"b" * 995 + (b"\r\n" if b"0" in more else b""))
        pytest.fail("it is still read")
    assert_healthy(service)


@pytest.mark.parametrize("first", [b"", GET + b"\r\n"], ids=["first request", "later request"])
def test_a_head_that_trickles_is_told_so(service: Service, first: bytes) -> None:
    with connection(service, first) as connected:
        if first:
            assert healthy_answer(connected).startswith(b"HTTP/1.1 200 ")
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            connected.settimeout(0.3)
            received = b""
            for byte in GET * 10:
                connected.sendall(bytes([byte]))
                with contextlib.suppress(TimeoutError):
                    received += connected.recv(65_536)
                if received:
                    break
    assert status_and_code(received) == (408, "request_timeout")
    assert HEAD_TIMEOUT - 0.2 < time.monotonic() - began < HEAD_TIMEOUT + 1


def test_who_says_nothing_is_left(service: Service) -> None:
    with connection(service) as connected:
        began = time.monotonic()
        assert all_of(connected) == b""
    assert HEAD_TIMEOUT - 0.2 < time.monotonic() - began < HEAD_TIMEOUT + 1


@pytest.mark.parametrize(("after", "seconds"), [(b"", 3), (b"\r\n", HEAD_TIMEOUT)], ids=["nothing", "an empty line"])
def test_who_says_no_more_is_left(service: Service, after: bytes, seconds: float) -> None:
    with connection(service, GET + b"\r\n") as connected:
        assert healthy_answer(connected).startswith(b"HTTP/1.1 200 ")
        connected.sendall(after)
        began = time.monotonic()
        all_of(connected)
    assert seconds - 0.2 < time.monotonic() - began < seconds + 1.2


HALF_POST = b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize(
    "sent", [b"", b"GET /", GET + b"\r\n", HALF_POST], ids=["silent", "half a head", "idle", "half a body"]
)
def test_strangers_who_hold_everything_make_room(service: Service, sent: bytes) -> None:
    with contextlib.ExitStack() as strangers:
        for _ in range(CONNECTIONS + 20):
            strangers.enter_context(connection(service, sent))
        time.sleep(0.3)
        for _ in range(10):
            assert_healthy(service)
        files = list(Path(f"/proc/{service.process.pid}/fd").iterdir())
        assert len(files) < CONNECTIONS + 40
    assert_healthy(service)


def test_strangers_who_do_not_read_make_room(service: Service) -> None:
    page = httpx2.get(f"{service.url}/docs", trust_env=False).text
    (script,) = set(re.findall(r'src="(/docs/[^"]+bundle[^"]*)"', page))
    with contextlib.ExitStack() as strangers:
        for _ in range(CONNECTIONS + 20):
            stranger = strangers.enter_context(socket.socket())
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            stranger.connect(("127.0.0.1", port_of(service)))
            stranger.sendall(f"GET {script} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            time.sleep(0.01)
        time.sleep(0.5)
        for _ in range(10):
            assert_healthy(service)


def test_one_connection_serves_many_requests(service: Service) -> None:
    connected = http.client.HTTPConnection("127.0.0.1", port_of(service), timeout=5)
    connected.connect()
    port, began = connected.sock.getsockname()[1], time.monotonic()
    while time.monotonic() - began < 2 * HEAD_TIMEOUT:
        connected.request("GET", "/healthz")
        assert connected.getresponse().read() == b'{"status":"ok"}'
        assert connected.sock.getsockname()[1] == port
        time.sleep(0.1)
    connected.close()


def test_requests_in_a_row_are_all_answered(service: Service) -> None:
    """More of them than one head may have bytes, in one piece: each has its own bound."""
    count = 2 * HEAD_BYTES // len(GET)
    with connection(service) as connected:
        connected.sendall((GET + b"\r\n") * (count - 1) + GET + b"Connection: close\r\n\r\n")
        assert all_of(connected).count(b"HTTP/1.1 200 ") == count


def test_a_large_body_followed_by_a_request_is_no_large_head(service: Service) -> None:
    body = photo("PNG", 64, 64).ljust(300_000, b"\0")
    head = b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(body)
    with connection(service) as connected:
        connected.sendall(head + body + GET + b"Connection: close\r\n\r\n")
        received = all_of(connected)
    assert received.count(b"HTTP/1.1 ") == 2
    assert b" 431 " not in received


def test_a_large_upload_arrives(service: Service) -> None:
    body = photo("JPEG", 64, 64).ljust(20_000_000, b"\0")
    answer = service.client.post("/v1/predict", content=body, headers={"Content-Type": "image/jpeg"})
    assert answer.status_code == 200, answer.text


def test_a_body_may_take_longer_than_a_head(service: Service) -> None:
    body = photo("JPEG", 64, 64)

    def slowly() -> Iterator[bytes]:
        for start in range(0, len(body), len(body) // 5):
            yield body[start : start + len(body) // 5]
            time.sleep(HEAD_TIMEOUT / 3)

    answer = service.client.post("/v1/predict", content=slowly(), headers={"Content-Type": "image/jpeg"})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_address_of_all_is_ipv4_too(tmp_path: Path, workers: str) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with running_service(tmp_path, {"FOOD_VISION_HOST": "::", "WEB_CONCURRENCY": workers}, cwd=ROOT) as service:
        for host in ("127.0.0.1", "[::1]"):
            assert httpx2.get(f"http://{host}:{port_of(service)}/healthz", trust_env=False).status_code == 200
    assert service.process.returncode == 0
