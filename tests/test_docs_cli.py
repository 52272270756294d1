"""What the pages of the command line and the client show is what happens, and nothing is left out."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from food_vision.cli.commands import app
from tests.service import ROOT, Service, clean_environment, free_port, running_service

README, CLI, CLIENT = ((ROOT / name).read_text("utf-8") for name in ("README.md", "docs/cli.md", "docs/client.md"))
PHOTOS = ROOT.parent / "shared" / "data" / "sharp" / "test"
RAMEN, PIZZA = Path("ramen", "1009072.webp"), Path("pizza", "1001116.webp")


def blocks(page: str, language: str, marker: str = "runs") -> list[str]:
    return re.findall(rf"<!-- {marker} -->\n```{language}\n(.*?)```", page, flags=re.DOTALL)


COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_its_place(name: str) -> None:
    _, *sections = re.split(r"^## ", CLI, flags=re.MULTILINE)
    (section,) = [text for text in sections if text.startswith(f"food-vision {name}\n")]
    for parameter in COMMANDS[name].params:
        for option in parameter.opts:
            assert not option.startswith("--") or f"{option}" in section, option


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the examples run: two of Food-101's test photos, a text that says it is one, and the command."""
    if not (PHOTOS / RAMEN).exists():
        pytest.skip("photos not present: Food-101's test photos")
    (tmp_path / "photos").mkdir()
    shutil.copy(PHOTOS / RAMEN, tmp_path / "ramen.jpg")
    shutil.copy(PHOTOS / RAMEN, tmp_path / "photos" / "ramen.jpg")
    shutil.copy(PHOTOS / PIZZA, tmp_path / "photos" / "pizza.jpg")
    (tmp_path / "photos" / "notes.jpg").write_text("no photo")
    for name in ("food-vision-model.h5", "food-vision-model.onnx"):
        (tmp_path / name).symlink_to(ROOT / name)
    command = tmp_path / "food-vision"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m food_vision "$@"\n')
    command.chmod(0o755)
    return tmp_path


EXAMPLES = blocks(CLI, "console") + blocks(README, "console", "runs: command line")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.splitlines()[0][2:40])
def test_the_examples_of_the_command_line_give_what_they_show(folder: Path, example: str) -> None:
    command, *shown = example.splitlines()
    if "jq" in command and not shutil.which("jq"):
        pytest.skip("jq is not installed")
    environment = clean_environment() | {"PYTHONPATH": str(ROOT), "PORT": str(free_port())}
    environment["PATH"] = f"{folder}:{environment['PATH']}"
    outcome = subprocess.run(
        ["/bin/sh", "-c", command.removeprefix("$ ")],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    assert [without_figures(line) for line in outcome.stdout.splitlines()] == [without_figures(line) for line in shown]


def without_figures(line: str) -> str:
    """Return what does not depend on the machine, and of dishes the likeliest only: others change with the model."""
    if re.match(r"[a-z ]+ \d+\.\d %", line):
        return "a dish"
    line = re.sub(r"( \d+\.\d %).*", r"\1", line)
    return " ".join(re.sub(r"\d[\d.,]*", "#", line).split())


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service"), {}) as service:
        yield service


LINES = blocks(CLIENT, "python") + blocks(README, "python", "runs: client")
PRINTED = ("ramen 0.9", "ramen", "ramen\nunreadable_file", "ramen 0.9")


@pytest.mark.parametrize(("lines", "printed"), [*zip(LINES, PRINTED, strict=True)], ids=lambda text: text[-20:])
def test_the_examples_of_the_client_work(folder: Path, service: Service, lines: str, printed: str) -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", lines.replace("http://localhost:5000", service.url)],
        cwd=folder,
        env=clean_environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert outcome.stdout.startswith(printed)
