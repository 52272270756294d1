"""A Keras file that says nothing of itself is served with labels from a file, and said to be uncalibrated."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from food_vision.errors import StartupError
from food_vision.model.engine import open_engine
from food_vision.model.own import open_bundle
from food_vision.model.scores import probabilities
from food_vision.settings import Settings
from tests.photos import photo
from tests.service import running_service

ROOT = Path(__file__).parent.parent
SHIPPED = ROOT / "food-vision-model.h5"
SIDE = 32
LABELS = "fish_and_chips\npie\n\nsoup\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own")


def tutorial(policy: str) -> Any:  # noqa: ANN401 - Keras is untyped
    """The shape that the tutorial trains: a network of its own inside, pooling, dense, softmax in float32."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(4)
    inner_photo = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 255, dtype=policy)(inner_photo)
    inner = keras.Model(inner_photo, layers.Conv2D(4, 3, dtype=policy)(x), name="base")
    inputs = layers.Input((SIDE, SIDE, 3), name="input_layer")
    x = layers.GlobalAveragePooling2D(name="pooling_layer", dtype=policy)(inner(inputs, training=False))
    scores = layers.Activation("softmax", dtype="float32", name="softmax_float32")(layers.Dense(3, dtype=policy)(x))
    return keras.Model(inputs, scores)


@pytest.fixture(scope="module")
def network() -> Any:  # noqa: ANN401 - Keras is untyped
    return tutorial("float32")


@pytest.fixture(scope="module")
def mine(folder: Path, network: Any) -> Path:  # noqa: ANN401 - Keras is untyped
    path = folder / "mine.h5"
    network.save(path)
    (folder / "labels.txt").write_text(LABELS, encoding="utf-8")
    return path


def inside_a_rescaling(network: Any) -> Any:  # noqa: ANN401 - Keras is untyped
    """What README says to do with a network that expects 0..1."""
    import keras

    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), keras.layers.Rescaling(1 / 255), network])


def in_half_precision(network: Any) -> Any:  # noqa: ANN401 - Keras is untyped
    """As it is saved by those who train on an accelerator."""
    half = tutorial("mixed_float16")
    half.set_weights(network.get_weights())
    return half


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda network: network, id="the tutorial's shape"),
        pytest.param(inside_a_rescaling, id="expects 0..1, inside a rescaling"),
        pytest.param(in_half_precision, id="mixed precision"),
    ],
)
def test_both_engines_give_the_networks_own_probabilities(
    network: Any,  # noqa: ANN401 - Keras is untyped
    tmp_path: Path,
    change: Callable[[Any], Any],
) -> None:
    from training.export import export

    model = change(network)
    path, labels = tmp_path / "mine.h5", tmp_path / "labels.txt"
    model.save(path)
    labels.write_text(LABELS, encoding="utf-8")
    photos = np.random.default_rng(1).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    expected = np.asarray(model(photos.astype(np.float32)), np.float32)
    keras_engine = open_engine(open_bundle(path, labels, "keras"), Settings(engine="keras"))
    np.testing.assert_allclose(probabilities(keras_engine.predict(photos), 1), expected, atol=2e-3)
    export(path, labels)
    fast_engine = open_engine(open_bundle(path, labels, "fast"), Settings(engine="fast"))
    np.testing.assert_allclose(fast_engine.predict(photos), keras_engine.predict(photos), atol=1e-4)


def of_keras_2(layer: dict[str, Any]) -> dict[str, Any]:
    """Describe a layer as Keras 2 did, which the tutorial used: other names, and a number of groups."""
    config = layer["config"]
    if isinstance(config.get("dtype"), dict):
        config["dtype"] = {"class_name": "Policy", "config": config["dtype"]["config"]}
    if layer["class_name"] == "InputLayer":
        names = {"batch_input_shape": config["batch_shape"], "dtype": "float32", "sparse": False, "ragged": False}
        config = {**names, "name": config["name"]}
    if layer["class_name"] == "DepthwiseConv2D":
        config["groups"] = 1
    return {"class_name": layer["class_name"], "config": config}


def test_files_of_keras_2_are_served(tmp_path: Path) -> None:
    import h5py
    import keras
    from keras import layers

    model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers.Rescaling(1 / 255), layers.DepthwiseConv2D(3)])
    for layer in (layers.GlobalAveragePooling2D(), layers.Dense(3), layers.Activation("softmax")):
        model.add(layer)
    path = tmp_path / "old.h5"
    model.save(path)
    with h5py.File(path, "r+") as file:
        told = json.loads(file.attrs["model_config"])["config"]
        config = {"name": told["name"], "layers": list(map(of_keras_2, told["layers"]))}
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": config})
        file.attrs["keras_version"] = "2.9.0"
    photos = np.random.default_rng(1).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    engine = open_engine(open_bundle(path, labels(LABELS)(tmp_path), "keras"), Settings(engine="keras"))
    expected = np.asarray(model(photos.astype(np.float32)))
    np.testing.assert_allclose(probabilities(engine.predict(photos), 1), expected, atol=1e-5)


@pytest.fixture(scope="module")
def served(mine: Path, folder: Path) -> Iterator[Any]:
    settings = {
        "FOOD_VISION_MODEL": str(mine),
        "FOOD_VISION_LABELS": str(folder / "labels.txt"),
        "FOOD_VISION_ENGINE": "keras",
    }
    with running_service(folder, settings) as service:
        yield service


def test_a_server_says_that_its_scores_are_not_calibrated(served: Any) -> None:  # noqa: ANN401
    answer = served.client.post("/v1/predict", content=photo(), headers={"Content-Type": "image/jpeg"}).json()
    assert answer["dish"] in ("fish and chips", "pie", "soup")
    assert answer["calibrated"] is False
    assert [answer[name] for name in ("prediction_set", "coverage", "food", "food_score")] == [None] * 4
    about = served.client.get("/v1/model").json()
    assert (about["name"], about["classes"], about["input_size"]) == ("mine", 3, SIDE)
    assert about["calibrated"] is False
    lines = [json.loads(line) for line in served.log().splitlines() if line.startswith("{")]
    said = [line for line in lines if line.get("level") == "warning"]
    assert [line["message"] for line in said] == [
        "The scores of mine are not calibrated: they rank dishes, and are no probabilities."
    ]


def test_the_shipped_model_is_calibrated_by_both_engines() -> None:
    for engine in ("fast", "keras"):
        bundle = open_bundle(SHIPPED, None, engine)
        assert bundle.metadata.calibrated
        assert bundle.preprocessing.size == 224
        assert len(bundle.display_names) == 101


def no_labels(_: Path) -> None:
    """Leave the setting out."""


def labels(text: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "labels.txt"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def no_text(folder: Path) -> Path:
    (folder / "labels.txt").write_bytes(b"\xff\xfe\0")
    return folder / "labels.txt"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        pytest.param(no_labels, "mine.h5 has no labels of its own: set FOOD_VISION_LABELS", id="none"),
        pytest.param(lambda folder: folder / "none.txt", "none.txt is missing", id="missing file"),
        pytest.param(no_text, "cannot be read as labels", id="no text"),
        pytest.param(labels("pie\nsoup\npie\n"), "has the label 'pie' twice", id="one twice"),
        pytest.param(labels("fish_pie\nsoup\nfish pie\n"), "has the label 'fish pie' twice", id="one twice, as shown"),
        pytest.param(labels("\n"), "must have a label per line, two at least", id="empty"),
        pytest.param(labels("fish\npie\n"), "has 3 outputs but 2 labels", id="too few"),
        pytest.param(labels("fish\npie\nsoup\nsteak\n"), "has 3 outputs but 4 labels", id="too many"),
    ],
)
def test_labels_that_do_not_fit_stop_the_start_with_one_sentence(
    mine: Path, tmp_path: Path, given: Callable[[Path], Path | None], sentence: str
) -> None:
    with pytest.raises(StartupError, match=sentence) as refusal:
        open_engine(open_bundle(mine, given(tmp_path), "keras"), Settings(engine="keras"))
    assert "\n" not in str(refusal.value)


def test_the_fast_engine_says_how_its_file_is_made(mine: Path, folder: Path) -> None:
    with pytest.raises(StartupError, match=r"make it with `.*mine\.h5 --labels .*labels\.txt`, or set FOOD_VISION_ENG"):
        open_bundle(mine, folder / "labels.txt", "fast")


@pytest.mark.parametrize("engine", ["fast", "keras"])
def test_other_labels_than_the_models_own_are_refused(tmp_path: Path, engine: str) -> None:
    with pytest.raises(StartupError, match=r"has other labels than .* has of its own; unset FOOD_VISION_LABELS"):
        open_bundle(SHIPPED, labels("pie\nsoup\n")(tmp_path), engine)


def test_files_that_are_no_models_are_named(tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "mine.h5"
    with pytest.raises(StartupError, match=r"mine\.h5 cannot be read: No such file or directory"):
        open_bundle(path, None, "keras")
    path.write_text("no model")
    with pytest.raises(StartupError, match=r"mine\.h5 is not a Keras model"):
        open_bundle(path, None, "keras")
    with h5py.File(path, "w") as file:
        file["weights"] = [1.0]
    with pytest.raises(StartupError, match="holds no Keras model, but weights at most"):
        open_bundle(path, None, "keras")


def test_a_model_of_any_size_is_refused(tmp_path: Path) -> None:
    import keras

    photo_ = keras.Input((None, None, 3))
    x = keras.layers.GlobalAveragePooling2D()(photo_)
    keras.Model(photo_, keras.layers.Dense(2)(x)).save(tmp_path / "mine.h5")
    with pytest.raises(StartupError, match="must take square RGB photos of one size"):
        open_bundle(tmp_path / "mine.h5", labels("a\nb\n")(tmp_path), "keras")
