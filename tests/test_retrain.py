"""Photos in, a file out that the server serves: labels, constants and accuracy inside; what is no photo is named."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from food_vision.intake.decode import decode
from food_vision.model.engine import open_engine
from food_vision.model.own import open_bundle
from food_vision.preprocessing import Preprocessing
from food_vision.settings import Settings
from tests.photos import encoded
from training.__main__ import main

SIDE, PHOTOS = 32, 12
DISHES = {"beet_salad": (170, 20, 60), "green_soup": (30, 150, 40), "mash": (230, 210, 150)}
RECIPE = Preprocessing(size=SIDE, filter="bilinear")


def picture(colour: tuple[int, int, int], number: int) -> Image.Image:
    random = np.random.default_rng((*colour, number))
    pixels = np.clip(random.normal(colour, 25, (40, 48 + number, 3)), 0, 255)
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Pictures of three dishes that their colours tell apart."""
    for name, colour in DISHES.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(PHOTOS):
            path = tmp_path / "photos" / name / f"{number:02}.jpg"
            path.write_bytes(encoded(picture(colour, number), "JPEG"))
    return tmp_path / "photos"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with blocks as the shipped one has them, in a file such as the shipped one."""
    import keras
    from keras import layers

    from food_vision.model.bundle import Metadata
    from training.checkpoint import save

    keras.utils.set_random_seed(3)
    photo = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 128, offset=-127 / 128)(photo)
    for number in range(2):
        x = layers.Conv2D(8, 3, strides=2, name=f"blocks_{number:02}_expand")(x)
        x = layers.ReLU()(layers.BatchNormalization(name=f"blocks_{number:02}_expand_bn")(x))
    pooled = layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(photo, layers.Softmax()(layers.Dense(4)(pooled)))
    path = tmp_path_factory.mktemp("start") / "start.h5"
    names = ("a", "b", "c", "d")
    known = Metadata(name="start", version="9", classes=names, display_names=names, preprocessing=RECIPE)
    save(model, path, known)
    return path


Train = Callable[..., Path]


@pytest.fixture
def train(data: Path, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Run the command with these words besides."""

    def run(*words: str) -> Path:
        out = tmp_path / "mine.h5"
        fixed = ["--data", str(data), "--out", str(out), "--start", str(start), "--run", str(tmp_path / "run")]
        monkeypatch.setattr("sys.argv", ["training", *fixed, *words])
        main()
        return out

    return run


def test_the_file_is_served_as_it_is(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    out = train("--epochs", "4")
    bundle = open_bundle(out, None, "fast")
    assert bundle.metadata.classes == tuple(DISHES)
    assert bundle.display_names == ("beet salad", "green soup", "mash")
    assert bundle.metadata.calibrated
    assert bundle.preprocessing == RECIPE
    assert bundle.metadata.origin == "trained on from start 9"
    assert {row.measure for row in bundle.metadata.accuracy} == {"top-1", "mean over classes"}
    assert bundle.metadata.accuracy[0].count == 3 * 2
    assert 0 < bundle.metadata.temperature < 1, "right on every held-out photo: surer than it was"
    said = capsys.readouterr().out
    assert "3 classes; photos: 24 to learn from, 6 held out for choices, 6 to test on" in said
    assert re.search(r"own test photos, top-1: 100\.0 % \(61\.0 to 100\.0\) of 6", said)
    assert f"Serve them: FOOD_VISION_MODEL={out} python main.py" in said
    fresh = [decode(encoded(picture(colour, 99), "PNG"), RECIPE).pixels for colour in DISHES.values()]
    for kind in ("fast", "keras"):
        engine = open_engine(open_bundle(out, None, kind), Settings.model_validate({"engine": kind}))
        assert engine.predict(np.stack(fresh)).argmax(axis=1).tolist() == [0, 1, 2]


def test_the_last_blocks_learn_and_the_others_do_not(train: Train, start: Path) -> None:
    import keras

    out = train("--epochs", "2", "--fine-tune", "1", "--blocks", "1")
    before, after = (keras.models.load_model(path, compile=False) for path in (start, out))
    moved = {
        layer.name: not np.array_equal(layer.get_weights()[0], after.get_layer(layer.name).get_weights()[0])
        for layer in before.layers
        if layer.name.startswith("blocks")
    }
    assert moved == {
        "blocks_00_expand": False,
        "blocks_00_expand_bn": False,
        "blocks_01_expand": True,
        "blocks_01_expand_bn": False,
    }
    assert open_bundle(out, None, "fast").metadata.classes == tuple(DISHES)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def text_instead(path: Path) -> None:
    path.write_text("to do: take photos of soup", encoding="utf-8")


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        pytest.param(cut_short, "cut short", id="truncated"),
        pytest.param(text_instead, "plain text", id="no photo"),
        pytest.param(lambda path: path.write_bytes(b""), "empty", id="empty"),
    ],
)
def test_what_is_no_photo_is_named_or_left_out(
    train: Train, data: Path, capsys: pytest.CaptureFixture[str], harm: Callable[[Path], None], reason: str
) -> None:
    path = data / "mash" / "07.jpg"
    harm(path)
    with pytest.raises(SystemExit) as end:
        train("--epochs", "1")
    sentence = str(end.value.code)
    assert sentence.startswith(f"{path}: ")
    assert reason in sentence
    assert "--skip-bad" in sentence
    train("--epochs", "1", "--skip-bad")
    assert f"left out: {path}: " in capsys.readouterr().out


def test_a_class_without_a_good_photo_is_named(train: Train, data: Path) -> None:
    for path in (data / "mash").iterdir():
        text_instead(path)
    with pytest.raises(SystemExit, match="The class mash has no readable photo left to learn from"):
        train("--epochs", "1", "--skip-bad")


def test_a_start_that_is_missing_is_named(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sys.argv", ["training", "--data", str(data), "--out", str(tmp_path / "a.h5"), "--start", "nowhere.h5"]
    )
    with pytest.raises(SystemExit, match=r"nowhere\.h5 is missing: it is what training starts from"):
        main()


class Stopped(Exception):
    """Somebody pressed Ctrl-C."""


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    import keras

    from training.fitting import Plan, learn

    random = np.random.default_rng(5)
    features = random.normal(size=(60, 4)).astype(np.float32)
    labels = (features[:, 0] > 0).astype(np.int64)
    plan = Plan("layer", epochs=3, rate=1e-2)

    def fresh() -> Any:  # noqa: ANN401 - Keras is untyped
        dense = keras.layers.Dense(2, kernel_initializer="zeros")
        return keras.Sequential([keras.Input((4,)), dense])

    def judge(model: Any) -> tuple[NDArray[np.float32], NDArray[np.int64]]:  # noqa: ANN401 - Keras is untyped
        return np.asarray(model(features)), labels

    def run(folder: Path, patience: int) -> Any:  # noqa: ANN401 - Keras is untyped
        left = iter(range(patience))

        def draw(places: NDArray[np.int64]) -> dict[str, Any]:
            if next(left, None) is None:
                raise Stopped
            return {"x": features[places], "y": labels[places], "batch_size": plan.batch}

        return learn(fresh(), plan, draw, labels, judge, folder)

    whole, history = run(tmp_path / "whole", 3)
    with pytest.raises(Stopped):
        run(tmp_path / "parts", 2)
    resumed, again = run(tmp_path / "parts", 1)
    for one, other in zip(history, again, strict=True):
        assert one.held_out_nll == pytest.approx(other.held_out_nll, rel=1e-5)
    for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("count", "spare"),
    [
        pytest.param(18, None, id="too few"),
        pytest.param(19, 1, id="just enough"),
        pytest.param(100, 5, id="a hundred"),
    ],
)
def test_prediction_sets_are_promised_by_enough_photos_only(count: int, spare: int | None) -> None:
    from training.honesty import fit_set

    true = np.linspace(0.2, 0.9, count)
    chances = np.stack([true, 1 - true], axis=1)
    promise = fit_set(chances, np.zeros(count, np.int64))
    if spare is None:
        assert promise is None
    else:
        assert promise is not None
        assert promise.threshold == pytest.approx(true[spare - 1])
        assert (true >= promise.threshold).mean() >= 0.95


def test_few_photos_that_are_all_right_change_the_temperature_little() -> None:
    from training.honesty import fit_constants

    logits = np.array([[2.0, 0.0], [0.0, 2.0]], np.float32)
    few, many = (fit_constants(np.tile(logits, (n, 1)), np.tile([0, 1], n)).temperature for n in (3, 300))
    assert many < 0.3
    assert few > 0.7
