"""Which engine runs the network fastest, and in how little memory: ``python -m benchmarks.engines [--int8] [FILE.h5]``.

In floats, or with ``--int8`` in eight bits: from files for single photos, LiteRT's by its own quantizer and that of the
others by ONNX Runtime's, with ranges from a few made-up photos, which does for times and not for answers.

Every engine gets the same Keras weights, lives in a process of its own and is asked for a few inferences in turn, round
after round, so that whatever else the machine does meets all of them alike. Figures are milliseconds per call; read the
ratios. Expected: the tables in docs/decisions/001-fast-engine.md (2 vCPU AMD EPYC) and 017-onnx-runtime.md (2 vCPU
Intel Xeon). About three minutes. Needs `pip install -e ".[dev,bench]"`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROUNDS, COUNT = 12, 20
BATCHES = (1, 8)


class Entrant(NamedTuple):
    """One line of the table: an engine, the file it reads, the package it needs."""

    label: str
    engine: str
    file: str
    packages: tuple[str, ...]


ENTRANTS = (
    Entrant("OpenVINO, IR", "openvino", "ir", ("openvino",)),
    Entrant("OpenVINO, ONNX file", "openvino", "onnx", ("openvino",)),
    Entrant("ONNX Runtime", "onnxruntime", "onnx", ("onnxruntime",)),
    Entrant("ONNX Runtime, lean", "onnxruntime-lean", "onnx", ("onnxruntime",)),
    Entrant("LiteRT", "litert", "tflite", ("ai_edge_litert",)),
    Entrant("LiteRT, photo by photo", "litert-single", "tflite", ("ai_edge_litert",)),
    Entrant("Keras on TensorFlow", "keras", "h5", ("tensorflow", "keras")),
)


IN_EIGHT_BITS = (
    Entrant("OpenVINO", "openvino-single", "onnx", ("openvino",)),
    Entrant("ONNX Runtime", "onnxruntime-single", "onnx", ("onnxruntime",)),
    Entrant("LiteRT", "litert-single", "tflite", ("ai_edge_litert",)),
)


class Worker:
    """An engine in its own process."""

    def __init__(self, entrant: Entrant, path: Path, threads: int) -> None:
        command = [sys.executable, "-m", "benchmarks.engine_worker", entrant.engine, str(path), str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.entrant, self.threads = entrant, threads
        self.loaded = self.receive()
        self.times: dict[int, list[float]] = {batch: [] for batch in BATCHES}
        self.rss = 0.0

    def ask(self, **order: str | int) -> dict[str, Any]:
        self.send(**order)
        return self.receive()

    def send(self, **order: str | int) -> None:
        """Set the process to work without waiting for it."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def measure(self, photos: Path, batch: int) -> None:
        answer = self.ask(do="time", photos=str(photos), batch=batch, count=max(4, COUNT // batch))
        self.times[batch] += answer["times_ms"]
        if batch == 1:
            self.rss = answer["rss"]

    def close(self) -> None:
        self.process.communicate()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


def main() -> None:
    """Convert, measure with one and two threads, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, nargs="?", default=Path("food-vision-model.h5"))
    parser.add_argument("--int8", action="store_true", help="compare in eight bits")
    arguments = parser.parse_args()
    entrants = IN_EIGHT_BITS if arguments.int8 else ENTRANTS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths, photos, expected = _prepare(arguments.weights, folder, in_eight_bits=arguments.int8)
        print(_HEAD)
        for threads in (1, 2):
            workers = [Worker(entrant, paths[entrant.file], threads) for entrant in entrants]
            _race(workers, photos)
            for worker in workers:
                print(_row(worker, photos, expected), flush=True)
                worker.close()


def _prepare(weights: Path, folder: Path, *, in_eight_bits: bool) -> tuple[dict[str, Path], Path, np.ndarray]:
    from benchmarks import conversions  # TensorFlow, which only this process may hold

    samples, photos = sample_photos(max(BATCHES)), folder / "photos.npy"
    np.save(photos, samples)
    if in_eight_bits:
        paths = conversions.convert_in_eight_bits(weights, folder, samples)
    else:
        paths = conversions.convert(weights, folder)
    keras = Worker(ENTRANTS[-1], weights, 1)
    expected = np.array(keras.ask(do="logits", photos=str(photos), batch=max(BATCHES))["logits"])
    keras.close()
    return paths, photos, expected


def sample_photos(count: int) -> np.ndarray:
    """Smooth colourful noise ``uint8[N, 224, 224, 3]``: like photos, it excites the network and is no noise to it."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 14, 14, 3), dtype=np.uint8)
    return coarse.repeat(16, axis=1).repeat(16, axis=2)


def _race(workers: list[Worker], photos: Path) -> None:
    # Batch 1 first and by itself: the memory that is reported is that of single photos.
    for batch in BATCHES:
        for _ in range(ROUNDS):
            for worker in workers:
                worker.measure(photos, batch)


_HEAD = """\
| engine | threads | batch 1: median, p95 ms | batch 8: median, p95 ms | import + load s \
| RSS empty, loaded, after 240 MB | package MB | worst logit difference |
|---|---|---|---|---|---|---|---|"""


def _row(worker: Worker, photos: Path, expected: np.ndarray) -> str:
    logits = np.array(worker.ask(do="logits", photos=str(photos), batch=len(expected))["logits"])
    speed = (f"{np.median(t):.2f}, {np.percentile(t, 95):.2f}" for t in worker.times.values())
    loaded = worker.loaded
    memory = f"{loaded['rss_empty']:.0f}, {loaded['rss_load']:.0f}, {worker.rss:.0f}"
    cells = [worker.entrant.label, str(worker.threads), *speed, f"{loaded['load_s']:.2f}", memory]
    cells += [f"{_package_mb(worker.entrant.packages):.0f}", f"{np.abs(logits - expected).max():.1e}"]
    return f"| {' | '.join(cells)} |"


def _package_mb(packages: tuple[str, ...]) -> float:
    site = Path(np.__file__).parents[1]
    return sum(file.stat().st_size for name in packages for file in (site / name).rglob("*") if file.is_file()) / 1e6


if __name__ == "__main__":
    main()
