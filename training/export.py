"""Make the fast engine's file from a Keras file: ``python -m training.export [WEIGHTS.h5] [--labels FILE] [--int8]``.

Takes any Keras image classifier of RGB photos 0..255, ``float32[N, S, S, 3]``, that ends in a softmax or in logits. One
without our metadata needs a file of labels, a line each in the order of the outputs; its temperature is then 1 and
nothing tells food from the rest. With ``--int8`` the file computes in eight bits (``training/quantise.py``).
"""

import argparse
import hashlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras
import onnx
import tensorflow as tf
import tf2onnx

from food_vision.errors import StartupError
from food_vision.model.bundle import SUFFIX, Metadata, load_bundle, write_derived
from food_vision.model.keras import load_keras, network
from food_vision.model.own import metadata_of_labels
from food_vision.model.sealed import graph_of
from food_vision.preprocessing import Preprocessing
from training.checkpoint import WEIGHTS, read_metadata, write_metadata
from training.data import require_photos
from training.quantise import Pixels, in_eight_bits, photos_for_ranges
from training.rounding import round_kernels

Ranges = Callable[[Preprocessing], Pixels]
OPSET = 18
"""The version of ONNX's operators; what it is written in must not be newer than what the fast engine reads."""


def main() -> None:
    """Export, or end with one sentence."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, nargs="?", default=WEIGHTS)
    parser.add_argument("--labels", type=Path, help="a label per line, for weights without metadata")
    parser.add_argument("--int8", action="store_true", help="compute in eight bits; needs the photos")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--held-out", type=Path, default=Path("../shared/model/held-out.txt"))
    parser.add_argument("--out", type=Path, help="the file to write (the weights' name with .onnx)")
    arguments = parser.parse_args()
    try:
        ranges = _ranges(arguments) if arguments.int8 else None
        print(export(arguments.weights, arguments.labels, ranges, arguments.out))
    except StartupError as error:
        sys.exit(str(error))


def export(
    weights: Path, labels: Path | None = None, ranges: Ranges | None = None, derived: Path | None = None
) -> Path:
    """Write the derived file, beside the weights if nothing else is said, and return its path.

    Args:
        weights: The Keras file.
        labels: A label per line, for weights without metadata.
        ranges: What gives the photos ``uint8[N, S, S, 3]`` for the ranges of eight bits; ``None`` keeps floats.
        derived: Where to write; the server looks beside the weights only.

    Raises:
        StartupError: when the weights cannot be loaded or converted, are no classifier, or do not fit their labels.
    """
    model = load_keras(weights)
    side, outputs = _sizes(model, weights)
    metadata = _metadata(weights, labels, side)
    if len(metadata.classes) != outputs:
        raise StartupError(f"{weights} has {outputs} outputs but {len(metadata.classes)} labels.")
    if metadata.preprocessing.size != side:
        raise StartupError(f"{weights} takes {side} pixels but its metadata says {metadata.preprocessing.size}.")
    derived = derived or weights.with_suffix(SUFFIX)
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    body = network(model, weights, metadata)
    if ranges is None:
        write_derived(derived, graph_in_floats(body, side), sha256, outputs, metadata)
    else:
        photos = ranges(metadata.preprocessing)
        round_kernels(body, photos)
        write_derived(derived, in_eight_bits(graph_in_floats(body, side), photos), sha256, outputs, metadata, "int8")
    return derived


def relabel(weights: Path, metadata: Metadata) -> None:
    """Give weights other metadata that leave the graph as it is, such as figures: the derived file keeps its precision.

    Raises:
        StartupError: when the two files did not belong together before.
        ValueError: when the graph would have to be another one.
    """
    bundle = load_bundle(weights)
    if metadata.outputs != bundle.metadata.outputs:
        raise ValueError(f"the graph has {bundle.metadata.outputs} outputs, not {metadata.outputs}")
    graph = graph_of(bundle.derived.read_bytes())
    write_metadata(weights, metadata)
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    write_derived(bundle.derived, graph, sha256, len(metadata.classes), metadata, bundle.precision)


def graph_in_floats(body: keras.Model, side: int) -> bytes:
    """Convert a model of RGB photos ``float32[N, side, side, 3]`` to ONNX.

    The result takes ``photo``, ``uint8[1, side, side, 3]``. Not more at once: where a size is not known before, memory
    cannot be planned, and a photo takes longer.

    Raises:
        StartupError: when it computes what ONNX has no operation for.
    """
    photo = keras.Input((side, side, 3), batch_size=1, dtype="uint8", name="photo")
    network = keras.Model(photo, body(keras.ops.cast(photo, "float32")))
    takes = [tf.TensorSpec(photo.shape, tf.uint8, name="photo")]
    function = tf.function(lambda photo: network(photo, training=False), input_signature=takes)
    model, _ = tf2onnx.convert.from_function(function, input_signature=takes, opset=OPSET)
    # What the converter does not know stays in the graph as it is, and is told to nobody but the log.
    unknown = {node.op_type for node in model.graph.node if not onnx.defs.has(node.op_type, node.domain)}
    if unknown:
        raise StartupError(f"The model computes what ONNX has no operation for: {', '.join(sorted(unknown))}.")
    return bytes(model.SerializeToString(deterministic=True))


def _ranges(arguments: argparse.Namespace) -> Ranges:
    require_photos(arguments.data)
    return partial(photos_for_ranges, arguments.data, arguments.held_out)


def _sizes(model: keras.Model, weights: Path) -> tuple[int, int]:
    shape_in, shape_out = model.input_shape, model.output_shape
    square = isinstance(shape_in, tuple) and len(shape_in) == 4 and shape_in[1] == shape_in[2] and shape_in[3] == 3
    if not square or shape_in[1] is None or len(shape_out) != 2:
        raise StartupError(
            f"{weights} must take square RGB photos and give a score per class, not {shape_in} and {shape_out}."
        )
    return shape_in[1], shape_out[1]


def _metadata(weights: Path, labels: Path | None, side: int) -> Metadata:
    if labels:
        return metadata_of_labels(weights, labels, side)
    metadata = read_metadata(weights)
    if metadata is None:
        raise StartupError(f"{weights} has no labels of its own: give them with --labels FILE, a line each.")
    return metadata


if __name__ == "__main__":
    main()
