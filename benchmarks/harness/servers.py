"""A server under watch: started, asked until it answers, its processes' memory and processor time added up, stopped.

Reads ``/proc``: Linux only. Memory is resident memory summed over the processes (what ``ps`` shows), and beside it the
proportional share (PSS), in which pages that several processes share count once.
"""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_TIMEOUT = 120.0
STOP_TIMEOUT = 20.0
PARENT, SESSION, USER_TICKS, SYSTEM_TICKS = 1, 3, 11, 12
"""Places in ``/proc/PID/stat`` after the name in brackets."""


@dataclass(frozen=True)
class Request:
    """A request to be sent; ``{link}`` in the path or the body stands for a photo's link.

    Attributes:
        path: With the query; a link in it is percent-encoded by whoever fills it in.
        content_type: Of the body; empty for none.
        body: Text with a link in it, or empty.
        uploads: Files that are bodies, each as it is sent; in their stead of ``body``.
    """

    path: str
    content_type: str = ""
    body: str = ""
    uploads: Sequence[Path] = ()


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        port: On loopback.
        process: The number of the process that was started; it leads a session of its own.
        first_answer: Seconds from the start of the process to its first good answer.
        log_file: What it wrote.
    """

    port: int
    process: int
    first_answer: float
    log_file: Path

    def processes(self) -> list[int]:
        """Return the numbers of its processes."""
        return sorted(_family(self.process))

    def processor_seconds(self) -> float:
        """Return the processor time of all its processes so far, user and system."""
        stats = [stat for number in self.processes() if (stat := _stats(Path(f"/proc/{number}")))]
        return sum(int(stat[USER_TICKS]) + int(stat[SYSTEM_TICKS]) for stat in stats) / os.sysconf("SC_CLK_TCK")

    def megabytes(self, kind: str = "Rss") -> float:
        """Return the memory of all its processes; ``kind`` is ``Rss`` or ``Pss``."""
        return sum(_kilobytes(process, kind) for process in self.processes()) * 1024 / 1e6


@contextmanager
def running_server(
    command: Sequence[str], environment: Mapping[str, str], cwd: Path, log_file: Path, ask: tuple[Request, str]
) -> Iterator[Server]:
    """Start a server, wait for its first good answer, stop it when the block ends.

    Args:
        command: ``{port}`` in it is replaced; in the environment's values too.
        environment: What it gets besides this process's own.
        cwd: Where it runs.
        log_file: Where its output goes.
        ask: The request that is sent until it is answered with 200, and the link in it.
    """
    port = free_port()
    filled = [word.replace("{port}", str(port)) for word in command]
    variables = {name: value.replace("{port}", str(port)) for name, value in environment.items()}
    started = time.perf_counter()
    with log_file.open("w") as log:
        process = subprocess.Popen(
            filled, cwd=cwd, env=_clean() | variables, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_for_answer(process, port, log_file, *ask)
        yield Server(port, process.pid, time.perf_counter() - started, log_file)
    finally:
        _stop(process)


def ask_once(port: int, request: Request, link: str) -> tuple[int, bytes]:
    """Send one request by a connection of its own; return status and body."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        return ask(connection, request, link)


def ask(connection: http.client.HTTPConnection, request: Request, link: str) -> tuple[int, bytes]:
    """Send a request; return status and body. The connection may be used again."""
    path = request.path.replace("{link}", link.replace(":", "%3A").replace("/", "%2F"))
    body = request.uploads[0].read_bytes() if request.uploads else request.body.replace("{link}", link).encode()
    headers = {"Content-Type": request.content_type} if request.content_type else {}
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def free_port() -> int:
    """Return a port of loopback that nobody listens on right now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _wait_for_answer(process: subprocess.Popen[bytes], port: int, log_file: Path, request: Request, link: str) -> None:
    deadline, status, body = time.monotonic() + START_TIMEOUT, 0, b""
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}: {_tail(log_file)}")
        with suppress(OSError, http.client.HTTPException):
            status, body = ask_once(port, request, link)
        if status == 200:
            return
        time.sleep(0.01)
    raise RuntimeError(f"no good answer within {START_TIMEOUT:.0f} s, last {status} {body[:200]!r}: {_tail(log_file)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    family = _family(process.pid)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT)
    # Workers may outlive the process that started them.
    for member in family:
        with suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)
    process.wait()


def _family(process: int) -> set[int]:
    """Return a process, those of its session, and whatever they started: some start workers in further sessions."""
    stats = {int(entry.name): _stats(entry) for entry in Path("/proc").glob("[0-9]*")}
    family = {number for number, stat in stats.items() if stat and int(stat[SESSION]) == process} | {process}
    while more := {n for n, stat in stats.items() if stat and int(stat[PARENT]) in family} - family:
        family |= more
    return family


def _clean() -> dict[str, str]:
    """Return this process's environment without what would change a server's settings or send it through a proxy."""
    drop = ("FOOD_VISION_", "PORT", "WEB_CONCURRENCY", "UVICORN_", "PYTHONPATH", "VIRTUAL_ENV", "MLSERVER_", "BENTOML_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(drop)}
    return {name: value for name, value in kept.items() if not name.lower().endswith("_proxy")}


def _stats(process: Path) -> list[str]:
    """Return what the kernel says of a process, from its state on; nothing when it has ended."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _kilobytes(process: int, kind: str) -> int:
    try:
        return int(Path(f"/proc/{process}/smaps_rollup").read_text().split(f"\n{kind}:")[1].split()[0])
    except (OSError, IndexError):
        return 0


def _tail(log_file: Path) -> str:
    return " | ".join(log_file.read_text().strip().splitlines()[-4:])
