"""A graph in eight bits: from which photos its ranges are taken, and what is left in floats.

Convolutions and additions compute in integers, weights with a scale per channel, activations with one per tensor. What
is before the first and behind the last convolution stays in floats: it costs next to nothing there, pixels stay exact,
and logits and the score of food keep their own scales. ``python -m training.export --int8`` makes the fast engine's
file this way. What it costs and brings: docs/decisions/011-int8.md, ``python -m benchmarks.int8``.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from food_vision.errors import StartupError
from food_vision.intake.decode import decode
from food_vision.preprocessing import Preprocessing
from training.data import read_ids, sharp, tiles

Pixels = NDArray[np.uint8]
Range = tuple[float, float]
CLIPS = ("Clip", "Relu")
"""What the range of a convolution's output makes superfluous."""
SHARP, SMALL = 2, 1
"""Photos of every class: as many sharp ones and as many tiles."""
HELD = 0.9
"""Share of the photos whose extremes a range holds."""
SEED = 1


def in_eight_bits(graph: bytes, photos: Pixels) -> bytes:
    """Return an ONNX graph whose convolutions and additions compute in integers.

    Args:
        graph: In floats, for one photo ``uint8[1, S, S, 3]``.
        photos: ``uint8[N, S, S, 3]``; a tensor's range holds the extremes of nine photos in ten.

    Raises:
        StartupError: when there are none.
    """
    with tempfile.TemporaryDirectory() as name:
        plain, folded, integer = (Path(name) / f"{kind}.onnx" for kind in ("plain", "folded", "integer"))
        plain.write_bytes(graph)
        # Batch norm goes into the convolutions before it, where ranges and kernels are looked at.
        quant_pre_process(plain, folded, skip_symbolic_shape=True)
        model = onnx.load(folded)
        nodes = _in_integers(model.graph)
        if not nodes:
            raise StartupError("The model has no convolution that could be computed in eight bits.")
        quantize_static(
            folded,
            integer,
            _One(photos),
            op_types_to_quantize=["Conv", "Add", *CLIPS],
            nodes_to_quantize=[node.name for node in nodes],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"TensorQuantOverrides": _as_told(_ranges(model, nodes, photos))},
        )
        return integer.read_bytes()


def photos_for_ranges(data: Path, held_out: Path, recipe: Preprocessing) -> Pixels:
    """Return training photos as the server decodes them, the same ones every time, ``uint8[N, S, S, 3]``.

    Held-out photos are not among them: on these it is measured what the eight bits cost.
    """
    held = frozenset(photo for photos in read_ids(held_out).values() for photo in photos)
    names = read_ids(data / "food64" / "train.txt")
    files = {name: sorted(path.stem for path in (data / "sharp" / "train" / name).glob("*.webp")) for name in names}
    samples = [
        *sharp(data, "train", frozenset(_drawn(files, SHARP, held))),
        *tiles(data, "train", frozenset(_drawn(names, SMALL, held))),
    ]
    mixed = np.random.default_rng(SEED).permutation(len(samples))  # rounding looks at every few, of all kinds
    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(lambda place: decode(samples[place].data, recipe).pixels, mixed)))


class _One(CalibrationDataReader):  # type: ignore[misc]  # the library has no types
    """One photo, for a quantizer that wants to look at some itself though all ranges are told."""

    def __init__(self, photos: Pixels) -> None:
        self._left = iter([{"photo": photos[:1]}])

    def get_next(self) -> dict[str, Pixels] | None:
        return next(self._left, None)


def _in_integers(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the convolutions, and the additions and clippings between them; a constant is added to pixels only."""
    constants = {constant.name for constant in graph.initializer}
    return [
        node
        for node in graph.node
        if node.op_type in ("Conv", *CLIPS) or (node.op_type == "Add" and constants.isdisjoint(node.input))
    ]


def _ranges(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], photos: Pixels) -> dict[str, Range]:
    """Return for each tensor the least and the greatest value that it is to hold.

    The quantizers' own ways, averages or extremes of all photos, cut off what half of the photos have or give room to
    what one has; logits moved by up to a third more (docs/decisions/011-int8.md).
    """
    names = sorted({name for node in nodes for name in (*_activations(node), node.output[0])})
    # A graph tells what is in it if that is named among its outputs.
    seen = onnx.ModelProto()
    seen.CopyFrom(model)
    known = {output.name for output in model.graph.output}
    seen.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in known)
    session = InferenceSession(seen.SerializeToString(), providers=["CPUExecutionProvider"])
    extremes = [
        [(values.min(), values.max()) for values in session.run(names, {"photo": photo[np.newaxis]})]
        for photo in photos
    ]
    low, high = np.moveaxis(np.array(extremes, np.float32), -1, 0)
    ends = zip(np.quantile(low, 1 - HELD, axis=0), np.quantile(high, HELD, axis=0), strict=True)
    return dict(zip(names, ends, strict=True))


def _activations(node: onnx.NodeProto) -> list[str]:
    return list(node.input if node.op_type == "Add" else node.input[:1])


def _as_told(ranges: Mapping[str, Range]) -> dict[str, list[dict[str, Any]]]:
    """Return ranges as the quantizer takes them; zero, of which paddings are made, has to be in each."""
    return {
        name: [{"rmin": np.float32(min(low, 0)), "rmax": np.float32(max(high, 0))}]
        for name, (low, high) in ranges.items()
    }


def _drawn(ids: Mapping[str, Sequence[str]], count: int, held: frozenset[str]) -> Iterator[str]:
    """Yield ``count`` ids of every class, none that is held out."""
    lots = np.random.default_rng(SEED)
    for photos in ids.values():
        free = np.array([photo for photo in photos if photo not in held], dtype=str)
        yield from map(str, lots.permutation(free)[:count])
