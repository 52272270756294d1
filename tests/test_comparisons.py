"""Tables of runs: paired differences, the rows that were run, photos reduced as the tiles were."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[train]'")

from tests.photos import photo  # noqa: E402 - what follows needs PyTorch
from training import compare  # noqa: E402
from training.classes import CLASSES  # noqa: E402
from training.data import Sample, sharp, tiles  # noqa: E402
from training.judge import least_nll  # noqa: E402
from training.left_out import as_tile  # noqa: E402
from training.metrics import nll  # noqa: E402
from training.paired import paired_difference, percent, points  # noqa: E402

DATA = Path(__file__).parent.parent.parent / "shared" / "data"


def test_a_difference_between_the_same_answers_is_none() -> None:
    right = np.arange(200) % 3 > 0
    assert paired_difference(right, right) == (0, 0, 0, 200)


def test_a_paired_difference_is_surer_than_its_parts() -> None:
    first = np.arange(1_000) % 2 == 0
    second = first.copy()
    second[:40:2] = False
    difference = paired_difference(first, second)
    assert difference.value == pytest.approx(0.02)
    assert 0.01 < difference.low < 0.02 < difference.high < 0.03
    assert points(difference).startswith("+2.0 (+1.")
    assert percent(difference).startswith("2.0 (1.")


def test_the_likelihood_is_taken_at_the_best_temperature() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 5, 400)
    logits = (np.eye(5)[labels] * 2 + random.normal(0, 1, (400, 5))).astype(np.float32)
    assert least_nll(logits * 3, labels) == pytest.approx(least_nll(logits, labels), abs=2e-3)
    assert least_nll(logits * 3, labels) < nll(logits * 3, labels)


def found(photos: int, right: list[int]) -> compare.Found:
    one = {"top1": [0.5, 0.4, 0.6, len(right)], "class_mean": [0.5, 0.4, 0.6, len(right)], "nll": 1.25, "hits": right}
    return {"photos": photos, "seconds": 300.0, "sharp": one, "tiles": one}


def test_rows_are_compared_with_the_first() -> None:
    lines = compare.table({"base": found(30_000, [1, 0] * 50), "lite2": found(15_000, [1, 1] * 50)}).splitlines()
    assert {line.count("|") for line in lines} == {12}
    assert "| 30,000 | 100 | 50.0 (40.0 to 60.0) |  | 50.0" in lines[2]
    assert lines[3].startswith("| Lite2 | 15,000 | 50 | 50.0 (40.0 to 60.0) | +50.0 (+4")


def test_a_table_without_the_first_row_has_no_differences() -> None:
    [*_, line] = compare.table({"lite2": found(15_000, [1, 1])}).splitlines()
    assert "+" not in line


def test_a_reduced_photo_is_a_square_of_64_pixels() -> None:
    tile = as_tile(Sample("1", 3, photo("WEBP", 300, 224)))
    with Image.open(io.BytesIO(tile.data)) as image:
        assert (image.size, image.format) == ((64, 64), "JPEG")
    assert (tile.id, tile.label) == ("1", 3)


@pytest.mark.skipif(not DATA.exists(), reason="photos not present")
def test_a_reduced_photo_is_the_tile_of_the_same_photo() -> None:
    chosen = frozenset(path.stem for path in sorted((DATA / "sharp" / "test" / CLASSES[0]).glob("*.webp"))[:8])
    large, small = ({one.id: one for one in read(DATA, "test", chosen)} for read in (sharp, tiles))
    assert large.keys() == small.keys() == chosen
    for name, one in large.items():
        both = (np.asarray(Image.open(io.BytesIO(data)), float) for data in (as_tile(one).data, small[name].data))
        first, second = both
        # The sharp photo was compressed once more and is smaller than the original was.
        assert np.abs(first - second).mean() < 6
