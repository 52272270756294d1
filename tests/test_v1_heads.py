"""What the full API makes of a request's head: options, encodings, methods, what is known already."""

import socket
from collections.abc import Iterator

import pytest

from tests.photos import photo
from tests.service import Service, running_service

PHOTO = photo("JPEG", 320, 240)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service"), {}) as service:
        yield service


@pytest.mark.parametrize(
    ("target", "named", "taken"),
    [
        pytest.param("predict?topk=1", "`topk`", "`url`, `top_k`, `min_score`, `explain`", id="misspelt"),
        pytest.param("predict?topk", "`topk`", "`top_k`", id="without a value"),
        pytest.param("predict?a b=1&%22=2", "one more, one more", "`top_k`", id="names that are none"),
        pytest.param("predict?top_k=1&top_k=3", "`top_k`", "once", id="twice"),
        pytest.param("predict?url=http://a/&url=http://b/", "`url`", "once", id="two links"),
        pytest.param("predict?dish=pho", "`dish`", "`top_k`", id="another route's"),
        pytest.param("explain?explain=true", "`explain`", "`url`, `dish`, `top_k`, `min_score`", id="explained anyway"),
        pytest.param("predict/batch?url=a&explain=true", "`url`, `explain`", "`top_k`, `min_score`", id="batch"),
    ],
)
def test_no_option_is_passed_over(service: Service, target: str, named: str, taken: str) -> None:
    answer = service.client.post(f"/v1/{target}", files={"file": PHOTO})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    assert f"{named}; this route takes" in answer.json()["detail"] or f"{named} stands" in answer.json()["detail"]
    assert taken in answer.json()["detail"].partition("this route takes")[2]


def test_the_contract_takes_what_it_always_took(service: Service) -> None:
    answer = service.client.post("/net/image/prediction/?image_link=&topk=1&topk=2")
    assert answer.json() == {"message": "No image link provided"}


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/explain", "/v1/predict/batch"])
@pytest.mark.parametrize("coding", ["gzip", "identity, gzip", "BR"])
def test_compressed_bodies_are_refused(service: Service, path: str, coding: str) -> None:
    answer = service.client.post(path, content=PHOTO, headers={"Content-Encoding": coding})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_format")
    assert "compressed bodies are not taken" in answer.json()["detail"]


def test_identity_is_no_compression(service: Service) -> None:
    assert service.client.post("/v1/predict", content=PHOTO, headers={"Content-Encoding": "Identity"}).is_success


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/octet-stream"])
def test_an_empty_file_is_told_as_in_the_other_forms(service: Service, content_type: str) -> None:
    raw = service.client.post("/v1/predict", content=b"", headers={"Content-Type": content_type}).json()
    form = service.client.post("/v1/predict", files={"file": b""}).json()
    assert (raw["code"], raw["detail"]) == (form["code"], form["detail"])
    assert (raw["code"], raw["detail"]) == ("undecodable_photo", "The photo is empty.")


@pytest.mark.parametrize("path", ["/v1/labels", "/v1/model", "/metrics"])
def test_the_head_alone_can_be_asked_for(service: Service, path: str) -> None:
    whole, head = service.client.get(path), service.client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "etag"):
        assert head.headers.get(name) == whole.headers.get(name)
    assert int(head.headers["content-length"]) > 0


@pytest.mark.parametrize("path", ["/v1/labels", "/page/style.css"])
def test_every_line_of_if_none_match_counts(service: Service, path: str) -> None:
    etag = service.client.get(path).headers["etag"]
    for lines in ([etag, '"other"'], ['"other"', etag]):
        answer = service.client.get(path, headers=[("If-None-Match", line) for line in lines])
        assert answer.status_code == 304


def test_an_answer_refused_for_its_type_depends_on_the_type(service: Service) -> None:
    answer = service.client.post("/v1/explain", content=PHOTO, headers={"Accept": "text/html"})
    assert answer.status_code == 406
    assert "accept" in answer.headers["vary"].lower()


def test_what_is_no_http_is_answered_in_plain_text(service: Service) -> None:
    host, _, port = service.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n")
        head = connection.recv(4096).lower()
    assert head.startswith(b"http/1.1 400 ")
    assert b"content-type: text/plain" in head
