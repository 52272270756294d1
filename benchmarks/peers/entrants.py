"""Who takes part: how each is installed, started and asked. All fetch the photo behind a link, but for the last."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.harness.servers import ROOT, Request
from benchmarks.peers.environments import pinned

JSON = "application/json"
BY_FORM = "multipart/form-data; boundary=photo"
PROCESSORS = str(len(os.sched_getaffinity(0)))
INSIDE = pinned("onnxruntime", "numpy", "pillow", "pydantic-settings")
"""What our engine needs, and our recipe by Pillow; without cykooz-resizer our decoder resizes by Pillow."""
MLSERVER = {
    "MLSERVER_HOST": "127.0.0.1",
    "MLSERVER_HTTP_PORT": "{port}",
    "MLSERVER_GRPC_PORT": "0",
    "MLSERVER_METRICS_PORT": "0",
    "MLSERVER_DEBUG": "false",
    "MLSERVER_PARALLEL_WORKERS": PROCESSORS,
}


@dataclass(frozen=True)
class Entrant:
    """A way to serve the network.

    Attributes:
        name: For folders and options; what comes before a hyphen names its virtual environment.
        label: For people.
        requirements: For pip.
        command: ``{python}``, ``{bin}`` (of its environment), ``{folder}`` (its own) and ``{port}`` are filled in.
        request: How it is asked.
        environment: Variables for it.
        prepare: Called with its own folder before each start.
    """

    name: str
    label: str
    requirements: Sequence[str]
    command: Sequence[str]
    request: Request
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[Path], None] = lambda _: None


def entrants(uploads: Sequence[Path]) -> list[Entrant]:
    """Return everybody; ours by link comes first, and is what the others are compared with.

    Args:
        uploads: Bodies of a form, one per photo.
    """
    by_link = Request("/net/image/prediction/?image_link={link}")
    by_upload = Request("/v1/predict", BY_FORM, uploads=uploads)
    two = {"WEB_CONCURRENCY": PROCESSORS, "FOOD_VISION_INFERENCE_THREADS": "1", "FOOD_VISION_DECODE_THREADS": "1"}
    return [
        _ours("ours", "ours, by link", by_link, {}),
        _ours("ours-upload", "ours, by upload", by_upload, {}),
        _ours("ours-workers", "ours, by link, a worker per processor", by_link, two),
        Entrant(
            "tutorial",
            "the tutorial's way",
            ("fastapi", "uvicorn[standard]", "tensorflow-cpu==2.21.0", "keras==3.15.1", "pillow", "h5py"),
            ("{python}", "-m", "uvicorn", "benchmarks.peers.tutorial:app", "--host", "127.0.0.1", "--port", "{port}"),
            by_link,
            {"KERAS_HOME": "{folder}", "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""},
        ),
        _litserve("litserve", "LitServe"),
        _litserve("litserve-resizing", "LitServe, with our resizing too", *pinned("cykooz-resizer")),
        Entrant(
            "bentoml",
            "BentoML",
            ("bentoml==1.4.39", *INSIDE),
            (
                "{bin}/bentoml",
                "serve",
                "benchmarks.peers.bentoml_service:Food",
                "--host",
                "127.0.0.1",
                "--port",
                "{port}",
            ),
            Request("/predict", JSON, '{"image_link": "{link}"}'),
            {
                "PEER_WORKERS": PROCESSORS,
                "PEER_THREADS": "1",
                "BENTOML_HOME": "{folder}",
                "BENTOML_DO_NOT_TRACK": "True",
            },
        ),
        Entrant(
            "mlserver",
            "MLServer",
            ("mlserver==1.7.1", "uvloop==0.21.0", *INSIDE),  # its workers do not start on uvloop 0.22
            ("{bin}/mlserver", "start", "{folder}"),
            Request("/v2/models/food/infer", JSON, _inference_request()),
            {"PEER_THREADS": "1", **MLSERVER},
            _write_mlserver_settings,
        ),
    ]


def _litserve(name: str, label: str, *more: str) -> Entrant:
    command = ("{python}", "-m", "benchmarks.peers.litserve_server", "{port}", PROCESSORS, "1")
    request = Request("/predict", JSON, '{"image_link": "{link}"}')
    return Entrant(name, label, ("litserve==0.2.19", *INSIDE, *more), command, request)


def _ours(name: str, label: str, request: Request, settings: Mapping[str, str]) -> Entrant:
    allowed = {"FOOD_VISION_ALLOW_NETWORKS": "127.0.0.0/8", "PORT": "{port}"}
    # Line by line, so that another line makes another environment.
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    requirements = [line for line in lines if not line.startswith("#")]
    return Entrant(name, label, requirements, ("{python}", "main.py"), request, allowed | dict(settings))


def _inference_request() -> str:
    tensor = {"name": "image_link", "datatype": "BYTES", "shape": [1], "data": ["{link}"]}
    return json.dumps({"inputs": [tensor | {"parameters": {"content_type": "str"}}]})


def _write_mlserver_settings(folder: Path) -> None:
    model = {"name": "food", "implementation": "benchmarks.peers.mlserver_runtime.FoodRuntime"}
    (folder / "model-settings.json").write_text(json.dumps(model))


def filled(words: Sequence[str], environment: Path, folder: Path) -> list[str]:
    """Fill in where an entrant's environment and its own folder are."""
    places = {
        "{python}": str(environment / "bin" / "python"),
        "{bin}": str(environment / "bin"),
        "{folder}": str(folder),
    }
    return [_replaced(word, places) for word in words]


def variables(entrant: Entrant, folder: Path) -> dict[str, str]:
    """Return the entrant's environment variables, with the project on its path."""
    given = {name: _replaced(value, {"{folder}": str(folder)}) for name, value in entrant.environment.items()}
    return {"PYTHONPATH": str(ROOT)} | given


def _replaced(word: str, places: Mapping[str, str]) -> str:
    for place, value in places.items():
        word = word.replace(place, value)
    return word
