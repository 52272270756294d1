"""``pip install .`` gives a command that works from any folder, once it is told where the model is."""

import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.photos import photo
from tests.service import ROOT, clean_environment

MODEL = ROOT / "food-vision-model.h5"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from a copy, so that nothing is left behind in the project."""
    source = tmp_path_factory.mktemp("source")
    for name in ("food_vision", "training"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip("wheel", "--no-build-isolation", "--wheel-dir", str(source / "dist"), str(source))
    (made,) = (source / "dist").iterdir()
    return made


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed command, in an environment that borrows this one's packages instead of fetching them."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    paths = sysconfig.get_paths("venv", {"base": str(folder), "platbase": str(folder)})
    Path(paths["purelib"], "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    pip("--python", str(folder), "install", str(wheel))
    return Path(paths["scripts"], "food-vision")


def pip(*words: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words, "--no-deps", "--no-index"],
        check=True,
        timeout=120,
    )


def run(command: Path, *words: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = clean_environment() | settings
    environment.pop("PYTHONPATH", None)
    return subprocess.run(
        [command, *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_what_the_server_reads_is_in_the_wheel(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    wanted = [path for path in (ROOT / "food_vision").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert {path.relative_to(ROOT).as_posix() for path in wanted} <= set(names)
    assert not [name for name in names if name.startswith("tests")]


def test_it_predicts_from_another_folder(command: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(photo())
    outcome = run(command, "predict", "photo.jpg", "--csv", cwd=tmp_path, FOOD_VISION_MODEL=str(MODEL))
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout.splitlines()[1].startswith("photo.jpg,")


def test_a_model_in_the_folder_is_found(command: Path, tmp_path: Path) -> None:
    for path in (MODEL, MODEL.with_suffix(".onnx")):
        (tmp_path / path.name).symlink_to(path)
    outcome = run(command, "labels", cwd=tmp_path)
    assert len(outcome.stdout.splitlines()) == 101


def test_without_a_model_a_sentence_says_how_to_give_one(command: Path, tmp_path: Path) -> None:
    outcome = run(command, "labels", cwd=tmp_path)
    assert outcome.returncode == 1
    assert outcome.stderr == (
        "food-vision: food-vision-model.h5 is missing; set FOOD_VISION_MODEL to a Keras .h5 file.\n"
    )
