"""What several workers meet: no room for one more process, and a first worker that never serves."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.figures import eventually
from tests.photos import photo
from tests.service import ROOT, Service, running_service
from tests.test_server import children, start

SEVERAL = {"WEB_CONCURRENCY": "2"}
SOMEBODY = 10001


def may_have_processes(as_somebody: tuple[str, ...], pid: int, most: str) -> None:
    """Bound the processes that the user of a process may have; those there are stay."""
    subprocess.run((*as_somebody, "prlimit", "--pid", str(pid), f"--nproc={most}:"), check=True)


@pytest.fixture
def as_somebody() -> tuple[str, ...]:
    """What to start a server by so that its processes are counted, as root's are not."""
    if shutil.which("prlimit") is None:
        pytest.skip("limits of another process cannot be set here")
    if os.getuid() != 0:
        return ()
    may_read = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    command = ("setpriv", f"--reuid={SOMEBODY}", "--clear-groups", *may_read)
    if shutil.which("setpriv") is None or subprocess.run((*command, "true"), check=False).returncode:
        pytest.skip("root cannot be somebody else here")
    return command


def test_a_worker_that_cannot_be_forked_is_tried_again(tmp_path: Path, as_somebody: tuple[str, ...]) -> None:
    """The system has no room for another process; the worker that is left serves on meanwhile."""
    with running_service(tmp_path, SEVERAL, command=(*as_somebody, sys.executable, "main.py")) as service:
        parent = service.process.pid
        assert eventually(lambda: service.log().count("Application startup complete") == 2, 30)
        may_have_processes(as_somebody, parent, "1")
        os.kill(children(parent)[0], signal.SIGKILL)
        sentence = "A worker cannot be made: Resource temporarily unavailable; it is tried again in 1 s."
        assert eventually(lambda: service.log().count(sentence) >= 2, 10)
        assert len(children(parent)) == 1
        assert ask_anew(service) == 200
        may_have_processes(as_somebody, parent, "1000")
        assert eventually(lambda: service.log().count("Application startup complete") == 3, 20)
        assert len(children(parent)) == 2
    assert service.process.returncode == 0
    assert "Traceback" not in service.log()


def ask_anew(service: Service) -> int:
    """Ask over a new connection: an old one may lead to a worker that is no more."""
    with httpx2.Client(base_url=service.url, timeout=30, trust_env=False, verify=False) as client:
        return client.post("/v1/predict", content=photo()).status_code


FORBIDDEN = """
import resource, runpy
from food_vision import app
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
runpy.run_path("main.py", run_name="__main__")
"""


def test_no_process_at_all_is_one_sentence(as_somebody: tuple[str, ...]) -> None:
    """The one that would watch the workers has started, and there is no room for the first of them."""
    outcome = start(ROOT, *as_somebody, sys.executable, "-c", FORBIDDEN, WEB_CONCURRENCY="2")
    assert outcome.returncode == 1
    assert outcome.stderr == ("food-vision cannot start: no worker can be made: Resource temporarily unavailable.\n"), (
        outcome.stderr
    )


KILLED = """
import os, runpy, signal, sys
from food_vision import app
def killed(settings):
    os.kill(os.getpid(), int(sys.argv[1]))
app.create_app = killed
runpy.run_path("main.py", run_name="__main__")
"""


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        pytest.param(
            signal.SIGKILL,
            "was killed by signal 9 before it served, as systems do that are short of memory.",
            id="as for want of memory",
        ),
        pytest.param(signal.SIGSEGV, "was killed by signal 11 before it served.", id="a library that fails"),
    ],
)
def test_a_first_worker_that_dies_before_it_serves_is_one_sentence(number: signal.Signals, sentence: str) -> None:
    outcome = start(ROOT, sys.executable, "-c", KILLED, str(int(number)), WEB_CONCURRENCY="2")
    assert outcome.returncode == 1
    assert outcome.stderr == f"food-vision cannot start: its first worker {sentence}\n"
