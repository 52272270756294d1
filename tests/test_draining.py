"""SIGTERM: readiness off at once, listening on for the delay, then what is in flight is finished, and the exit is 0."""

import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tests.figures import eventually, figures
from tests.origin import Origin
from tests.service import Service, running_service
from tests.test_server import children

DELAY = 1.5
SETTINGS = {"FOOD_VISION_ALLOW_NETWORKS": "127.0.0.0/8", "FOOD_VISION_DRAIN_DELAY": str(DELAY)}


def ask_anew(service: Service, path: str) -> httpx2.Response:
    """Ask over a new connection, as a router that has not noticed yet would."""
    with httpx2.Client(base_url=service.url, timeout=30, trust_env=False, verify=False) as client:
        return client.get(path)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_end_is_announced_before_it_comes(tmp_path: Path, origin: Origin, workers: str) -> None:
    with running_service(tmp_path, SETTINGS | {"WEB_CONCURRENCY": workers}) as service, ThreadPoolExecutor(4) as pool:
        slow = [pool.submit(service.ask, origin.url("/slow?pause=3")) for _ in range(4)]
        time.sleep(0.5)
        began = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        assert eventually(lambda: {ask_anew(service, "/readyz").status_code for _ in range(6)} == {503}, 1.2)
        assert ask_anew(service, "/readyz").json()["code"] == "draining"
        late = ask_anew(service, "/")
        assert (late.status_code, late.headers["connection"]) == (200, "close")
        assert [answer.result().status_code for answer in slow] == [200] * 4
        assert service.process.wait(20) == 0
        assert time.monotonic() - began >= DELAY


@pytest.mark.parametrize("workers", ["1", "2"])
def test_nobody_is_let_in_to_wait_for_the_end(tmp_path: Path, origin: Origin, workers: str) -> None:
    """With several workers the parent kept the socket open: callers got in, and were cut off at its end."""
    with running_service(tmp_path, SETTINGS | {"WEB_CONCURRENCY": workers}) as service, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(service.ask, origin.url(f"/slow?pause={DELAY + 3}"))
        time.sleep(0.5)
        service.process.send_signal(signal.SIGTERM)
        time.sleep(DELAY + 0.7)
        with pytest.raises(httpx2.ConnectError):
            ask_anew(service, "/healthz")
        assert slow.result().status_code == 200
        assert service.process.wait(20) == 0


@pytest.mark.parametrize("ignored", [True, False])
def test_a_terminal_that_closes(tmp_path: Path, origin: Origin, ignored: bool) -> None:
    """Its signal goes to all processes at once. Who started the server by nohup wants it to go on."""
    command = ("nohup", sys.executable, "main.py") if ignored else (sys.executable, "main.py")
    settings = SETTINGS | {"WEB_CONCURRENCY": "2"}
    with running_service(tmp_path, settings, command=command) as service, ThreadPoolExecutor(1) as pool:
        assert eventually(lambda: figures(service.client)["food_vision_workers"] == 2, 30)
        everybody = [service.process.pid, *children(service.process.pid)]
        slow = pool.submit(service.ask, origin.url("/slow?pause=2"))
        time.sleep(0.5)
        for process in everybody:
            os.kill(process, signal.SIGHUP)
        assert slow.result().status_code == 200
        if ignored:
            assert [service.process.pid, *children(service.process.pid)] == everybody
        else:
            assert service.process.wait(20) == 0


def test_a_second_signal_shortens_nothing(tmp_path: Path) -> None:
    """Some platforms send it to every process, and the parent sends it to its workers once more."""
    with running_service(tmp_path, SETTINGS | {"WEB_CONCURRENCY": "2"}) as service:
        everybody = [service.process.pid, *children(service.process.pid)]
        began = time.monotonic()
        for process in everybody:
            os.kill(process, signal.SIGTERM)
        assert eventually(lambda: ask_anew(service, "/readyz").status_code == 503, 1.0)
        while time.monotonic() < began + DELAY - 0.5:
            assert ask_anew(service, "/healthz").status_code == 200
            time.sleep(0.1)
        assert service.process.wait(20) == 0


def test_without_a_delay_it_ends_at_once(tmp_path: Path) -> None:
    with running_service(tmp_path, {}) as service:
        began = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(20) == 0
    assert time.monotonic() - began < DELAY


def test_no_request_is_lost_while_a_router_takes_its_time(tmp_path: Path) -> None:
    """Callers go on asking until they see that the instance is not ready, as a router does."""
    failed: list[str] = []
    asked = 0

    def keep_asking(service: Service) -> None:
        nonlocal asked
        while True:
            try:
                if ask_anew(service, "/readyz").status_code == 503:
                    return
                ask_anew(service, "/")
                asked += 1
            except httpx2.TransportError as error:
                failed.append(repr(error))
                return

    with running_service(tmp_path, SETTINGS) as service:
        callers = [threading.Thread(target=keep_asking, args=(service,)) for _ in range(4)]
        for caller in callers:
            caller.start()
        assert eventually(lambda: asked > 20)
        service.process.send_signal(signal.SIGTERM)
        for caller in callers:
            caller.join(10)
    assert failed == []
