"""``food-vision doctor``: what is wrong is found and said, line by line."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from food_vision.cli.health import ask_health
from food_vision.cli.memory import available_memory
from tests.busy import Reply, busy
from tests.service import Service, free_port, running_service
from tests.test_cli import run


def findings(*words: str, **settings: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """Return the exit status, and for each thing that was looked at how it is and the sentence."""
    outcome = run("doctor", *words, settings=settings)
    rows = [line.split(maxsplit=2) for line in outcome.stdout.splitlines()]
    return outcome.returncode, {what: (state, sentence) for state, what, sentence in rows}


def test_a_healthy_place_is_all_well() -> None:
    status, found = findings(PORT=str(free_port()))
    assert status == 0
    assert list(found) == ["settings", "model", "memory", "port", "prediction"]
    assert {state for state, _ in found.values()} == {"ok"}
    assert found["prediction"][1].startswith("A photo was answered in ")


def test_a_wrong_setting_is_all_there_is_to_say() -> None:
    status, found = findings(PORT="many")
    assert status == 1
    assert list(found) == ["settings"]
    assert found["settings"][0] == "failed"
    assert found["settings"][1].startswith("PORT is 'many'")


def test_all_that_is_wrong_is_found_in_one_go(tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        status, found = findings(FOOD_VISION_MODEL=str(tmp_path / "no.h5"), PORT=str(port), WEB_CONCURRENCY="64")
    assert status == 1
    assert [what for what, (state, _) in found.items() if state == "failed"] == ["model", "port", "prediction"]
    assert "no.h5 is missing" in found["model"][1]
    assert found["port"][1].startswith(f"Port {port} cannot be bound (Address already in use). No answer: ")
    assert "about 9600 MB are needed" in found["memory"][1]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service"), {}) as service:
        yield service


def test_a_healthy_server_may_hold_the_port(service: Service) -> None:
    status, found = findings(PORT=service.url.rsplit(":")[-1])
    assert (status, found["port"][0]) == (0, "ok")
    assert found["port"][1].endswith("The server is ready: its model answers.")


def test_a_container_asks_its_server(service: Service) -> None:
    outcome = run("doctor", "--url", service.url)
    assert (outcome.returncode, outcome.stdout) == (0, "The server is ready: its model answers.\n")


NOT_READY = {"status": 503, "code": "not_ready", "detail": "The model does not answer in time.", "title": "Not ready"}


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        pytest.param(Reply(503, NOT_READY), "The server says: The model does not answer in time.", id="not ready"),
        pytest.param(Reply(200, b"<html>"), "Something else than Food Vision answers there, wi", id="HTML"),
        pytest.param(Reply(200, {"status": "ok"}), "Something else than Food Vision", id="another service"),
        pytest.param(Reply(500, [1, 2]), "Something else than Food Vision answers there", id="a list"),
        pytest.param(Reply(hang_up=True), "No answer: Remote end closed connection without response.", id="hangs up"),
    ],
)
def test_what_answers_badly_is_told(reply: Reply, sentence: str) -> None:
    with busy(reply) as server:
        outcome = run("doctor", "--url", server.url)
    assert outcome.returncode == 1
    assert outcome.stdout.startswith(sentence)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        pytest.param("127.0.0.1:5000", "A server's address looks like http://127.0.0.1:5000.", id="no scheme"),
        pytest.param("http://", "A server's address looks like", id="no host"),
        pytest.param("http://[", "No answer: Invalid IPv6 URL.", id="broken"),
        pytest.param("http://127.0.0.1:99999", "No answer: Port out of range 0-65535.", id="no such port"),
        pytest.param("http://no such host/", "No answer: ", id="no such host"),
        pytest.param("http://127.0.0.1:1", "No answer: Connection refused.", id="nobody there"),
    ],
)
def test_an_address_without_a_server_is_told(url: str, sentence: str) -> None:
    health = ask_health(url)
    assert not health.ready
    assert health.sentence.startswith(sentence)


def test_a_silent_server_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        health = ask_health(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert (health.ready, health.sentence) == (False, "No answer: timed out.")


FILES = "anon 70000\nfile 220000\nshmem 10000\ninactive_file 160000\nactive_file 50000\n"


@pytest.mark.parametrize(
    ("machine", "limit", "used", "files", "available"),
    [
        pytest.param("MemTotal: 9 kB\nMemAvailable:    1000 kB\n", None, None, None, 1_024_000, id="machine"),
        pytest.param("MemAvailable: 1000 kB\n", "max\n", "5\n", None, 1_024_000, id="no limit"),
        pytest.param("MemAvailable: 1000 kB\n", "300000\n", "100000\n", None, 200_000, id="container"),
        pytest.param("MemAvailable: 1000 kB\n", "300000\n", "290000\n", FILES, 220_000, id="container that read files"),
        pytest.param("MemAvailable: 100 kB\n", "300000\n", "290000\n", FILES, 102_400, id="a full machine"),
        pytest.param("", "300000\n", "290000\n", "inactive_file many\n", 10_000, id="files that are no number"),
        pytest.param("no such line\n", "300000\n", "100000\n", None, 200_000, id="machine does not say"),
        pytest.param("", None, None, None, None, id="nobody says"),
    ],
)
def test_memory_is_what_machine_and_container_leave(
    tmp_path: Path, machine: str, limit: str | None, used: str | None, files: str | None, available: int | None
) -> None:
    (tmp_path / "meminfo").write_text(machine)
    for name, text in (("memory.max", limit), ("memory.current", used), ("memory.stat", files)):
        if text is not None:
            (tmp_path / name).write_text(text)
    assert available_memory(tmp_path / "meminfo", tmp_path) == available
