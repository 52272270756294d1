"""What operators see: figures, log lines and ``Server-Timing``; and that no secret is in them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx2
import pytest

from food_vision import __version__
from tests.figures import eventually, figures, sum_of
from tests.origin import Origin
from tests.service import ROOT, Service, running_service

LOOPBACK = {"FOOD_VISION_ALLOW_NETWORKS": "127.0.0.0/8"}
ROUTE = "/net/image/prediction/"
GAUGES = ("food_vision_requests_in_flight", "food_vision_fetches_in_flight", "food_vision_queue_length")
KEY = "a-key-that-nobody-may-see"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service"), LOOPBACK) as service:
        yield service


def test_requests_are_counted_by_route_and_outcome(service: Service, origin: Origin) -> None:
    before = figures(service.client)
    for link in (origin.url("/photo.jpg"), origin.url("/photo.jpg"), origin.url("/status/404"), "ftp://a/"):
        service.ask(link)
    service.client.get("/nowhere")
    service.client.get("/docs")
    service.client.options("/v1/predict", headers={"Origin": "http://a", "Access-Control-Request-Method": "POST"})
    after = figures(service.client)

    def more(series: str) -> float:
        return after[series] - before.get(series, 0)

    assert more(f'food_vision_requests_total{{outcome="ok",route="{ROUTE}"}}') == 2
    assert more(f'food_vision_requests_total{{outcome="source_failed",route="{ROUTE}"}}') == 1
    assert more(f'food_vision_requests_total{{outcome="invalid_url",route="{ROUTE}"}}') == 1
    assert more('food_vision_requests_total{outcome="not_found",route="none"}') == 1
    assert more('food_vision_requests_total{outcome="ok",route="none"}') == 2, "documentation and preflight"
    assert more('food_vision_refusals_total{reason="source_failed"}') == 1
    assert more('food_vision_stage_seconds_count{stage="fetch"}') == 4
    for stage in ("decode", "queue", "inference"):
        assert more(f'food_vision_stage_seconds_count{{stage="{stage}"}}') == 2
    assert more("food_vision_batch_size_sum") == 2
    assert more("food_vision_fetched_bytes_total") > 1000
    assert more(f'food_vision_request_seconds_count{{route="{ROUTE}"}}') == 4


def test_model_and_build_are_named(service: Service) -> None:
    found = figures(service.client)
    assert any(series.startswith("food_vision_model_info{") and 'engine="fast"' in series for series in found)
    assert any(f'version="{__version__}"' in series for series in found if series.startswith("food_vision_build_info"))
    assert found["food_vision_workers"] == 1
    assert found["process_resident_memory_bytes"] > 10e6


def test_scrapers_get_the_format_they_ask_for(service: Service) -> None:
    wish = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = service.client.get("/metrics", headers=wish)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    assert service.client.get("/metrics").headers["content-type"].startswith("text/plain")


def test_stages_are_in_server_timing_and_in_the_log_line(service: Service, origin: Origin) -> None:
    answer = service.ask(origin.url("/photo.jpg"))
    stages = re.findall(r"(\w+);dur=([\d.]+)", answer.headers["server-timing"])
    assert [name for name, _ in stages] == ["fetch", "decode", "queue", "inference"]
    line = service.line_of(answer)
    assert line["stages_ms"] == {name: float(value) for name, value in stages}
    assert line["ms"] >= sum(line["stages_ms"].values()) * 0.9
    assert line["route"] == ROUTE
    assert line["bytes_fetched"] > 500
    assert line["bytes_sent"] == len(answer.content)
    assert line["bytes_received"] == 0


def test_a_failure_tells_the_stages_it_got_to(service: Service, origin: Origin) -> None:
    answer = service.ask(origin.url("/status/404"))
    assert re.fullmatch(r"fetch;dur=[\d.]+", answer.headers["server-timing"])
    assert "server-timing" not in service.client.get("/").headers


def test_the_log_counts_the_bytes_received(service: Service, origin: Origin) -> None:
    answer = service.client.post(ROUTE, params={"image_link": origin.url("/slow?pause=0.3")}, content=b"x" * 4321)
    assert service.line_of(answer)["bytes_received"] == 4321


def test_all_our_lines_are_json(service: Service, origin: Origin) -> None:
    service.ask(origin.url("/status/500"))
    ours = [line for line in service.log().splitlines() if not line.startswith("INFO: ")]
    lines = [json.loads(line) for line in ours]
    assert any("internal" in line for line in lines), "what only the operator may know has a line of its own"
    assert all({"time", "level"} <= set(line) for line in lines)
    assert all({"id", "outcome"} <= set(line) for line in lines if "message" not in line)


def test_probes_and_scrapes_have_no_log_line(service: Service) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert service.client.get(path).headers["x-request-id"] not in service.log()


def test_nothing_is_in_flight_after_errors_and_hang_ups(tmp_path: Path, origin: Origin) -> None:
    with running_service(tmp_path, LOOPBACK | {"FOOD_VISION_FETCH_SLOTS": "5"}) as service:
        for path in ("/status/500", "/truncated", "/page.html", "/photo.jpg"):
            service.ask(origin.url(path))
        callers = [hang_on(service, origin.url("/stall")) for _ in range(10)]
        assert eventually(lambda: figures(service.client)["food_vision_fetches_in_flight"] == 5)
        assert figures(service.client)['food_vision_refusals_total{reason="overloaded"}'] == 5
        for caller in callers:
            caller.close()
        assert eventually(lambda: not any(figures(service.client)[gauge] for gauge in GAUGES))
        assert figures(service.client)[f'food_vision_requests_total{{outcome="client_gone",route="{ROUTE}"}}'] == 5


def hang_on(service: Service, link: str) -> socket.socket:
    """Ask for a link, and do not wait for the answer."""
    caller = socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])))
    caller.sendall(f"POST {ROUTE}?image_link={link} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    return caller


def test_no_key_query_or_link_is_in_logs_figures_or_answers(tmp_path: Path, origin: Origin) -> None:
    settings = LOOPBACK | {"FOOD_VISION_API_KEYS": KEY, "FOOD_VISION_LOG_LEVEL": "debug"}
    with running_service(tmp_path, settings) as service:
        links = [origin.url("/photo.jpg?token=hunter2"), origin.url("/status/500?token=hunter2"), "http://u:hunter2@h/"]
        headers: list[dict[str, str]] = [
            {"X-API-Key": KEY},
            {"Authorization": f"Bearer {KEY}"},
            {"X-API-Key": f"{KEY}-hunter2"},
            {},
        ]
        answers = [
            service.client.post(ROUTE, params={"image_link": link}, headers=header)
            for link in links
            for header in headers
        ]
        answers.append(service.client.get(f"/nowhere?key={KEY}"))
        assert {200, 401, 403, 422, 502} == {answer.status_code for answer in answers}
        shown = service.client.get("/metrics").text + "".join(f"{answer.headers} {answer.text}" for answer in answers)
        shown += service.log()
    shown += (tmp_path / "service.log").read_text()
    for secret in (KEY, "hunter2", "token=", "photo.jpg", "image_link"):
        assert secret not in shown


def test_one_scrape_shows_all_workers_and_forgets_no_count_of_a_dead_one(tmp_path: Path, origin: Origin) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    settings = LOOPBACK | {"WEB_CONCURRENCY": "2", "TMPDIR": str(temporary)}
    series = f'food_vision_requests_total{{outcome="ok",route="{ROUTE}"}}'
    with running_service(tmp_path, settings) as service:
        assert eventually(lambda: scrape(service)["food_vision_workers"] == 2)
        for _ in range(20):
            with httpx2.Client(base_url=service.url, trust_env=False, verify=False) as client:
                assert client.post(ROUTE, params={"image_link": origin.url("/photo.jpg")}).status_code == 200
        assert {scrape(service)[series] for _ in range(8)} == {20}
        worker = min(workers(temporary))
        os.kill(worker, signal.SIGKILL)
        assert eventually(lambda: len(workers(temporary) - {worker}) == 2, 20)
        assert eventually(lambda: {scrape(service)["food_vision_workers"] for _ in range(4)} == {2})
        assert worker not in workers(temporary), "the dead worker's files are gone"
        assert {scrape(service)[series] for _ in range(8)} == {20}
        assert sum_of(scrape(service), "food_vision_batch_size_sum") >= 20
    assert service.process.returncode == 0
    assert list(temporary.iterdir()) == [], "the folder is removed at the end"


def scrape(service: Service) -> dict[str, float]:
    """Scrape over a new connection, which any worker may take; both are counted as ready once both answer."""
    with httpx2.Client(base_url=service.url, trust_env=False, verify=False) as client:
        return figures(client)


def workers(temporary: Path) -> set[int]:
    """Return the process ids that have files of figures."""
    return {int(file.stem.rpartition("_")[2]) for file in temporary.glob("*/gauge_*.db")}


@pytest.fixture
def read_only(tmp_path: Path) -> Sequence[str]:
    """A command that starts the server where only ``tmp_path/temporary`` can be written to."""
    may_mount = os.getuid() == 0 and subprocess.run(["unshare", "--mount", "true"], check=False).returncode == 0
    if not may_mount:
        pytest.skip("a read-only file system takes the right to mount")
    (tmp_path / "temporary").mkdir()
    mounts = f"mount -t tmpfs none {tmp_path}/temporary && mount -o remount,ro,bind /"
    return "unshare", "--mount", "sh", "-c", f"{mounts} && exec {sys.executable} main.py"


def test_several_workers_on_a_read_only_file_system(tmp_path: Path, read_only: Sequence[str]) -> None:
    settings = {"WEB_CONCURRENCY": "2", "TMPDIR": str(tmp_path / "temporary")}
    with running_service(tmp_path, settings, command=read_only) as service:
        assert eventually(lambda: scrape(service)["food_vision_workers"] == 2)
    assert service.process.returncode == 0


def test_one_worker_needs_no_folder(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with running_service(tmp_path, {"TMPDIR": str(temporary)}) as service:
        assert figures(service.client)["food_vision_workers"] == 1
        assert list(temporary.iterdir()) == []


def test_a_scrape_is_cheap(service: Service) -> None:
    started = time.perf_counter()
    for _ in range(20):
        figures(service.client)
    assert (time.perf_counter() - started) / 20 < 0.1


def test_every_figure_is_explained(service: Service, origin: Origin) -> None:
    service.ask(origin.url("/photo.jpg"))
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for series in figures(service.client):
        name = series.partition("{")[0]
        base = name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
        assert f"`{base}`" in page or name.startswith("process_"), name
