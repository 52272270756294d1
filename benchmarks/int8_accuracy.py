"""The part of ``benchmarks.int8`` that looks at answers: every photo is decoded once and put to all graphs."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.quantised import FLOATS, Graph
from food_vision.model.bundle import Bundle, load_bundle
from food_vision.model.engine import Batch, Outputs
from food_vision.model.onnx_runtime import OnnxRuntime
from food_vision.model.scores import probabilities
from food_vision.processors import usable_processors
from training.data import Sample, held_out, sharp, sharpest, tiles
from training.inference import labels_of, run
from training.metrics import Figure, class_mean, ece, hits, mean, nll, top

Sets = dict[str, Sequence[Sample]]
FEW = 25
"""One photo in so many, for a first impression."""
HEAD = """\
| numbers | MB | top-1 % | points below floats | mean over classes % | top-5 % | NLL | ECE % \
| same first answer % | largest change of a probability, mean of the largest |
|---|---|---|---|---|---|---|---|---|---|"""


class SideBySide:
    """Several graphs asked as one engine: their outputs stand side by side."""

    lanes = 1

    def __init__(self, bundle: Bundle, graphs: Sequence[Graph]) -> None:
        self.name = ", ".join(graph.name for graph in graphs)
        threads = usable_processors()
        self._engines = [OnnxRuntime(dataclasses.replace(bundle, derived=graph.path), threads) for graph in graphs]

    def predict(self, batch: Batch) -> Outputs:
        """Return ``float32[N, graphs * outputs]``."""
        return np.concatenate([engine.predict(batch) for engine in self._engines], axis=1)


def sets(data: Path, ids: Path, *, test: bool, short: bool) -> Sets:
    """Return the photos: held out, or with ``test`` the official test photos."""
    if test:
        chosen: Sets = {
            "sharp/test": list(sharp(data, "test")),
            "1 in 5 of food64/test": list(tiles(data, "test", every=5)),
        }
    else:
        chosen = {"held out": sharpest(*held_out(data, ids))}
    return {name: samples[:: FEW if short else 1] for name, samples in chosen.items()}


def print_tables(weights: Path, graphs: Sequence[Graph], chosen: Sets) -> None:
    """Ask and print."""
    bundle = load_bundle(weights)
    classes, temperature = len(bundle.metadata.classes), bundle.metadata.temperature
    for name, samples in chosen.items():
        found = np.split(run(SideBySide(bundle, graphs), bundle.preprocessing, samples), len(graphs), axis=1)
        logits = [outputs[:, :classes] for outputs in found]
        print(f"\n{name}: {len(samples):,} photos\n\n{HEAD}")
        for graph, answers in zip(graphs, logits, strict=True):
            print(_row(graph, answers, logits[0], labels_of(samples), temperature), flush=True)


def _row(graph: Graph, logits: Outputs, exact: Outputs, labels: NDArray[np.int64], temperature: float) -> str:
    size = f"{graph.path.stat().st_size / 1e6:.1f}"
    shares = (f"{100 * share.value:.1f}" for share in (class_mean(logits, labels), top(logits, labels, 5)))
    honest = f"{nll(logits, labels, temperature):.3f}", f"{100 * ece(logits, labels, temperature):.1f}"
    cells = [graph.name, size, f"{100 * top(logits, labels).value:.1f}", _lost(exact, logits, labels), *shares, *honest]
    if graph.name != FLOATS:
        same = 100 * (logits.argmax(axis=1) == exact.argmax(axis=1)).mean()
        changes = np.abs(probabilities(logits, temperature) - probabilities(exact, temperature)).max(axis=1)
        cells += [f"{same:.1f}", f"{changes.max():.2f}, {changes.mean():.3f}"]
    return f"| {' | '.join(cells)} |"


def _lost(exact: Outputs, logits: Outputs, labels: NDArray[np.int64]) -> str:
    """Return how many points fewer photos are right, counted on the same photos, with the 95 % interval."""
    lost: Figure = mean(hits(exact, labels).astype(np.float64) - hits(logits, labels))
    return f"{100 * lost.value:.2f} ({100 * lost.low:.2f} to {100 * lost.high:.2f})"
