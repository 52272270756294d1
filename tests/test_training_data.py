"""What training photos are drawn, from which they are kept out, and how each dish is judged. Needs no PyTorch."""

import importlib
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.photos import pixels
from training import recipes
from training.arrays import read_arrays
from training.blend import blend
from training.classes import CLASSES
from training.data import PER_ROW, TILE, many_sharp, read_ids
from training.metrics import Share
from training.per_class import Confusion, confusions, recall, worst
from training.pools import Pool, held_out_ids, sharp_pool, tile_pool
from training.recipes import IMAGENET, Recipe, left_out
from training.recipes.rows import ROWS, SAID

SHARED = Path(__file__).parent.parent.parent / "shared"
PHOTOS, HELD_OUT = SHARED / "data", SHARED / "model" / "held-out.txt"
CHECKPOINT = SHARED / "model" / "efficientnet-lite0-food101.npz"
WEIGHTS = Path(__file__).parent.parent / "food-vision-model.h5"
HELD = frozenset({"1001", "7002"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tiles of every class, of one colour each, and a sharp photo of the first for three classes; no test set."""
    data = tmp_path_factory.mktemp("data")
    (data / "food64" / "train").mkdir(parents=True)
    lines = [" ".join([name, *ids_of(label)]) for label, name in enumerate(CLASSES)]
    (data / "food64" / "train.txt").write_text("\n".join(lines))
    for label, name in enumerate(CLASSES):
        sheet = Image.new("RGB", (PER_ROW * TILE, TILE), (128, 128, 128))
        for place in range(3):
            sheet.paste((label, 80 * place, 0), (place * TILE, 0, place * TILE + TILE, TILE))
        sheet.save(data / "food64" / "train" / f"{name}.jpg", quality=95, subsampling=0)
    for label in (1, 7, 20):
        photo = data / "sharp" / "train" / CLASSES[label] / f"{label}001.webp"
        photo.parent.mkdir(parents=True)
        Image.fromarray(pixels(300, 224)).save(photo)
    return data


def ids_of(label: int) -> list[str]:
    return [f"{label}00{number}" for number in (1, 2, 3)]


def test_held_out_photos_are_in_neither_pool(folder: Path) -> None:
    assert sharp_pool(folder, HELD).ids == ("7001", "20001")
    tiles = tile_pool(folder, HELD)
    assert len(tiles.ids) == len(tiles.photos) == len(tiles.labels) == 3 * len(CLASSES) - 2
    assert not HELD & set(tiles.ids)


def test_a_tile_goes_with_its_id_and_class(folder: Path) -> None:
    tiles = tile_pool(folder, HELD)
    place = tiles.ids.index("7003")
    assert tiles.labels[place] == 7
    assert tiles.photos[place].shape == (TILE, TILE, 3)
    np.testing.assert_allclose(tiles.photos[place].mean(axis=(0, 1)), (7, 160, 0), atol=3)


def test_sharp_photos_of_classes_left_out_are_not_read(folder: Path) -> None:
    pool = sharp_pool(folder, frozenset(), left_out=(CLASSES[7],))
    assert pool.ids == ("1001", "20001")
    assert [photo.shape for photo in pool.photos] == [(224, 300, 3)] * 2


@pytest.mark.skipif(not HELD_OUT.exists(), reason="photos not present")
def test_no_test_photo_and_no_held_out_photo_can_be_drawn() -> None:
    held = held_out_ids(HELD_OUT)
    forbidden = held | {photo for ids in read_ids(PHOTOS / "food64" / "test.txt").values() for photo in ids}
    trained = {photo for ids in read_ids(PHOTOS / "food64" / "train.txt").values() for photo in ids} - held
    sharp = {path.stem for path in (PHOTOS / "sharp" / "train").glob("*/*.webp")} - held
    assert len(held) == 1_010
    assert not trained & forbidden
    assert not sharp & forbidden


def test_classes_are_drawn_evenly_however_many_photos_they_have() -> None:
    labels = np.repeat([0, 4, 9], [2_000, 50, 5])
    pool = Pool(tuple(map(str, range(len(labels)))), labels, [np.zeros((1, 1, 3), np.uint8)] * len(labels))
    drawn = pool.draw(np.random.default_rng(3), 6_000)
    counts = np.bincount(labels[drawn], minlength=10)[[0, 4, 9]]
    # Each is a binomial count around 2,000 with a standard deviation of 37.
    assert (abs(counts - 2_000) < 150).all()
    assert len(set(drawn[labels[drawn] == 9])) == 5


def test_photos_are_drawn_evenly_where_that_is_asked_for() -> None:
    pool = Pool(tuple("abcd"), np.array([0, 0, 0, 1]), [np.zeros((1, 1, 3), np.uint8)] * 4)
    counts = np.bincount(pool.draw(np.random.default_rng(3), 4_000, by_photo=True))
    # Each is a binomial count around 1,000 with a standard deviation of 27.
    assert (abs(counts - 1_000) < 110).all()


@pytest.mark.parametrize("name", recipes.names())
def test_recipes_run_from_beginning_to_end(name: str) -> None:
    recipe = recipes.load(name)
    ends = [phase.until for phase in recipe.phases]
    assert ends == sorted(set(ends))
    assert ends[-1] == 1
    assert [recipe.phase(end - 1e-9) for end in ends] == list(recipe.phases)
    assert set(recipe.left_out) <= set(CLASSES)


def test_rows_differ_from_the_first_in_one_thing_each() -> None:
    assert ROWS.keys() == SAID.keys()
    first, *others = ROWS.values()
    for recipe in others:
        differing = {name for name, value in asdict(recipe).items() if value != asdict(first)[name]}
        assert len(differing - {"teachers"}) == 1


@pytest.mark.parametrize(
    "told",
    [
        pytest.param({"left_out": ("pho",)}, id="weights that have seen what is left out"),
        pytest.param({"left_out": ("pho",), "start": IMAGENET, "distil": 0.5, "teachers": ("a",)}, id="and teachers"),
        pytest.param({"distil": 0.5}, id="no teachers"),
        pytest.param({"teachers": ("a.npz",)}, id="teachers without a share"),
        pytest.param({"minutes": math.inf}, id="no end"),
    ],
)
def test_recipes_that_contradict_themselves_are_refused(told: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"from ImageNet|both or neither|set either"):
        Recipe(phases=(), **{"minutes": 1} | told)


@pytest.mark.skipif(not PHOTOS.exists(), reason="photos not present")
def test_classes_left_out_are_six_with_many_and_six_with_few_sharp_photos() -> None:
    many = {CLASSES[label] for label in many_sharp(PHOTOS)}
    assert len(set(left_out.MANY) & many) == len(left_out.MANY) == 6
    assert len(set(left_out.FEW) - many) == len(left_out.FEW) == 6


DISHES = ("pho", "ramen", "udon")
LOGITS = np.eye(3)[[0, 0, 1, 1, 1, 1, 0, 2]]
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 2])


def test_dishes_are_judged_one_by_one() -> None:
    shares = recall(LOGITS, LABELS, DISHES)
    assert {dish: (share.value, share.photos) for dish, share in shares.items()} == {
        "pho": (0.5, 4),
        "ramen": (pytest.approx(2 / 3), 3),
        "udon": (1.0, 1),
    }


def test_the_worst_come_first() -> None:
    shares = {dish: Share(value, 0, 1, 10) for dish, value in zip(DISHES, (0.7, 0.9, 0.2), strict=True)}
    assert list(worst(shares, 2)) == ["udon", "pho"]


def test_confusions_are_ordered_by_their_share_of_the_dish() -> None:
    assert confusions(LOGITS, LABELS, DISHES) == [Confusion("pho", "ramen", 2, 4), Confusion("ramen", "pho", 1, 3)]


def test_a_blend_lies_between() -> None:
    first, second = {"a": np.array([0, 4], np.float32)}, {"a": np.array([8, 4], np.float32)}
    np.testing.assert_array_equal(blend(first, second, 0.25)["a"], np.array([2, 4], np.float32))
    with pytest.raises(ValueError, match="only one has a, b"):
        blend(first, {"b": np.array([1], np.float32)}, 0.5)


@pytest.mark.skipif(not CHECKPOINT.exists(), reason="the checkpoint is not present")
def test_the_keras_file_has_the_arrays_of_the_checkpoint_by_name_and_shape() -> None:
    shapes = [{name: array.shape for name, array in read_arrays(path).items()} for path in (CHECKPOINT, WEIGHTS)]
    assert len(shapes[0]) == 247
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("module", "needs"),
    [
        pytest.param("training.calibrate", "keras", id="calibrate"),
        pytest.param("training.evaluate", "keras", id="evaluate"),
        pytest.param("training.train cpu_forty_minutes", "torch", id="train"),
        pytest.param("benchmarks.resize", "torch", id="resize"),
        pytest.param("training.imagenet", "torch", id="imagenet"),
        pytest.param("training.compare --folder none", "torch", id="compare"),
        pytest.param("training.left_out weights.npz", "torch", id="left out"),
        pytest.param("benchmarks.explanations", "keras", id="explanations"),
    ],
)
def test_without_photos_one_sentence_says_where_to_name_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: str, needs: str
) -> None:
    pytest.importorskip(needs)
    name, *arguments = module.split()
    monkeypatch.setattr("sys.argv", [name, *arguments, "--data", str(tmp_path / "none")])
    with pytest.raises(SystemExit) as end:
        importlib.import_module(name).main()
    assert end.value.code == "The photos are not part of the project; name their folder with --data."
