"""The tutorial's contract against a real server and a real origin, letter by letter."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image

from tests.origin import Origin
from tests.service import Service, running_service

SLOW_DOWNLOADS = 20
HEALTH_BOUND = 0.050


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with running_service(folder, {"FOOD_VISION_ALLOW_NETWORKS": "127.0.0.0/8"}) as service:
        yield service


def test_welcome(service: Service) -> None:
    answer = service.client.get("/")
    assert answer.status_code == 200
    assert answer.json() == {"message": "Welcome to the Food Vision API!"}


@pytest.mark.parametrize("path", ["/net/image/prediction/", "/net/image/prediction"])
def test_prediction(service: Service, origin: Origin, path: str) -> None:
    answer = service.client.post(path, params={"image_link": origin.url("/photo.jpg")})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert list(body) == ["model-prediction", "model-prediction-confidence-score"]
    assert isinstance(body["model-prediction"], str)
    score = body["model-prediction-confidence-score"]
    assert isinstance(score, int | float)
    assert 0 <= score <= 100
    assert round(score, 2) == score


@pytest.mark.parametrize("query", ["", "?image_link="], ids=["absent", "empty"])
@pytest.mark.parametrize("path", ["/net/image/prediction/", "/net/image/prediction"])
def test_no_link(service: Service, path: str, query: str) -> None:
    answer = service.client.post(path + query)
    assert answer.status_code == 200
    assert answer.json() == {"message": "No image link provided"}


def test_the_same_last_part_from_two_places_gives_each_its_own_answer(service: Service, origin: Origin) -> None:
    """The tutorial's ``get_file`` names downloads by the URL's last part, and answers the second with the first."""
    links = [origin.url("/one/photo.jpg"), origin.url("/two/photo.jpg")]
    first, second, first_again = (service.ask(link).json() for link in [*links, links[0]])
    assert first != second
    assert first == first_again


def test_cors_lets_everybody_call_and_gives_no_credentials(service: Service) -> None:
    answer = service.client.get("/", headers={"Origin": "https://shop.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    preflight = service.client.options(
        "/net/image/prediction/",
        headers={
            "Origin": "https://shop.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "X-Anything",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["x-request-id"]
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert preflight.headers["access-control-allow-headers"] in ("*", "X-Anything")


def test_cors_can_be_narrowed(tmp_path: Path) -> None:
    with running_service(tmp_path, {"FOOD_VISION_CORS_ORIGINS": "https://shop.example"}) as service:
        mine = service.client.get("/", headers={"Origin": "https://shop.example"})
        other = service.client.get("/", headers={"Origin": "https://other.example"})
    assert mine.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-origin" not in other.headers


def test_docs_have_an_example_link_and_example_answers(service: Service) -> None:
    page = service.client.get("/docs")
    assert page.status_code == 200
    assert "swagger" in page.text.lower()
    route = service.client.get("/openapi.json").json()["paths"]["/net/image/prediction/"]["post"]
    (parameter,) = route["parameters"]
    assert any(example["value"].startswith("https://") for example in parameter["examples"].values())
    answers = route["responses"]["200"]["content"]["application/json"]["examples"]
    assert {"message": "No image link provided"} in [example["value"] for example in answers.values()]
    assert {"403", "413", "415", "422", "502", "503", "504"} <= set(route["responses"])


REFUSALS = [
    pytest.param("file:///etc/passwd", 422, "invalid_url", id="a file"),
    pytest.param("ftp://127.0.0.1/a.jpg", 422, "invalid_url", id="ftp"),
    pytest.param("photo.jpg", 422, "invalid_url", id="not absolute"),
    pytest.param("https://a.example/" + "a" * 2048, 422, "invalid_url", id="too long"),
    pytest.param("http://169.254.169.254/latest/meta-data/", 403, "address_not_allowed", id="cloud metadata"),
    pytest.param("http://10.0.0.1/", 403, "address_not_allowed", id="private network"),
    pytest.param("http://[::1]/", 403, "address_not_allowed", id="this machine"),
    pytest.param("{origin}/status/404", 502, "source_failed", id="missing at the source"),
    pytest.param("{origin}/page.html", 415, "unsupported_format", id="a web page"),
]


@pytest.mark.parametrize(("link", "status", "code"), REFUSALS)
def test_every_failure_is_a_problem_answer(service: Service, origin: Origin, link: str, status: int, code: str) -> None:
    answer = service.ask(link.replace("{origin}", origin.url()))
    assert_problem(answer, status, code)


def assert_problem(answer: httpx2.Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert {"type", "title", "status", "code", "detail", "request_id"} <= set(body)
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"].endswith(f"/docs/errors.md#{code.replace('_', '-')}")
    assert body["request_id"] == answer.headers["x-request-id"]


def test_the_frameworks_own_failures_have_the_same_shape(service: Service) -> None:
    assert_problem(service.client.get("/nowhere"), 404, "not_found")
    wrong_method = service.client.get("/net/image/prediction/")
    assert_problem(wrong_method, 405, "method_not_allowed")
    assert wrong_method.headers["allow"] == "POST"


def test_problem_types_lead_to_their_explanation(service: Service) -> None:
    problem = service.ask("file:///etc/passwd").json()
    path, _, anchor = problem["type"].partition("#")
    assert f"## {anchor}\n" in service.client.get(path).text


def test_request_ids_are_taken_if_they_are_clean_and_made_otherwise(service: Service) -> None:
    def sent_back(request_id: str) -> str:
        return str(service.client.get("/", headers={"X-Request-ID": request_id}).headers["x-request-id"])

    assert sent_back("order-66.A_b") == "order-66.A_b"
    assert sent_back('"><script>') != '"><script>'
    assert sent_back("x" * 129) != "x" * 129


def test_the_log_has_a_line_per_request_and_no_query(service: Service, origin: Origin) -> None:
    answer = service.ask(origin.url("/photo.jpg?token=hunter2"))
    line = service.line_of(answer)
    assert (line["path"], line["status"], line["outcome"]) == ("/net/image/prediction/", 200, "ok")
    assert "hunter2" not in service.log()
    assert "image_link" not in service.log()


@pytest.fixture(scope="module")
def large_photo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The link of a 12-megapixel photo full of detail, so that decoding it takes a while."""
    folder = tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(0).integers(0, 255, (3024, 4032, 3), np.uint8)
    Image.fromarray(noise).save(folder / "large.jpg", quality=60)
    with Origin(photos=folder).running() as origin:
        yield f"{origin.url()}/photos/large.jpg"


def test_health_answers_at_once_while_slow_downloads_and_decodes_are_under_way(
    service: Service, origin: Origin, large_photo: str
) -> None:
    """20 downloads that trickle and 20 large photos waiting for a decoder; the event loop must stay free."""
    links = [f"{origin.url()}/drip.jpg?pause=0.2"] * SLOW_DOWNLOADS + [large_photo] * SLOW_DOWNLOADS
    stop = threading.Event()

    def keep_asking(link: str) -> None:
        with httpx2.Client(base_url=service.url, timeout=60, trust_env=False) as client:
            while not stop.is_set():
                client.post("/net/image/prediction/", params={"image_link": link})

    with ThreadPoolExecutor(len(links)) as callers:
        for link in links:
            callers.submit(keep_asking, link)
        time.sleep(1)
        times = health_times(service.url)
        stop.set()
    assert len(times) == 100
    # All but a few: the callers and the origin share the processors with the server.
    assert times[-6] < HEALTH_BOUND, f"median {times[50]:.3f} s, sixth worst {times[-6]:.3f} s, worst {times[-1]:.3f} s"


def health_times(url: str) -> list[float]:
    """Probe liveness 100 times from a process of its own, which the 40 callers' threads cannot hold up."""
    probe = subprocess.run([sys.executable, "-c", PROBE, url], capture_output=True, text=True, check=True, timeout=60)
    return sorted(map(float, probe.stdout.split()))


PROBE = """
import sys, time, urllib.request
for _ in range(100):
    started = time.perf_counter()
    assert urllib.request.urlopen(sys.argv[1] + "/healthz").read() == b'{"status":"ok"}'
    print(time.perf_counter() - started)
    time.sleep(0.02)
"""
