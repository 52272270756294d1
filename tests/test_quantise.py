"""The fast engine's file in eight bits: near the floats, told from them, and made of photos that judge nothing."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image

from food_vision.errors import StartupError
from food_vision.model.bundle import load_bundle
from food_vision.model.engine import open_engine
from food_vision.model.scores import probabilities
from food_vision.preprocessing import Preprocessing
from food_vision.settings import Settings
from training.classes import CLASSES
from training.data import PER_ROW, TILE
from training.quantise import SHARP, SMALL, in_eight_bits, photos_for_ranges

SIDE, WIDTH = 32, 8
EACH, DARK = 8, 4
Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def photos() -> Pixels:
    """Smooth patches of colour."""
    coarse = np.random.default_rng(3).integers(0, 256, (24, 4, 4, 3), dtype=np.uint8)
    return coarse.repeat(SIDE // 4, axis=1).repeat(SIDE // 4, axis=2)


@pytest.fixture(scope="module")
def model() -> Any:  # noqa: ANN401 - Keras is untyped
    """A small relative of the shipped network: what it is made of, each once."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(5)
    photo = layers.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescaling")(photo)
    x = layers.ReLU(6.0)(layers.Conv2D(WIDTH, 3, strides=2, padding="same")(x))
    y = layers.ReLU(6.0)(layers.DepthwiseConv2D(3, padding="same")(x))
    x = layers.Add()([x, layers.Conv2D(WIDTH, 1)(y)])
    logits = layers.Dense(3, name="classifier")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(photo, layers.Softmax()(logits))


@pytest.fixture
def weights(model: Any, tmp_path: Path) -> Path:  # noqa: ANN401
    path = tmp_path / "mine.h5"
    model.save(path)
    (tmp_path / "labels.txt").write_text("pie\nsoup\ntea\n", encoding="utf-8")
    return path


def exported(weights: Path, photos: Pixels) -> Path:
    from training.export import export

    return export(weights, weights.parent / "labels.txt", lambda _: photos)


def test_eight_bits_say_about_the_same(weights: Path, model: Any, photos: Pixels) -> None:  # noqa: ANN401
    exported(weights, photos)
    engine = open_engine(load_bundle(weights), Settings())
    chances = probabilities(engine.predict(photos), 1)
    expected = np.asarray(model(photos.astype(np.float32)))
    assert np.abs(chances - expected).max() < 0.05
    assert np.abs(chances - expected).max() > 1e-6, "these are floats"


def test_the_convolutions_hold_bytes(weights: Path, photos: Pixels) -> None:
    graph = onnx.load(exported(weights, photos)).graph
    kernels = {tuple(one.dims): one.data_type for one in graph.initializer if len(one.dims) == 4}
    assert kernels == dict.fromkeys([(WIDTH, 3, 3, 3), (WIDTH, 1, 3, 3), (WIDTH, WIDTH, 1, 1)], onnx.TensorProto.INT8)
    assert [one.type.tensor_type.elem_type for one in graph.input] == [onnx.TensorProto.UINT8]
    assert [one.type.tensor_type.elem_type for one in graph.output] == [onnx.TensorProto.FLOAT]


def test_what_is_between_convolutions_is_bytes_too(weights: Path, photos: Pixels) -> None:
    """As the engine runs it: whatever lies between is done in integers, and a clipping is but the end of a range."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(weights.with_name("optimized.onnx"))
    onnxruntime.InferenceSession(exported(weights, photos), options, providers=["CPUExecutionProvider"])
    operations = Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)
    assert (operations["QLinearConv"], operations["QLinearAdd"]) == (3, 1)
    assert (operations["Conv"] + operations["Clip"], operations["QuantizeLinear"]) == (0, 1)


def test_a_model_without_convolutions_is_refused(photos: Pixels) -> None:
    import keras

    from training.export import graph_in_floats

    layers = [keras.layers.Input((SIDE, SIDE, 3)), keras.layers.Flatten(), keras.layers.Dense(3)]
    with pytest.raises(StartupError, match="no convolution that could be computed in eight bits"):
        in_eight_bits(graph_in_floats(keras.Sequential(layers), SIDE), photos)


def test_the_precision_is_told(weights: Path, photos: Pixels) -> None:
    from training.export import export

    exported(weights, photos)
    bundle = load_bundle(weights)
    assert bundle.precision == "int8"
    assert open_engine(bundle, Settings()).name.endswith(", INT8")
    export(weights, weights.parent / "labels.txt")
    bundle = load_bundle(weights)
    assert bundle.precision == "float32"
    assert "INT8" not in open_engine(bundle, Settings()).name


def test_the_same_photos_give_the_same_numbers(weights: Path, photos: Pixels) -> None:
    answers = []
    for _ in range(2):
        exported(weights, photos)
        answers.append(open_engine(load_bundle(weights), Settings()).predict(photos))
    np.testing.assert_array_equal(answers[0], answers[1])


def test_figures_are_written_down_without_touching_the_graph(weights: Path, photos: Pixels) -> None:
    from training.export import relabel

    exported(weights, photos)
    before = load_bundle(weights)
    answers = open_engine(before, Settings()).predict(photos)
    relabel(weights, before.metadata.model_copy(update={"version": "2", "temperature": 1.5}))
    after = load_bundle(weights)
    assert (after.version, after.metadata.temperature, after.precision) == ("2", 1.5, "int8")
    assert after.sha256 != before.sha256
    np.testing.assert_array_equal(open_engine(after, Settings()).predict(photos), answers)


def test_ranges_come_from_training_photos_that_judge_nothing(tmp_path: Path) -> None:
    ids = {name: [f"{place}-{number}" for number in range(EACH)] for place, name in enumerate(CLASSES)}
    write_photos(tmp_path, ids)
    held_out = tmp_path / "held-out.txt"
    held_out.write_text(lines({name: names[:DARK] for name, names in ids.items()}), encoding="utf-8")
    drawn = photos_for_ranges(tmp_path, held_out, Preprocessing(size=SIDE))
    assert drawn.shape == (len(CLASSES) * (SHARP + SMALL), SIDE, SIDE, 3)
    assert drawn.min() > 100, "a held-out photo is among them"
    np.testing.assert_array_equal(photos_for_ranges(tmp_path, held_out, Preprocessing(size=SIDE)), drawn)


def write_photos(data: Path, ids: dict[str, list[str]]) -> None:
    """Write the training photos as the data folder has them; the first ones of each class, held out, are dark."""
    (data / "food64" / "train").mkdir(parents=True)
    (data / "food64" / "train.txt").write_text(lines(ids), encoding="utf-8")
    for name, names in ids.items():
        (data / "sharp" / "train" / name).mkdir(parents=True)
        sheet = Image.new("RGB", (TILE * PER_ROW, TILE))
        for place, one in enumerate(names):
            tile = Image.new("RGB", (TILE, TILE), (20, 20, 20) if place < DARK else (200, 200, 200))
            sheet.paste(tile, (place * TILE, 0))
            tile.save(data / "sharp" / "train" / name / f"{one}.webp")
        sheet.save(data / "food64" / "train" / f"{name}.jpg")


def lines(ids: dict[str, list[str]]) -> str:
    return "\n".join(" ".join([name, *names]) for name, names in ids.items())
