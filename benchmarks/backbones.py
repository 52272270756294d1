"""What a larger network costs: ``python -m benchmarks.backbones [--rounds N]``.

Lite0 and Lite2 with 101 classes and random weights (the time does not hang on them), both exported for the fast engine,
each in a process of its own, asked for single photos of 224 pixels in turn, with one thread and with two. Figures are
milliseconds per photo; read the ratios. Expected: docs/training.md; two minutes.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import get_args

import numpy as np

from benchmarks.engines import COUNT, ROUNDS, Entrant, Worker, sample_photos
from training.stages import Backbone

HEAD = """\
| network | threads | parameters, millions | file MB | median ms | p95 ms | ratio to Lite0 |
|---|---|---|---|---|---|---|"""


def main() -> None:
    """Export, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = {backbone: export(backbone, folder / f"{backbone}.onnx") for backbone in get_args(Backbone)}
        photos = folder / "photos.npy"
        np.save(photos, sample_photos(1))
        print(HEAD)
        for threads in (1, 2):
            found = race(folder, photos, threads, rounds)
            for backbone, times in found.items():
                ratio = np.median(times) / np.median(found["lite0"])
                print(_row(backbone, folder, threads, sizes[backbone], times), f"{ratio:.2f} |", flush=True)


def export(backbone: Backbone, path: Path) -> int:
    """Write a network with random weights for the fast engine; return how many parameters it has."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from food_vision.model.keras import logits_model  # TensorFlow, which only this process may hold
    from training.backbone import SIDE, build
    from training.export import graph_in_floats

    model = build(backbone=backbone)
    path.write_bytes(graph_in_floats(logits_model(model), SIDE))
    return int(model.count_params())


def race(folder: Path, photos: Path, threads: int, rounds: int) -> dict[Backbone, list[float]]:
    """Return milliseconds per photo of each network, measured in turn."""
    workers = {
        backbone: Worker(Entrant(backbone, "onnxruntime-single", "onnx", ()), folder / f"{backbone}.onnx", threads)
        for backbone in get_args(Backbone)
    }
    times: dict[Backbone, list[float]] = {backbone: [] for backbone in workers}
    for _ in range(rounds):
        for backbone, worker in workers.items():
            times[backbone] += worker.ask(do="time", photos=str(photos), batch=1, count=COUNT)["times_ms"]
    for worker in workers.values():
        worker.close()
    return times


def _row(backbone: str, folder: Path, threads: int, parameters: int, times: list[float]) -> str:
    median, late = np.median(times), np.percentile(times, 95)
    size = (folder / f"{backbone}.onnx").stat().st_size / 1e6
    cells = [backbone, str(threads), f"{parameters / 1e6:.2f}", f"{size:.1f}", f"{median:.2f}", f"{late:.2f}"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
