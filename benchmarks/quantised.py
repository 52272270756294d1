"""The same network in numbers of two sizes, each as a graph for the fast engine."""

from pathlib import Path
from typing import NamedTuple

from food_vision.model.keras import load_keras, network
from training.checkpoint import read_metadata
from training.export import graph_in_floats
from training.quantise import in_eight_bits, photos_for_ranges
from training.rounding import round_kernels

FLOATS, NEAREST, INT8 = "float32", "INT8, ends in floats, to nearest", "INT8, ends in floats"


class Graph(NamedTuple):
    """One way to write the network down."""

    name: str
    path: Path


def graphs(weights: Path, folder: Path, data: Path, held_out: Path) -> list[Graph]:
    """Write every graph into ``folder``; the first is that in floats."""
    metadata = read_metadata(weights)
    assert metadata, f"{weights} has no metadata"
    side = metadata.preprocessing.size
    body = network(load_keras(weights), weights, metadata)
    photos = photos_for_ranges(data, held_out, metadata.preprocessing)
    plain = graph_in_floats(body, side)
    made = {FLOATS: plain, NEAREST: in_eight_bits(plain, photos)}
    round_kernels(body, photos)  # in place: behind all others
    made[INT8] = in_eight_bits(graph_in_floats(body, side), photos)
    return [_written(folder / f"{place}.onnx", name, graph) for place, (name, graph) in enumerate(made.items())]


def _written(path: Path, name: str, graph: bytes) -> Graph:
    path.write_bytes(graph)
    return Graph(name, path)
