"""What breaks around the service: killed workers, stuck threads, full disks, files that are not what they should be."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx2
import pytest

from tests.figures import eventually, figures, sum_of
from tests.origin import Origin
from tests.photos import photo
from tests.service import ROOT, Service, clean_environment, free_port, running_service, wait_until_ready
from tests.test_server import children, open_files, start

PHOTO = photo("JPEG", 512, 384)
SEVERAL = {"WEB_CONCURRENCY": "2"}
MODEL = ("food-vision-model.h5", "food-vision-model.onnx")


class Load:
    """Callers who ask over and over, each time over a new connection, and what they were told."""

    def __init__(self, service: Service, callers: int = 4) -> None:
        self._service = service
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(callers)]
        self.heard: Counter[str] = Counter()

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._over.is_set():
            try:
                with httpx2.Client(base_url=self._service.url, timeout=30, trust_env=False, verify=False) as client:
                    self.heard[str(client.post("/v1/predict", content=PHOTO).status_code)] += 1
            except httpx2.ConnectError:
                self.heard["closed"] += 1
                time.sleep(0.05)
            except httpx2.TransportError as error:
                self.heard[type(error).__name__] += 1


# The end, and ends


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_under_load_loses_no_accepted_request(tmp_path: Path, workers: str) -> None:
    with running_service(tmp_path, {"WEB_CONCURRENCY": workers}) as service, Load(service, callers=8) as load:
        assert eventually(lambda: load.heard["200"] > 20, 30)
        began = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(30) == 0
        assert time.monotonic() - began < 25
        log = service.log()
    # Others came when nobody listened any more, or were still waiting to be let in then.
    assert set(load.heard) <= {"200", "closed", "ReadError", "RemoteProtocolError"}, load.heard
    assert log.count('"route": "/v1/predict"') == log.count('"status": 200') == load.heard["200"]
    assert "Traceback" not in log


def test_sigkill_of_a_worker_costs_only_what_it_held(tmp_path: Path) -> None:
    with running_service(tmp_path, SEVERAL) as service, Load(service) as load:
        assert eventually(lambda: len(children(service.process.pid)) == 2, 30)
        assert eventually(lambda: load.heard["200"] > 20, 30)
        victim = children(service.process.pid)[0]
        began = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        assert eventually(lambda: victim not in children(service.process.pid), 3)
        assert eventually(lambda: workers_of(service) == 2, 15)
        assert time.monotonic() - began < 10, "3 s where nothing else runs"
        heard = load.heard["200"]
        assert eventually(lambda: load.heard["200"] > heard + 20, 30)
        assert f"Worker {victim} was killed by signal 9; another one takes its place." in service.log()
    assert sum(count for what, count in load.heard.items() if what != "200") <= 4, load.heard
    assert "closed" not in load.heard


def test_workers_whose_parent_was_killed_end_too(tmp_path: Path) -> None:
    with running_service(tmp_path, SEVERAL) as service:
        assert eventually(lambda: len(children(service.process.pid)) == 2, 30)
        workers = children(service.process.pid)
        service.process.kill()
        assert eventually(lambda: not any(map(is_alive, workers)))


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_a_worker_that_cannot_start_again_is_tried_again(tmp_path: Path) -> None:
    """The model is replaced by a file cut short, then by the whole one; the other worker serves on meanwhile."""
    for name in MODEL:
        shutil.copy(ROOT / name, tmp_path / name)
    model, whole = tmp_path / MODEL[1], (tmp_path / MODEL[1]).read_bytes()
    with running_service(tmp_path, SEVERAL | {"FOOD_VISION_MODEL": str(tmp_path / MODEL[0])}) as service:
        assert eventually(lambda: service.log().count("Application startup complete") == 2, 30)
        replace(model, whole[:100_000])
        os.kill(children(service.process.pid)[0], signal.SIGKILL)
        assert eventually(lambda: service.log().count("food-vision cannot start: ") >= 2, 20)
        assert workers_of(service) == 1
        replace(model, whole)
        assert eventually(lambda: workers_of(service) == 2, 20)
    assert service.process.returncode == 0


def replace(file: Path, content: bytes) -> None:
    """Put a new file in the place of one that is in use."""
    new = file.with_suffix(".new")
    new.write_bytes(content)
    new.replace(file)


def workers_of(service: Service) -> float:
    """Ask over a new connection: an old one may lead to a worker that is no more."""
    with httpx2.Client(base_url=service.url, timeout=30, trust_env=False, verify=False) as client:
        return figures(client)["food_vision_workers"]


# A thread that is stuck

WEDGE = """
import pathlib, runpy, sys, threading, time
from food_vision.model.onnx_runtime import OnnxRuntime
predict, wedge, stuck = OnnxRuntime.predict, pathlib.Path(sys.argv[1]), threading.Semaphore(int(sys.argv[2]))
def wedged(self, batch):
    if wedge.exists() and stuck.acquire(blocking=False):
        while wedge.exists():
            time.sleep(0.05)
        stuck.release()
    return predict(self, batch)
OnnxRuntime.predict = wedged
sys.argv = ["main.py"]
runpy.run_path("main.py", run_name="__main__")
"""


@contextlib.contextmanager
def service_with_a_wedge(
    folder: Path, settings: Mapping[str, str] | None = None, lanes: int = 99
) -> Iterator[tuple[Service, Path]]:
    """A server in which so many inferences do not end as long as there is a file."""
    wedge = folder / "wedge"
    command = (sys.executable, "-c", WEDGE, str(wedge), str(lanes))
    with running_service(folder, dict(settings or {}), command=command) as service:
        yield service, wedge


def test_a_stuck_inference_turns_readiness_off_and_back_on(tmp_path: Path) -> None:
    with service_with_a_wedge(tmp_path) as (service, wedge):
        wedge.touch()
        assert eventually(lambda: service.client.get("/readyz").status_code == 503, 10), "an answer is believed for 5 s"
        assert service.client.get("/readyz").json()["code"] == "not_ready"
        assert service.client.get("/healthz").status_code == 200
        wedge.unlink()
        assert eventually(lambda: service.client.get("/readyz").status_code == 200, 3)
        assert service.client.post("/v1/predict", content=PHOTO).status_code == 200
        assert figures(service.client)["food_vision_queue_length"] == 0


def test_one_lane_that_is_stuck_turns_readiness_off_though_the_other_answers(tmp_path: Path) -> None:
    with service_with_a_wedge(tmp_path, {"FOOD_VISION_INFERENCE_THREADS": "2"}, lanes=1) as (service, wedge):
        wedge.touch()
        caller = threading.Thread(target=lambda: service.client.post("/v1/predict", content=PHOTO, timeout=60))
        caller.start()
        assert eventually(lambda: sum_of(figures(service.client), "food_vision_queue_length") == 1)
        until_noticed = time.monotonic() + 20
        while service.client.get("/readyz").status_code == 200 and time.monotonic() < until_noticed:
            assert service.client.post("/v1/predict", content=PHOTO).status_code == 200
            time.sleep(0.3)
        assert service.client.get("/readyz").json()["detail"] == "An inference does not come to an end."
        wedge.unlink()
        caller.join()
        assert service.client.get("/readyz").status_code == 200


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stuck_inference_does_not_keep_the_server_from_ending(tmp_path: Path, workers: str) -> None:
    settings = {"FOOD_VISION_DRAIN_TIMEOUT": "2", "WEB_CONCURRENCY": workers}
    with service_with_a_wedge(tmp_path, settings) as (service, wedge):
        wedge.touch()
        answers: list[int] = []
        caller = threading.Thread(
            target=lambda: answers.append(service.client.post("/v1/predict", content=PHOTO).status_code)
        )
        caller.start()
        assert eventually(lambda: sum_of(figures(service.client), "food_vision_queue_length") >= 1)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(10) == 0
        caller.join()
    assert answers == [503]


# Disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 16 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=16m,mode=777", "tmpfs", str(disk))
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(("umount", "-l", str(disk)), check=True)


def fill(disk: Path) -> None:
    with (disk / "filling").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


def test_a_full_disk_for_the_figures_is_one_sentence(small_disk: Path) -> None:
    fill(small_disk)
    outcome = start(ROOT, WEB_CONCURRENCY="2", PROMETHEUS_MULTIPROC_DIR=str(small_disk))
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("food-vision cannot start: there is no room for figures in ")
    assert outcome.stderr.endswith(": No space left on device.\n")
    assert outcome.stderr.count("\n") == 1, outcome.stderr


def test_a_disk_that_fills_up_later_costs_nothing(tmp_path: Path, small_disk: Path) -> None:
    with running_service(tmp_path, SEVERAL | {"TMPDIR": str(small_disk)}) as service:
        assert eventually(lambda: figures(service.client)["food_vision_workers"] == 2, 30)
        workers = children(service.process.pid)
        fill(small_disk)
        for _ in range(20):
            assert service.client.post("/v1/predict", content=PHOTO).status_code == 200
        assert sum_of(figures(service.client), "food_vision_batch_size_sum") >= 20
        assert children(service.process.pid) == workers, "none died"
    assert service.process.returncode == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_log_on_a_full_disk_costs_nothing_but_the_log(tmp_path: Path, workers: str) -> None:
    with serving_with_log_to("/dev/full", workers) as (client, process):
        busy = processor_seconds(process.pid)
        for _ in range(20):
            assert client.post("/v1/predict", content=PHOTO).status_code == 200
        assert client.get("/nowhere").status_code == 404
        time.sleep(1)
        assert processor_seconds(process.pid) - busy < 10
        process.terminate()
        assert process.wait(20) == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_log_that_nobody_reads_any_more_costs_nothing_but_the_log(workers: str) -> None:
    here, there = os.pipe()
    with serving_with_log_to(there, workers) as (client, process):
        os.close(there)
        os.close(here)
        for _ in range(20):
            assert client.post("/v1/predict", content=PHOTO).status_code == 200
        process.terminate()
        assert process.wait(20) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_log_that_nobody_reads_keeps_nobody_waiting(workers: str) -> None:
    """As when a collector stalls: the pipe runs full. Later it is read again, and told how much is lost."""
    here, there = os.pipe()
    with serving_with_log_to(there, workers) as (client, process):
        os.close(there)
        for _ in range(1_000):
            assert client.get("/nowhere").status_code == 404
        # What has been written fills the pipe, and was written in whole lines.
        os.set_blocking(here, False)
        read = b""
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(here, 65_536):
                read += piece
        assert len(read) > 50_000
        assert client.get("/nowhere").status_code == 404
        assert eventually(lambda: b" lines are lost." in os.read(here, 65_536), 5)
        process.terminate()
        assert process.wait(20) == 0
    os.close(here)


@contextlib.contextmanager
def serving_with_log_to(log: str | int, workers: str) -> Iterator[tuple[httpx2.Client, "subprocess.Popen[str]"]]:
    port = free_port()
    environment = clean_environment() | {"PORT": str(port), "WEB_CONCURRENCY": workers}
    with open(log, "w", closefd=isinstance(log, str)) as file:
        process = subprocess.Popen(
            (sys.executable, "main.py"), cwd=ROOT, env=environment, stdout=file, stderr=file, text=True
        )
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
            wait_until_ready(client, process, Path(os.devnull))
            yield client, process
    finally:
        process.kill()
        process.wait()


def processor_seconds(pid: int) -> float:
    """Return what a process and its children have used."""
    return sum(_ticks(process) for process in (pid, *children(pid))) / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))


def test_several_workers_without_a_folder_to_write_to_is_one_sentence() -> None:
    """Read-only everywhere, as a container may be, and nothing mounted for what is temporary."""
    if os.getuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs to be root to make file systems read-only")
    command = "for at in / /tmp /var/tmp /dev/shm; do mount -o remount,bind,ro $at 2>/dev/null; done; exec $0 main.py"
    unshare = ("unshare", "--mount", "--propagation", "private", "sh", "-c", command, sys.executable)
    if subprocess.run((*unshare[:4], "true"), capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    outcome = start(ROOT, *unshare, WEB_CONCURRENCY="2")
    assert outcome.returncode == 1, outcome.stderr
    assert outcome.stderr.startswith("food-vision cannot start: several workers need a temporary folder"), (
        outcome.stderr
    )
    assert outcome.stderr.count("\n") == 1, outcome.stderr


# Files that are not what they should be


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the weights, with what is derived from them beside it."""
    for name in MODEL:
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path / MODEL[0]


def cut(model: Path) -> None:
    model.write_bytes(model.read_bytes()[:1_000_000])


def cut_derived(model: Path) -> None:
    cut(model.with_suffix(".onnx"))


def empty(model: Path) -> None:
    model.write_bytes(b"")


def empty_derived(model: Path) -> None:
    empty(model.with_suffix(".onnx"))


def remove(model: Path) -> None:
    model.unlink()


def remove_derived(model: Path) -> None:
    remove(model.with_suffix(".onnx"))


def replace_by_another(model: Path) -> None:
    """Of the right format and length, but not those that the derived file was made from."""
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)


def change_derived(model: Path) -> None:
    replace_by_another(model.with_suffix(".onnx"))


def replace_by_photo(model: Path) -> None:
    model.write_bytes(PHOTO)


def replace_derived_by_photo(model: Path) -> None:
    replace_by_photo(model.with_suffix(".onnx"))


def make_folder(model: Path) -> None:
    model.unlink()
    model.mkdir()


def forbid(model: Path) -> None:
    model.chmod(0)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(remove, id="missing"),
        pytest.param(remove_derived, id="derived missing"),
        pytest.param(cut, id="cut short"),
        pytest.param(cut_derived, id="derived cut short"),
        pytest.param(empty, id="empty"),
        pytest.param(empty_derived, id="derived empty"),
        pytest.param(replace_by_another, id="another's"),
        pytest.param(change_derived, id="derived changed"),
        pytest.param(replace_by_photo, id="a photo"),
        pytest.param(replace_derived_by_photo, id="derived a photo"),
        pytest.param(make_folder, id="a folder"),
        pytest.param(forbid, id="not to be read"),
    ],
)
def test_a_model_that_cannot_be_used_is_one_sentence(model: Path, harm: Callable[[Path], None], workers: str) -> None:
    harm(model)
    if harm is forbid and os.getuid() == 0:
        pytest.skip("root may read everything")
    outcome = start(ROOT, FOOD_VISION_MODEL=str(model), WEB_CONCURRENCY=workers)
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("food-vision cannot start: "), outcome.stderr
    assert outcome.stderr.count("\n") == 1, outcome.stderr
    assert "food-vision-model" in outcome.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "::"])
def test_a_port_in_use_is_one_sentence(host: str, workers: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        taken = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with taken:
        port = str(taken.getsockname()[1])
        outcome = start(ROOT, PORT=port, WEB_CONCURRENCY=workers, FOOD_VISION_HOST=host)
    assert outcome.returncode == 1
    assert outcome.stderr == (
        f"food-vision cannot start: port {port} of {host} cannot be used: Address already in use.\n"
    )


def test_faults_of_origins_leave_nothing_open(tmp_path: Path, origin: Origin) -> None:
    with running_service(tmp_path, {"FOOD_VISION_ALLOW_NETWORKS": "127.0.0.0/8"}) as service:
        service.ask(origin.url("/photo.jpg"))
        before = open_files(service.process.pid)
        for path in ("/reset", "/silent-close", "/garbage", "/cut-short", "/empty", "/status/500"):
            for _ in range(5):
                assert service.ask(origin.url(path)).status_code in (422, 502)
        assert eventually(lambda: open_files(service.process.pid) <= before)
