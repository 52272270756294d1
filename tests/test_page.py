"""The page's files and how they are sent; what it does in a browser is in ``test_page_in_browser.py``."""

import re
import tomllib
from collections.abc import Iterator

import httpx2
import pytest

from tests.service import ROOT, Service, running_service

PAGE = ROOT / "food_vision" / "page"
FILES = ["/", "/page/script.js", "/page/style.css"]
MESSAGE = {"message": "Welcome to the Food Vision API!"}
CHROMIUM = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7"
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("page"), {"FOOD_VISION_MAX_PHOTO_BYTES": "1234567"}) as service:
        yield service


@pytest.mark.parametrize(
    "accept",
    [
        pytest.param(CHROMIUM, id="Chromium and Edge"),
        pytest.param("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", id="Firefox and Safari"),
        pytest.param("text/html", id="plain"),
        pytest.param("Text/HTML;Q=0.9 , application/json;q=0.5", id="more than JSON"),
    ],
)
def test_browsers_get_the_page(service: Service, accept: str) -> None:
    answer = service.client.get("/", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "Accept" in answer.headers["vary"].split(", ")
    assert answer.text.startswith("<!doctype html>")


@pytest.mark.parametrize(
    "accept",
    [
        pytest.param(None, id="none"),
        pytest.param("*/*", id="curl, requests, httpx"),
        pytest.param("application/json, text/plain, */*", id="axios"),
        pytest.param("application/json", id="JSON"),
        pytest.param("application/json, text/html", id="both alike"),
        pytest.param("text/html;q=0.4, application/json", id="JSON rather"),
        pytest.param("text/html;q=0, */*", id="no page"),
        pytest.param("image/png", id="something else"),
        pytest.param(",;,;;q=", id="nonsense"),
    ],
)
def test_programs_get_the_message(service: Service, accept: str | None) -> None:
    headers = {} if accept is None else {"Accept": accept}
    request = service.client.build_request("GET", "/", headers=headers)
    if accept is None:
        del request.headers["accept"]
    answer = service.client.send(request)
    assert (answer.status_code, answer.json()) == (200, MESSAGE)
    assert answer.headers["content-type"] == "application/json"
    assert "Accept" in answer.headers["vary"].split(", ")


@pytest.mark.parametrize("path", FILES)
def test_every_file_is_sent_under_the_policy(service: Service, path: str) -> None:
    headers = page(service, path).headers
    policy = dict(directive.strip().split(" ", 1) for directive in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["img-src"] == "'self' blob: data:"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", FILES)
def test_what_the_browser_has_is_not_sent_again(service: Service, path: str) -> None:
    first = page(service, path)
    assert first.headers["cache-control"] == "no-cache"
    again = page(service, path, **{"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    for known in (f'"other", W/{first.headers["etag"]}', "*"):
        assert page(service, path, **{"If-None-Match": known}).status_code == 304
    assert page(service, path, **{"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("name", ["missing.js", "..%2fsettings.py", "%2e%2e/settings.py", "index.html/", ""])
def test_nothing_else_is_sent(service: Service, name: str) -> None:
    answer = page(service, f"/page/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_head_has_no_body(service: Service) -> None:
    answer = service.client.head("/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.content) == (200, b"")


def test_the_page_knows_how_large_a_photo_may_be(service: Service) -> None:
    assert 'data-max-photo-bytes="1234567"' in page(service, "/").text


def test_the_page_names_no_other_host_and_makes_no_markup() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in PAGE.iterdir())
    hosts = set(re.findall(r"(?:https?:)?//([a-z0-9-]+\.[a-z0-9.-]+)", source))
    assert hosts == {"www.w3.org"}, "only the name of SVG's namespace, which is never fetched"
    script = (PAGE / "script.js").read_text(encoding="utf-8")
    for door in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Storage", "cookie ="):
        assert door not in script


def test_the_page_is_packed() -> None:
    assert {path.name for path in PAGE.iterdir()} == {"index.html", "script.js", "style.css"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "page/*" in project["tool"]["setuptools"]["package-data"]["food_vision"]


def page(service: Service, path: str, **headers: str) -> httpx2.Response:
    return service.client.get(path, headers={"Accept": "text/html", **headers})
