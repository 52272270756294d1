"""The Dockerfile's steps, replayed without an engine: a clean folder, its own Python, the final stage's packages only.

What this does not show: the base image's own contents, and the layers. What it does: every file that the image needs
is copied and passes ``.dockerignore``, the pinned packages are enough, and the command serves as a user who may write
nowhere.
"""

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.origin import Origin
from tests.service import ROOT, running_service

NOBODY = 10001
NOT_ON_HEROKU = {"VOLUME", "HEALTHCHECK", "SHELL", "STOPSIGNAL", "ONBUILD"}
"""Instructions that Heroku's container stack ignores or rejects."""


@dataclass
class Stage:
    """The file system and settings of one stage, under a folder that stands for ``/``."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0"
    command: list[str] = field(default_factory=list)

    def path(self, inside: str) -> Path:
        return self.root / str(Path(self.folder, inside)).lstrip("/")


def instructions() -> Iterator[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word, rest


def passes_dockerignore(name: str) -> bool:
    passes = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.lstrip("!").strip()
        if pattern and not pattern.startswith("#"):
            parents = [name, *map(str, Path(name).parents)]
            if any(fnmatch.fnmatch(parent, pattern.removeprefix("**/")) for parent in parents if parent != "."):
                passes = line.startswith("!")
    return passes


class Replay:
    """Carries out a Dockerfile's instructions under a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = copy_of_python(folder / "python")
        self.stages: dict[str, Stage] = {}
        for word, rest in instructions():
            getattr(self, f"do_{word.lower()}")(rest)

    @property
    def stage(self) -> Stage:
        return list(self.stages.values())[-1]

    def do_from(self, rest: str) -> None:
        image, _, name = rest.partition(" AS ")
        assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", image), "a pinned slim base"
        root = self.folder / f"stage{len(self.stages)}"
        root.mkdir(mode=0o755)
        self.stages[name or "final"] = Stage(root)

    def do_copy(self, rest: str) -> None:
        words = rest.split()
        source = self.stages[words.pop(0).removeprefix("--from=")] if words[0].startswith("--from=") else None
        *names, target = words
        for name in names:
            if source is None:
                assert passes_dockerignore(name), f"{name} is kept out of the build by .dockerignore"
            origin = source.path(name) if source else ROOT / name
            aim = self.stage.path(target)
            aim = aim / origin.name if target.endswith("/") else aim
            aim.parent.mkdir(parents=True, exist_ok=True)
            if origin.is_dir():
                shutil.copytree(origin, aim, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(origin, aim)

    def do_run(self, rest: str) -> None:
        command = rest.replace("/opt/", f"{self.stage.root}/opt/").replace("/build/", f"{self.stage.root}/build/")
        subprocess.run(["sh", "-euc", command], cwd=self.stage.root, env=self.environment(), check=True, timeout=600)

    def do_env(self, rest: str) -> None:
        self.stage.environment |= dict(item.split("=", 1) for item in rest.split())

    def do_workdir(self, rest: str) -> None:
        self.stage.folder = rest
        self.stage.path(".").mkdir(parents=True, exist_ok=True)

    def do_user(self, rest: str) -> None:
        self.stage.user = rest

    def do_expose(self, rest: str) -> None:
        assert rest.isdigit()

    def do_cmd(self, rest: str) -> None:
        self.stage.command = json.loads(rest)

    def environment(self) -> dict[str, str]:
        path = f"{self.python.parent}:/usr/bin:/bin"
        # The network's own settings (proxies, certificates, package index) are the builder's, not the image's.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}
        stage = {key: value.replace("$PATH", path) for key, value in self.stage.environment.items()}
        stage = {key: value.replace("/opt/", f"{self.stage.root}/opt/") for key, value in stage.items()}
        # A Python that was built with a shared library looks for it where it was built; the user may not read there.
        library = {"LD_LIBRARY_PATH": str(self.python.parent.parent / "lib")}
        return inherited | library | {"PATH": path, "HOME": "/nonexistent"} | stage


def copy_of_python(folder: Path) -> Path:
    """Copy this Python without its packages, so that a user who may not read ours can run it; the base image's part."""
    base = Path(sys.base_prefix)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    leave_out = shutil.ignore_patterns("site-packages", "test", "tests", "__pycache__", "idlelib", "config-*")
    shutil.copytree(base / "lib" / version, folder / "lib" / version, ignore=leave_out)
    for library in (base / "lib").glob("libpython*"):
        shutil.copy(library, folder / "lib")
    (folder / "lib" / version / "site-packages").mkdir(exist_ok=True)
    (folder / "bin").mkdir()
    shutil.copy(base / "bin" / version, folder / "bin" / version)
    (folder / "bin" / "python").symlink_to(version)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def image() -> Iterator[Replay]:
    # Not pytest's own folder: that one may be read by its owner only, and the image runs as somebody else.
    folder = Path(tempfile.mkdtemp(prefix="image-"))
    folder.chmod(0o755)
    try:
        yield Replay(folder)
    finally:
        shutil.rmtree(folder)


def test_no_instruction_that_a_platform_rejects() -> None:
    words = [word for word, _ in instructions()]
    assert not NOT_ON_HEROKU & set(words)
    assert words[-1] == "CMD"


def test_the_image_has_no_tensorflow_and_stays_small(image: Replay) -> None:
    packages = {path.name.lower() for path in image.stage.root.glob("opt/venv/lib/*/site-packages/*")}
    assert "fastapi" in packages
    assert not {"tensorflow", "keras", "torch", "h5py", "pip", "pytest"} & packages
    size = sum(path.lstat().st_size for path in image.stage.root.rglob("*") if path.is_file())
    assert size < 400e6, f"{size / 1e6:.0f} MB"


def test_the_image_serves_as_a_user_who_may_write_nowhere(image: Replay, tmp_path: Path, origin: Origin) -> None:
    stage = image.stage
    assert stage.user == f"{NOBODY}:{NOBODY}"
    assert stage.command == ["python", "main.py"]
    python = stage.path("/opt/venv/bin/python")
    settings = image.environment() | {"FOOD_VISION_ALLOW_NETWORKS": "127.0.0.0/8"}
    user = NOBODY if os.getuid() == 0 else None
    command = [str(python), *stage.command[1:]]
    with running_service(tmp_path, settings, command=command, cwd=stage.path("."), user=user) as service:
        if user is not None:
            assert f"Uid:\t{NOBODY}" in Path(f"/proc/{service.process.pid}/status").read_text()
        answer = service.ask(origin.url("/photo.jpg")).json()
    assert set(answer) == {"model-prediction", "model-prediction-confidence-score"}


def test_heroku_and_compose_build_this_dockerfile() -> None:
    assert "web: Dockerfile" in (ROOT / "heroku.yml").read_text()
    assert json.loads((ROOT / "app.json").read_text())["stack"] == "container"
    compose = (ROOT / "compose.yaml").read_text()
    assert "read_only: true" in compose
    assert "cap_drop: [ALL]" in compose
