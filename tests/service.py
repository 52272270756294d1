"""A real server in a process of its own, as users run it: ``python main.py``."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).parent.parent
START_TIMEOUT = 60.0


@dataclass(frozen=True)
class Service:
    """A running server and a client that talks to it."""

    url: str
    client: httpx2.Client
    process: subprocess.Popen[str]
    log_file: Path

    def ask(self, link: str) -> httpx2.Response:
        """Send a link to the contract route."""
        return self.client.post("/net/image/prediction/", params={"image_link": link})

    def log(self) -> str:
        """Return what the server has written so far."""
        return self.log_file.read_text()

    def line_of(self, answer: httpx2.Response) -> dict[str, Any]:
        """Return the access log's line of an answer; it is written when the answer is already on its way."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{") and line[-1] == "}"]
            found = [line for line in lines if line.get("id") == answer.headers["x-request-id"] and "status" in line]
            if found:
                assert len(found) == 1
                return dict(found[0])
            time.sleep(0.02)
        raise AssertionError(f"no line for {answer.headers['x-request-id']} in:\n{self.log()}")


@contextmanager
def running_service(
    folder: Path,
    settings: Mapping[str, str],
    *,
    command: Sequence[str] = (sys.executable, "main.py"),
    cwd: Path = ROOT,
    user: int | None = None,
) -> Iterator[Service]:
    """Start a server with ``settings`` in its environment; stop it when the block ends."""
    port = free_port()
    log_file = folder / "service.log"
    environment = clean_environment() | {"PORT": str(port)} | dict(settings)
    with log_file.open("w") as log:
        process = subprocess.Popen(
            [word.replace("{port}", str(port)) for word in command],
            cwd=cwd,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            user=user,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        with httpx2.Client(base_url=url, timeout=30, trust_env=False) as client:
            wait_until_ready(client, process, log_file)
            yield Service(url, client, process, log_file)
    finally:
        process.terminate()
        try:
            process.wait(35)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(client: httpx2.Client, process: subprocess.Popen[str], log_file: Path) -> None:
    """Return when ``/readyz`` answers 200; fail with the server's log if it ends or takes too long."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the server ended with {process.returncode}:\n{log_file.read_text()}"
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"the server was not ready within {START_TIMEOUT} s:\n{log_file.read_text()}")


def clean_environment() -> dict[str, str]:
    """Return this process's environment without anything that would change the server's settings or its proxies."""
    drop = ("FOOD_VISION_", "PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "UVICORN_")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(drop) and not name.lower().endswith("_proxy")
    }


def free_port() -> int:
    """Return a port that nobody listens on right now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
