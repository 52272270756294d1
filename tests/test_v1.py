"""The full API against a real server and a real origin: forms, batches, explanations, labels, the model."""

import base64
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image

from tests.origin import Origin
from tests.photos import photo, png
from tests.promising import promising_model
from tests.service import Service, running_service

PHOTO = photo("JPEG", 320, 240)
SMALL = photo("PNG", 4, 4)
LOOPBACK = {"FOOD_VISION_ALLOW_NETWORKS": "127.0.0.0/8"}
Send = Callable[[Service, str], httpx2.Response]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    settings = {
        **LOOPBACK,
        "FOOD_VISION_MODEL": str(promising_model(folder)),
        "FOOD_VISION_MAX_ITEMS": "4",
        "FOOD_VISION_REQUEST_TIMEOUT": "5",
    }
    with running_service(folder, settings) as service:
        yield service


@pytest.fixture(scope="module")
def photo_link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("photos")
    (folder / "photo.jpg").write_bytes(PHOTO)
    with Origin(photos=folder).running() as origin:
        yield f"{origin.url()}/photos/photo.jpg"


def post(service: Service, path: str, **request: Any) -> httpx2.Response:  # noqa: ANN401
    return service.client.post(path, **request)


def without_timings(answer: httpx2.Response) -> bytes:
    assert answer.status_code == 200, answer.text
    before, _, _ = answer.content.partition(b'"timings_ms":')
    return before


def test_the_same_photo_gets_the_same_answer_in_every_form_byte_for_byte(service: Service, photo_link: str) -> None:
    text = base64.b64encode(PHOTO).decode()
    answers = {
        "link": post(service, "/v1/predict", json={"url": photo_link}),
        "query": post(service, "/v1/predict", params={"url": photo_link}),
        "form": post(service, "/v1/predict", files={"file": ("a.png", PHOTO, "image/png")}),
        "raw": post(service, "/v1/predict", content=PHOTO, headers={"Content-Type": "image/jpeg"}),
        "bytes": post(service, "/v1/predict", content=PHOTO, headers={"Content-Type": "application/octet-stream"}),
        "base64": post(service, "/v1/predict", json={"image": text}),
        "url-safe": post(service, "/v1/predict", json={"image": text.replace("+", "-").replace("/", "_").rstrip("=")}),
        "data URI": post(service, "/v1/predict", json={"image": f"data:image/jpeg;base64,{text}"}),
    }
    expected = without_timings(answers["link"])
    assert {name: without_timings(answer) for name, answer in answers.items()} == dict.fromkeys(answers, expected)
    assert answers["link"].json()["timings_ms"]["fetch"] > 0
    assert answers["raw"].json()["timings_ms"]["fetch"] == 0


def test_an_answer_has_what_the_documentation_says(service: Service) -> None:
    answer = post(service, "/v1/predict", content=PHOTO).json()
    members = "dish score predictions prediction_set coverage food food_score photo model timings_ms"
    assert list(answer) == members.split()
    assert len(answer["predictions"]) == 5
    assert answer["predictions"][0] == {"dish": answer["dish"], "score": answer["score"]}
    scores = [ranked["score"] for ranked in answer["predictions"]]
    assert scores == sorted(scores, reverse=True)
    assert all(round(score, 4) == score for score in scores)
    assert answer["prediction_set"][0] == answer["dish"]
    assert answer["coverage"] == 0.95
    assert 0 <= answer["food_score"] <= 1
    facts = answer["photo"]
    assert (facts["width"], facts["height"], facts["format"], len(facts["sha256"])) == (320, 240, "JPEG", 64)
    assert set(answer["timings_ms"]) == {"fetch", "decode", "queue", "inference"}


def test_options_hold_for_every_form(service: Service) -> None:
    options = {"top_k": 101, "min_score": 0}
    everything = post(service, "/v1/predict", params=options, content=PHOTO).json()["predictions"]
    assert len(everything) == 101
    least = everything[2]["score"]
    options["min_score"] = least
    some = post(service, "/v1/predict", params=options, files={"file": PHOTO}).json()["predictions"]
    assert some in (everything[:2], everything[:3]), "the third one's score is rounded"
    none = post(service, "/v1/predict", params={"min_score": 1}, content=PHOTO).json()
    assert none["predictions"] == []
    assert none["dish"] == everything[0]["dish"]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"top_k": 0}, id="no dishes"),
        pytest.param({"top_k": 102}, id="more dishes than there are"),
        pytest.param({"top_k": "all"}, id="dishes in words"),
        pytest.param({"min_score": 1.1}, id="more than certain"),
        pytest.param({"min_score": "nan"}, id="not a number"),
        pytest.param({"explain": "perhaps"}, id="perhaps"),
    ],
)
def test_options_out_of_range_are_named(service: Service, options: dict[str, Any]) -> None:
    answer = post(service, "/v1/predict", params=options, content=PHOTO)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    assert next(iter(options)) in answer.json()["detail"]


def test_two_links_are_one_too_many(service: Service, photo_link: str) -> None:
    answer = service.client.post(f"/v1/predict?url={photo_link}&url={photo_link}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")


def test_a_link_in_the_file_field_is_not_fetched(service: Service, origin: Origin) -> None:
    link = origin.url("/photo.jpg")
    for request in ({"files": {"file": link.encode()}}, {"files": {"file": (None, link)}}):
        answer = post(service, "/v1/predict", **request)
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_format")
    assert origin.requests == []


def test_links_pass_every_check_of_the_fetcher(service: Service) -> None:
    for request in ({"json": {"url": "http://169.254.169.254/"}}, {"params": {"url": "http://169.254.169.254/"}}):
        answer = post(service, "/v1/predict", **request)
        assert (answer.status_code, answer.json()["code"]) == (403, "address_not_allowed")
    answer = post(service, "/v1/predict", json={"url": "file:///etc/passwd"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_url")


# Batches


def outcomes(answer: httpx2.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [
        item["result"]["dish"] if "result" in item else item["problem"]["code"] for item in answer.json()["results"]
    ]


def test_one_bad_photo_never_fails_the_others(service: Service, photo_link: str) -> None:
    dish = post(service, "/v1/predict", content=PHOTO).json()["dish"]
    text = base64.b64encode(PHOTO).decode()
    bad = [
        ({"image": "A A"}, "malformed_body"),
        ({"image": base64.b64encode(SMALL).decode()}, "photo_too_small"),
        ({"image": base64.b64encode(PHOTO[:500]).decode()}, "undecodable_photo"),
        ({"image": ""}, "undecodable_photo"),
        ({"url": "http://10.0.0.1/"}, "address_not_allowed"),
        ({"url": "photo.jpg"}, "invalid_url"),
        ({"url": photo_link + "x"}, "source_failed"),
        ({}, "invalid_parameter"),
    ]
    for item, code in bad:
        batch = [{"id": "a", "image": text}, {"id": "b", **item}, {"url": photo_link}]
        answer = post(service, "/v1/predict/batch", json=batch)
        assert outcomes(answer) == [dish, code, dish]
        results = answer.json()["results"]
        assert [item["id"] for item in results] == ["a", "b", None]
        assert results[1]["problem"]["request_id"] == answer.headers["x-request-id"]


def test_a_slow_photo_has_the_deadline_as_its_problem_and_the_others_their_answers(
    service: Service, origin: Origin
) -> None:
    batch = [{"image": base64.b64encode(PHOTO).decode()}, {"url": origin.url("/drip.jpg?pause=1")}]
    dish, slow = outcomes(post(service, "/v1/predict/batch", json=batch))
    assert slow in ("deadline_exceeded", "source_timeout")
    assert dish == post(service, "/v1/predict", content=PHOTO).json()["dish"]


def test_a_batch_as_a_form(service: Service) -> None:
    files = [("file", ("one.jpg", PHOTO)), ("file", ("two.txt", b"text"))]
    answer = post(service, "/v1/predict/batch", files=files, params={"top_k": 1})
    assert [item["id"] for item in answer.json()["results"]] == ["one.jpg", "two.txt"]
    assert outcomes(answer)[1] == "unsupported_format"
    assert len(answer.json()["results"][0]["result"]["predictions"]) == 1


def test_a_batch_of_too_many(service: Service) -> None:
    answer = post(service, "/v1/predict/batch", json=[{"url": "http://10.0.0.1/"}] * 5)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_many_items")
    assert "At most 4" in answer.json()["detail"]


# Explanations


def test_an_explanation_as_numbers(service: Service) -> None:
    answer = post(service, "/v1/explain", content=PHOTO).json()
    plain = post(service, "/v1/predict", content=PHOTO, params={"explain": True}).json()
    assert {k: v for k, v in answer.items() if k != "timings_ms"} == {
        k: v for k, v in plain.items() if k != "timings_ms"
    }
    explanation = answer["explanation"]
    assert (explanation["dish"], explanation["score"]) == (answer["dish"], answer["score"])
    cells = np.array(explanation["grid"])
    assert cells.shape == (7, 7)
    assert (cells.min() >= 0, cells.max()) == (True, 1)
    assert explanation["area"] == {"left": 40, "top": 0, "width": 240, "height": 240}


@pytest.mark.parametrize("dish", ["creme brulee", "creme_brulee"], ids=["name", "id"])
def test_another_dish_can_be_explained(service: Service, dish: str) -> None:
    explanation = post(service, "/v1/explain", content=PHOTO, params={"dish": dish}).json()["explanation"]
    assert explanation["dish"] == "creme brulee"


def test_an_explanation_as_a_picture(service: Service) -> None:
    answer = post(service, "/v1/explain", content=PHOTO, headers={"Accept": "image/png"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert "accept" in answer.headers["vary"].lower()
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert (picture.format, picture.size, picture.mode) == ("PNG", (224, 224), "RGB")


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        pytest.param({"params": {"dish": "gruel"}}, 422, "invalid_parameter", id="a dish that it does not know"),
        pytest.param({"headers": {"Accept": "text/html"}}, 406, "not_acceptable", id="a type that there is not"),
        pytest.param({"content": b"text"}, 415, "unsupported_format", id="no photo"),
    ],
)
def test_what_cannot_be_explained(service: Service, request_: dict[str, Any], status: int, code: str) -> None:
    answer = post(service, "/v1/explain", **{"content": PHOTO, **request_})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


# The model


def test_labels_are_sent_once(service: Service) -> None:
    answer = service.client.get("/v1/labels")
    labels = answer.json()["labels"]
    assert [label["index"] for label in labels] == list(range(101))
    assert labels[0] == {"index": 0, "id": "apple_pie", "name": "apple pie"}
    etag = answer.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = service.client.get("/v1/labels", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert service.client.get("/v1/labels", headers={"If-None-Match": '"other"'}).status_code == 200


def test_the_model_says_what_it_is(service: Service) -> None:
    about = service.client.get("/v1/model").json()
    assert (about["name"], about["classes"], about["input_size"]) == ("food-vision", 101, 224)
    assert about["engine"].startswith("ONNX Runtime")
    assert len(about["sha256"]) == 64
    assert about["coverage"] == 0.95
    assert all(row["low"] <= row["value"] <= row["high"] for row in about["accuracy"])
    assert {"preprocessing", "training_data", "calibration", "licence", "origin"} <= set(about)


def test_a_model_without_a_promise_says_so(tmp_path: Path) -> None:
    with running_service(tmp_path, {"FOOD_VISION_MODEL": str(promising_model(tmp_path, promises=False))}) as service:
        answer = post(service, "/v1/predict", content=PHOTO).json()
        assert [answer[name] for name in ("prediction_set", "coverage", "food", "food_score")] == [None] * 4
        about = service.client.get("/v1/model").json()
        assert (about["coverage"], about["tells_food"]) == (None, False)


def test_the_contracts_header_tells_photos_without_food(service: Service, tmp_path: Path) -> None:
    grey = png(64, 64, 8, 0, (b"\0" + bytes(64)) * 64)
    (tmp_path / "grey.png").write_bytes(grey)
    food = post(service, "/v1/predict", content=grey).json()["food"]
    with Origin(photos=tmp_path).running() as origin:
        link = f"{origin.url()}/photos/grey.png"
        answer = service.ask(link)
        with running_service(
            tmp_path, {**LOOPBACK, "FOOD_VISION_MODEL": str(promising_model(tmp_path, False))}
        ) as other:
            silent = other.ask(link)
    assert food is False
    assert answer.headers["food-vision-not-food"] == "true"
    assert "food-vision-not-food" not in silent.headers


def test_the_log_has_no_photo_and_no_link(service: Service) -> None:
    post(service, "/v1/predict", params={"url": "http://10.0.0.1/?token=hunter2"})
    post(service, "/v1/predict", json={"image": "hunter3="})
    lines = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]
    assert any(line.get("outcome") == "address_not_allowed" for line in lines)
    assert "hunter" not in service.log()
