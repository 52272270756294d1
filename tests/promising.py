"""The shipped model with constants of our own choosing in its label."""

from pathlib import Path

from food_vision.model.bundle import (
    Logistic,
    NotFood,
    PredictionSet,
    read_label,
    write_derived,
)
from food_vision.model.sealed import graph_of
from tests.service import ROOT


def promising_model(folder: Path, promises: bool = True) -> Path:
    """Write a model to ``folder`` that has, or lacks, a prediction set and a chance of food; return its weights.

    Its threshold is so high that no photo passes for food, whatever the weights.
    """
    weights, shipped = folder / "model.h5", ROOT / "food-vision-model.h5"
    weights.symlink_to(shipped)
    data = shipped.with_suffix(".onnx").read_bytes()
    graph, label = graph_of(data), read_label(data, shipped.with_suffix(".onnx"), shipped)
    chance = Logistic(slope=10, midpoint=0.5)
    constants = {
        "prediction_set": PredictionSet(coverage=0.95, threshold=0.01) if promises else None,
        "not_food": NotFood(score="probe", threshold=1e6, chance=chance) if promises else None,
    }
    metadata = label.metadata.model_copy(update=constants)
    if not promises:
        graph = _without_probe(shipped, metadata.preprocessing.size)
    write_derived(weights.with_suffix(".onnx"), graph, label.weights_sha256, label.outputs, metadata)
    return weights


def _without_probe(weights: Path, side: int) -> bytes:
    """Return the graph of the dishes' logits alone."""
    from food_vision.model.keras import load_keras, logits_model
    from training.export import graph_in_floats

    return graph_in_floats(logits_model(load_keras(weights)), side)
