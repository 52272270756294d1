"""A graph in eight bits: from which photos its ranges are taken, and what is left in floats.

Convolutions and additions compute in integers, weights with a scale per channel, activations with one per tensor. What
is before the first and behind the last convolution stays in floats: it costs next to nothing there, pixels stay exact,
and logits and the score of food keep their own scales. ``python -m training.export --int8`` makes the fast engine's
file this way. What it costs and brings: docs/decisions/011-int8.md, ``python -m benchmarks.int8``.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from food_vision.errors import StartupError
from food_vision.intake.decode import decode
from food_vision.preprocessing import Preprocessing
from training.data import read_ids, sharp, tiles

Pixels = NDArray[np.uint8]
Ranges = dict[str, dict[str, NDArray[np.float32]]]
BITS = 8
INTEGER = ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD")
NOT_RESCALING = r"^(?!.*rescaling).*$"
"""By Keras' name for the layer: its addition is the only one before the first convolution."""
SHARP, SMALL = 2, 1
"""Photos of every class: as many sharp ones and as many tiles."""
HELD = 0.9
"""Share of the photos whose extremes a range holds."""
SEED = 1


def in_eight_bits(graph: bytes, photos: Pixels) -> bytes:
    """Return a LiteRT graph whose convolutions and additions compute in integers.

    Args:
        graph: In floats, for one photo ``uint8[1, S, S, 3]``.
        photos: ``uint8[N, S, S, 3]``; a tensor's range holds the extremes of nine photos in ten.

    Raises:
        StartupError: when the package that does it is not installed.
    """
    try:  # late: whoever stays with floats needs no such package
        from ai_edge_quantizer.qtyping import TFLOperationName
        from ai_edge_quantizer.quantizer import Quantizer
    except ImportError as error:
        raise StartupError(f"Eight bits need a package ({error.name}): `pip install ai-edge-quantizer`.") from error
    work = Quantizer(graph)
    for name in INTEGER:
        operation = TFLOperationName(name)
        work.add_static_config(NOT_RESCALING, operation, activation_num_bits=BITS, weight_num_bits=BITS)
    names = work.calibrate({"serving_default": [{"photo": photos[:1]}]})
    return bytes(work.quantize(_ranges(graph, names, photos), enable_progress_report=False).quantized_model)


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
    mixed = np.random.default_rng(SEED).permutation(len(samples))  # the last photos weigh most in a moving average
    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(lambda place: decode(samples[place].data, recipe).pixels, mixed)))


def _ranges(graph: bytes, names: Iterable[str], photos: Pixels) -> Ranges:
    """Return for each named tensor the least and the greatest value that it is to hold.

    The quantizer's own way, a moving average of the extremes, cuts off what half of the photos have, and so much of it
    that logits moved by a third more (docs/decisions/011-int8.md).
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=graph, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    photo = interpreter.get_input_details()[0]["index"]
    places = {tensor["name"]: tensor["index"] for tensor in interpreter.get_tensor_details()}
    extremes: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for pixels in photos:
        interpreter.set_tensor(photo, pixels[np.newaxis])
        interpreter.invoke()
        for name, found in extremes.items():
            values = interpreter.get_tensor(places[name])
            found.append((values.min(), values.max()))
    ends = {name: np.array(found, np.float32) for name, found in extremes.items()}
    return {
        name: {"min": _end(np.quantile(low, 1 - HELD)), "max": _end(np.quantile(high, HELD))}
        for name, (low, high) in ((name, found.T) for name, found in ends.items())
    }


def _end(value: float) -> NDArray[np.float32]:
    return np.full((1, 1, 1, 1), value, np.float32)


def _drawn(ids: Mapping[str, Sequence[str]], count: int, held: frozenset[str]) -> Iterator[str]:
    """Yield ``count`` ids of every class, none that is held out."""
    lots = np.random.default_rng(SEED)
    for photos in ids.values():
        free = np.array([photo for photo in photos if photo not in held], dtype=str)
        yield from map(str, lots.permutation(free)[:count])
