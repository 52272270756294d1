"""What an operator may take away from the process, and what the shipped files take away: nothing of it is missed."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from food_vision.server import GRACE
from food_vision.settings import Settings
from tests.figures import eventually, figures
from tests.origin import Origin
from tests.photos import photo
from tests.service import ROOT, running_service

COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PIDS = int(re.findall(r"pids_limit: (\d+)", COMPOSE)[0])
MEMORY = int(re.findall(r"mem_limit: (\d+)m", COMPOSE)[0]) * 1_000_000
WITHOUT = "setpriv --no-new-privs --bounding-set=-all --inh-caps=-all --ambient-caps=-all"


def test_the_end_takes_25_seconds_at_most() -> None:
    """From SIGTERM on, the container's delay included; and the platform waits longer."""
    delay = float(re.findall(r"FOOD_VISION_DRAIN_DELAY=(\S+)", DOCKERFILE)[0])
    patience = int(re.findall(r"stop_grace_period: (\d+)s", COMPOSE)[0])
    assert delay + Settings.model_fields["drain_timeout"].default + GRACE <= 25 < patience


@pytest.fixture
def hardened(tmp_path: Path) -> Sequence[str]:
    """A command that starts the server as ``compose.yaml`` does: no capabilities, and only /tmp to write to."""
    if os.getuid() != 0 or not (shutil.which("setpriv") and shutil.which("unshare")):
        pytest.skip("taking capabilities away takes a root user, setpriv and unshare")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    (tmp_path / "temporary").mkdir()
    mounts = f"mount -t tmpfs none {tmp_path}/temporary && mount -o remount,ro,bind /"
    return "unshare", "--mount", "sh", "-c", f"{mounts} && exec {WITHOUT} {sys.executable} main.py"


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def serving_processes(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(process for child in children for process in serving_processes(int(child)))]


@pytest.mark.parametrize("workers", [1, 2])
def test_it_serves_with_nothing_but_what_it_needs(
    tmp_path: Path, hardened: Sequence[str], origin: Origin, workers: int
) -> None:
    settings = {
        "FOOD_VISION_ALLOW_NETWORKS": "127.0.0.0/8",
        "WEB_CONCURRENCY": str(workers),
        "TMPDIR": str(tmp_path / "temporary"),
    }
    with running_service(tmp_path, settings, command=hardened) as service, ThreadPoolExecutor(8) as callers:
        answers = callers.map(lambda _: service.ask(origin.url("/photo.jpg")), range(32))
        assert {answer.status_code for answer in answers} == {200}
        assert eventually(lambda: figures(service.client)["food_vision_workers"] == workers)
        processes = serving_processes(service.process.pid)
        found = [status_of(pid) for pid in processes]
        assert {status["CapEff"] for status in found} == {"0" * 16}
        assert {status["NoNewPrivs"] for status in found} == {"1"}
        assert sum(int(status["Threads"]) for status in found) < PIDS
        assert sum(int(status["VmRSS"].split()[0]) * 1024 for status in found) < MEMORY
        mounts = Path(f"/proc/{service.process.pid}/mounts").read_text().splitlines()
        assert any(line.split()[1] == "/" and line.split()[3].startswith("ro") for line in mounts)
    assert service.process.returncode == 0


def test_it_serves_without_any_other_program(tmp_path: Path) -> None:
    """No shell, no compiler, no tool: with nothing on the path, there is nothing to be started by whoever gets in."""
    settings = {"PATH": str(tmp_path / "nothing")}
    with running_service(tmp_path, settings) as service:
        answer = service.client.post("/v1/predict", content=photo(), headers={"Content-Type": "image/jpeg"})
    assert answer.status_code == 200
    assert service.process.returncode == 0


def test_compose_takes_away_what_is_not_needed() -> None:
    for line in ("read_only: true", "tmpfs: [/tmp]", "cap_drop: [ALL]", '"no-new-privileges:true"', "restart:"):
        assert line in COMPOSE, line
    assert "privileged" not in COMPOSE
    assert "volumes:" not in COMPOSE


def test_the_most_threads_fit_the_limit_of_compose() -> None:
    """Look-ups have 64 at most; decoders, inference and BLAS one for each processor, of which 64 are many."""
    look_ups, processors, own = 64, 64, 20
    assert look_ups + 3 * processors + own <= PIDS


def test_the_image_runs_as_a_number_that_is_not_root() -> None:
    (user,) = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, flags=re.MULTILINE)
    assert min(map(int, user)) > 999
    assert DOCKERFILE.index("USER ") > DOCKERFILE.rindex("RUN ")
    assert DOCKERFILE.index("USER ") > DOCKERFILE.rindex("COPY ")
