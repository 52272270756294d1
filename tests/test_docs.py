"""The documentation is complete, and what it shows is what happens."""

import hashlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from food_vision.api.middleware import QUIET
from food_vision.app import create_app
from food_vision.errors import all_problems
from food_vision.reference import errors_page, settings_page, with_settings
from food_vision.settings import Settings
from tests.origin import Origin
from tests.photos import photo
from tests.service import ROOT, Service, running_service
from training.evaluation.facts import read
from training.evaluation.pages import DIAGRAM, MARKED, PAGE, rendered

README = (ROOT / "README.md").read_text(encoding="utf-8")
PHOTOS = ROOT.parent / "shared" / "data" / "sharp" / "test"
EXAMPLE = Path("ramen", "1009072.webp")
"""The photo behind the README's example: one of Food-101's test photos."""
UNDOCUMENTED = {"/docs", "/docs/assets", "/redoc", "/openapi.json", "/docs/errors.md", "/page/{name}"}


def blocks(language: str, marker: str) -> list[str]:
    return re.findall(rf"<!-- {marker} -->\n```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_pages_are_as_generated() -> None:
    """When this fails: ``python -m food_vision.reference``."""
    assert (ROOT / "docs" / "errors.md").read_text(encoding="utf-8") == errors_page()
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings_page()
    assert with_settings(README) == README


def test_every_error_is_explained() -> None:
    for problem in all_problems():
        assert problem.__dict__.get("advice"), f"{problem.__name__} does not say what a caller can do"
        assert f"## {problem.code.replace('_', '-')}\n" in errors_page()


def test_every_route_is_in_the_readme_or_in_the_pages() -> None:
    pages = README + "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))
    # Not the app's `routes`: included routers stand there as one entry each, without a path.
    for path in create_app(Settings()).openapi()["paths"]:
        assert path in UNDOCUMENTED or path.rstrip("/") in pages, path


def test_the_alarm_for_overload_counts_no_probe() -> None:
    alarm = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    [left_out] = re.findall(r'requests_total\{route!~"(.*)"\}', alarm)
    assert all(re.fullmatch(left_out, route) for route in QUIET)
    assert not re.fullmatch(left_out, "/v1/predict")


def test_every_decision_and_page_that_is_linked_exists() -> None:
    for page in [ROOT / "README.md", *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_figures_are_those_of_the_weights() -> None:
    """When this fails: ``python -m training.evaluate --record``."""
    sha256 = hashlib.sha256((ROOT / "food-vision-model.h5").read_bytes()).hexdigest()
    assert read(ROOT / "docs" / "evaluation.json").model.sha256 == sha256
    for page in ("README.md", "MODEL_CARD.md", "docs/evaluation.md"):
        assert sha256 in (ROOT / page).read_text(encoding="utf-8"), page


@pytest.mark.parametrize("page", [PAGE, DIAGRAM, *MARKED], ids=str)
def test_the_pages_show_the_figures_of_the_evaluation(page: Path) -> None:
    """When this fails: ``python -m training.evaluate --render``."""
    assert (ROOT / page).read_text(encoding="utf-8") == rendered(ROOT)[page]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service"), {"FOOD_VISION_ALLOW_NETWORKS": "127.0.0.0/8"}) as service:
        yield service


CONSOLE = [block.strip().splitlines() for block in blocks("console", "runs")]


@pytest.mark.parametrize("lines", CONSOLE, ids=lambda lines: lines[1][:40])
def test_the_readmes_requests_give_the_readmes_answers(service: Service, lines: list[str]) -> None:
    """``photos.example`` is a folder of Food-101's test photos, where it is present."""
    command, expected = lines[0].removeprefix("$ "), json.loads(lines[1])
    if "photos.example" in command and not (PHOTOS / EXAMPLE).exists():
        pytest.skip("photos not present: Food-101's test photos")
    with Origin(photos=PHOTOS).running() as origin:
        photo = f"{origin.url()}/photos/{EXAMPLE.as_posix()}"
        command = command.replace("https://photos.example/ramen.jpg", photo)
        command = command.replace("http://localhost:5000", service.url)
        output = subprocess.run(
            ["/usr/bin/env", *shlex.split(command), "--silent"], capture_output=True, text=True, check=True, timeout=60
        ).stdout
    answer = json.loads(output)
    assert list(answer) == list(expected)
    for key, value in expected.items():
        if isinstance(value, float):
            assert answer[key] == pytest.approx(value, abs=0.5)
        elif key != "request_id":
            assert answer[key] == value


def test_the_tutorials_lines_work_as_the_readme_has_them(tmp_path: Path) -> None:
    (lines,) = blocks("python", "runs")
    (tmp_path / "food-vision-model.h5").symlink_to(ROOT / "food-vision-model.h5")
    (tmp_path / "photo.jpg").write_bytes(photo())
    outcome = subprocess.run(
        [sys.executable, "-c", lines], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=300
    )
    assert outcome.stdout.splitlines()[-1] == "(1, 101)"


def test_the_two_commands_are_where_tools_look_for_them() -> None:
    (first,), (second,) = blocks("bash", "first command"), blocks("bash", "second command")
    assert first == "pip install -r requirements.txt && python main.py\n"
    assert second == "pip install -r requirements-dev.txt && pytest\n"
    assert "second command" in (ROOT / ".ci" / "run").read_text()


def test_docs_page_and_openapi_are_served(service: Service) -> None:
    document = service.client.get("/openapi.json").json()
    assert document["info"]["title"] == "Food Vision"
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids)) > 4
    page: httpx2.Response = service.client.get("/docs/errors.md")
    assert page.text == errors_page()
