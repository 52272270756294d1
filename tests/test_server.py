"""Starting and stopping: one sentence where it cannot start, nothing lost where it stops."""

import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.figures import eventually
from tests.origin import Origin
from tests.service import ROOT, clean_environment, free_port, running_service

LOOPBACK = {"FOOD_VISION_ALLOW_NETWORKS": "127.0.0.0/8"}


def start(folder: Path, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a server that is expected to end by itself."""
    return subprocess.run(
        command or (sys.executable, "main.py"),
        cwd=folder,
        env=clean_environment() | {"PORT": str(free_port())} | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project's files that serving needs, to be damaged at will."""
    shutil.copytree(ROOT / "food_vision", tmp_path / "food_vision", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("main.py", "food-vision-model.h5", "food-vision-model.onnx"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1_000_000])


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("name", ["food-vision-model.h5", "food-vision-model.onnx"])
def test_a_damaged_model_is_one_sentence_whatever_the_workers(copy: Path, name: str, workers: str) -> None:
    truncate(copy / name)
    outcome = start(copy, WEB_CONCURRENCY=workers)
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("food-vision cannot start: ")
    assert outcome.stderr.count("\n") == 1, outcome.stderr
    assert name in outcome.stderr


UVICORN = (sys.executable, "-m", "uvicorn", "main:app")


@pytest.mark.parametrize("command", [(sys.executable, "main.py"), UVICORN], ids=["main.py", "uvicorn"])
def test_a_missing_model_is_one_sentence_whatever_the_command(copy: Path, command: Sequence[str]) -> None:
    (copy / "food-vision-model.h5").unlink()
    outcome = start(copy, *command)
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("food-vision cannot start: food-vision-model.h5 is missing")
    assert outcome.stderr.count("\n") == 1, outcome.stderr


@pytest.mark.parametrize("value", [".", "/nowhere/model.h5", "README.md"])
def test_a_path_that_is_no_model_is_one_sentence(value: str) -> None:
    outcome = start(ROOT, FOOD_VISION_MODEL=value)
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("food-vision cannot start: ")
    assert outcome.stderr.count("\n") == 1, outcome.stderr


def test_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = start(ROOT, PORT=str(port))
    assert outcome.returncode == 1
    assert (
        outcome.stderr == f"food-vision cannot start: port {port} of 0.0.0.0 cannot be used: Address already in use.\n"
    )


NO_IPV6 = """
import runpy, socket
class WithoutIpv6(socket.socket):
    def __init__(self, family=-1, *others, **named):
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        super().__init__(family, *others, **named)
socket.socket = WithoutIpv6
runpy.run_path("main.py", run_name="__main__")
"""


@pytest.mark.parametrize(
    ("host", "reason", "command"),
    [
        pytest.param("nohost.invalid", "", (), id="a name that is not known"),
        pytest.param("fe80::1%nowhere", "", (), id="a network card that there is not"),
        pytest.param("ü" * 70, "no host has such a name", (), id="no name at all"),
        pytest.param("192.0.2.1", "Cannot assign requested address", (), id="another machine's address"),
        pytest.param(
            "::", "Address family not supported by protocol", (sys.executable, "-c", NO_IPV6), id="without IPv6"
        ),
    ],
)
def test_a_host_that_cannot_be_listened_on_is_one_sentence(host: str, reason: str, command: Sequence[str]) -> None:
    outcome = start(ROOT, *command, FOOD_VISION_HOST=host, PORT="5999", PYTHONUTF8="1")
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("food-vision cannot start: port 5999 of "), outcome.stderr
    assert outcome.stderr.endswith(f" cannot be used: {reason}.\n") if reason else "Unknown" not in outcome.stderr
    assert outcome.stderr.count("\n") == 1, outcome.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_of_two_servers_that_start_at_once_one_serves(workers: str) -> None:
    """Both may bind the port while neither listens yet."""
    settings = {"PORT": str(free_port()), "WEB_CONCURRENCY": workers}
    servers = [
        subprocess.Popen(
            (sys.executable, "main.py"), cwd=ROOT, env=clean_environment() | settings, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        assert eventually(lambda: any(server.poll() is not None for server in servers), 60)
        loser, winner = sorted(servers, key=lambda server: server.poll() is None)
        words = loser.communicate(timeout=10)[1]
        assert loser.returncode == 1
        assert "Traceback" not in words
        sentence = f"food-vision cannot start: port {settings['PORT']} of 0.0.0.0 cannot be used: Address already in"
        assert words.splitlines()[-1] == f"{sentence} use.", words
        assert winner.poll() is None
    finally:
        for server in servers:
            server.terminate()
    assert winner.wait(30) == 0


def test_empty_variables_count_as_unset(tmp_path: Path, origin: Origin) -> None:
    settings = {"FOOD_VISION_MODEL": "", "WEB_CONCURRENCY": "", "FOOD_VISION_ALLOW_HOSTS": ""} | LOOPBACK
    with running_service(tmp_path, settings) as service:
        assert service.ask(origin.url("/photo.jpg")).status_code == 200


@pytest.mark.parametrize(
    "command",
    [(sys.executable, str(ROOT / "main.py")), (*UVICORN, "--app-dir", str(ROOT), "--port", "{port}")],
    ids=["main.py", "uvicorn"],
)
def test_it_serves_from_any_folder(tmp_path: Path, origin: Origin, command: Sequence[str]) -> None:
    with running_service(tmp_path, LOOPBACK, command=command, cwd=tmp_path) as service:
        assert service.ask(origin.url("/photo.jpg")).status_code == 200


def test_two_workers_have_an_engine_each(tmp_path: Path, origin: Origin) -> None:
    with running_service(tmp_path, LOOPBACK | {"WEB_CONCURRENCY": "2"}) as service:
        assert service.ask(origin.url("/photo.jpg")).status_code == 200
        assert eventually(lambda: [has_engine(child) for child in children(service.process.pid)] == [True, True], 30)
        assert not has_engine(service.process.pid), "the process that only watches the others needs none"
    assert service.process.returncode == 0


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def has_engine(pid: int) -> bool:
    return "onnxruntime" in Path(f"/proc/{pid}/maps").read_text()


def test_sigterm_finishes_what_was_accepted_and_ends_with_zero(tmp_path: Path, origin: Origin) -> None:
    with running_service(tmp_path, LOOPBACK) as service, ThreadPoolExecutor(8) as callers:
        answers = [callers.submit(service.ask, origin.url("/slow?pause=1.5")) for _ in range(8)]
        time.sleep(0.7)
        service.process.send_signal(signal.SIGTERM)
        assert [answer.result().status_code for answer in answers] == [200] * 8
        assert service.process.wait(20) == 0


def test_what_cannot_be_finished_in_time_is_told_so(tmp_path: Path, origin: Origin) -> None:
    settings = LOOPBACK | {"FOOD_VISION_DRAIN_TIMEOUT": "1"}
    with running_service(tmp_path, settings) as service, ThreadPoolExecutor(4) as callers:
        answers = [callers.submit(service.ask, origin.url("/slow?pause=9")) for _ in range(4)]
        time.sleep(0.7)
        service.process.send_signal(signal.SIGTERM)
        problems = [answer.result() for answer in answers]
        assert service.process.wait(20) == 0
        log = service.log()
    assert [problem.status_code for problem in problems] == [503] * 4
    assert {problem.json()["code"] for problem in problems} == {"draining"}
    assert log.count('"outcome": "draining"') == 4
    assert "Traceback" not in log


def test_callers_who_hang_up_leave_nothing_behind(tmp_path: Path, origin: Origin) -> None:
    with running_service(tmp_path, LOOPBACK) as service:
        before = open_files(service.process.pid)
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", int(service.url.rsplit(":", 1)[1]))) as caller:
                link = origin.url("/stall")
                caller.sendall(f"POST /net/image/prediction/?image_link={link} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                time.sleep(0.01)
        deadline = time.monotonic() + 10
        while open_files(service.process.pid) > before and time.monotonic() < deadline:
            time.sleep(0.05)
        assert open_files(service.process.pid) <= before
        assert service.ask(origin.url("/photo.jpg")).status_code == 200
        assert service.log().count('"outcome": "client_gone"') == 50
        assert "Traceback" not in service.log()


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_being_busy_is_not_being_broken(tmp_path: Path, origin: Origin) -> None:
    """A balancer that takes a busy instance out makes the others busier."""
    settings = LOOPBACK | {"FOOD_VISION_QUEUE_LIMIT": "1"}
    stop = threading.Event()
    with running_service(tmp_path, settings) as service, ThreadPoolExecutor(12) as callers:

        def keep_asking() -> list[int]:
            codes = []
            while not stop.is_set():
                codes.append(service.ask(origin.url("/large.jpg")).status_code)
            return codes

        asked = [callers.submit(keep_asking) for _ in range(12)]
        time.sleep(0.5)
        probes = [service.client.get("/readyz").status_code for _ in range(40)]
        stop.set()
        codes = {code for caller in asked for code in caller.result()}
    assert codes == {200, 503}, "it was busy enough to refuse some, and answered others"
    assert set(probes) == {200}


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz"])
def test_monitors_may_ask_with_head(tmp_path: Path, path: str) -> None:
    with running_service(tmp_path, {}) as service:
        answer = service.client.head(path)
    assert (answer.status_code, answer.content) == (200, b"")
