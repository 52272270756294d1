"""The page of the API shows what happens: its lines run, and its answers have the members that real ones have."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.origin import Origin
from tests.photos import photo
from tests.promising import promising_model
from tests.service import ROOT, Service, running_service

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
LINES = re.findall(r"^\$ (curl .*)$", PAGE, flags=re.MULTILINE)
ANSWERS = re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    settings = {"FOOD_VISION_ALLOW_NETWORKS": "127.0.0.0/8", "FOOD_VISION_MODEL": str(promising_model(folder))}
    with running_service(folder, settings) as service:
        yield service


def run(line: str, service: Service, link: str, folder: Path) -> bytes:
    for name in ("ramen.jpg", "one.jpg", "two.jpg"):
        (folder / name).write_bytes(photo())
    line = line.replace("http://localhost:5000", service.url)
    line = re.sub(r"https://photos\.example/\w+\.jpg", link, line)
    command = ["/usr/bin/env", *shlex.split(line), "--silent", "--fail-with-body"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("line", LINES)
def test_every_line_runs(line: str, service: Service, origin: Origin, tmp_path: Path) -> None:
    output = run(line, service, origin.url("/photo.jpg"), tmp_path)
    if "-o why.png" in line:
        assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")
    else:
        answer = json.loads(output)
        assert all("result" in item for item in answer.get("results", [])), answer
        assert "dish" in answer or "results" in answer


def members(value: Any) -> Any:  # noqa: ANN401 - JSON can be anything
    return {key: members(inner) for key, inner in value.items()} if isinstance(value, dict) else None


def test_the_answers_shown_have_the_members_of_real_ones(service: Service) -> None:
    prediction, _, explanation = ANSWERS
    answer = service.client.post("/v1/explain", content=photo()).json()
    assert members(json.loads("{" + explanation + "}")) == {"explanation": members(answer.pop("explanation"))}
    assert members(json.loads(prediction)) == members(answer)
    assert list(json.loads(prediction)) == list(answer)
