"""The evaluation: its figures against numbers known beforehand, one run on small photos, and the pages made from it."""

import hashlib
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from food_vision.model.bundle import load_bundle
from tests.photos import pixels
from training.classes import CLASSES
from training.data import PER_ROW, TILE
from training.evaluation import measure, pages, run
from training.evaluation.answers import Answers
from training.evaluation.compare import Other, top1_difference
from training.evaluation.diagram import reliability_svg
from training.evaluation.facts import Report, read, write
from training.evaluation.places import PLACES
from training.evaluation.tables import table
from training.metrics import mean, reliability, wilson

WEIGHTS = Path(__file__).parent.parent / "food-vision-model.h5"
DISHES = ("pho", "ramen", "udon", "laksa")


def answers(labels: list[int], named: list[int], score: float = 0.7) -> Answers:
    """Answers of four dishes: what was named has the score, the others share the rest; sets hold two dishes."""
    count = len(labels)
    chances = np.full((count, len(DISHES)), (1 - score) / (len(DISHES) - 1))
    chances[np.arange(count), named] = score
    sets = np.zeros_like(chances, np.bool_)
    sets[np.arange(count), named] = True
    sets[:, 0] = True
    return Answers(np.array(labels), chances, chances, sets, np.arange(count) % 2 == 0, 0.95)


def test_a_mean_has_the_textbooks_interval() -> None:
    figure = mean(np.array([1, 2, 3, 4]))
    assert (figure.value, figure.photos) == (2.5, 4)
    # The standard deviation of 1 to 4 is the root of 1.25; half the interval is 1.96 of it over the root of 4.
    assert (figure.low, figure.high) == pytest.approx((2.5 - 1.0957, 2.5 + 1.0957), abs=1e-3)


def test_shares_stay_between_nothing_and_all() -> None:
    assert wilson(0, 50).low == 0
    assert wilson(50, 50).high == pytest.approx(1, abs=1e-12)


def test_bins_hold_the_photos_by_their_score() -> None:
    some = answers([0, 1, 2, 3], [0, 1, 2, 0])
    filled = [one for one in reliability(some.chances, some.labels) if one.right]
    assert len(filled) == 1
    assert filled[0].confidence == pytest.approx(0.7)
    assert filled[0].low < 0.7 < filled[0].high
    assert filled[0].right == wilson(3, 4)


def test_the_calibration_error_varies_as_much_as_the_share_behind_it() -> None:
    random = np.random.default_rng(5)
    some = answers([0] * 2_000, [int(wrong) for wrong in random.random(2_000) < 0.5])
    error = measure.calibration_error(some.chances, some.labels)
    # All in one bin: the error is 0.7 less the share of right answers, and has its standard deviation.
    assert error.value == pytest.approx(0.2, abs=0.03)
    assert error.high - error.low == pytest.approx(2 * 1.96 * 0.5 / 2_000**0.5, rel=0.15)


def test_sets_are_judged_by_the_true_dish() -> None:
    found = measure.coverage("x", answers([0, 1, 2, 3], [0, 1, 0, 0]), DISHES)
    assert found is not None
    assert (found.held, found.size.value) == (wilson(2, 4), 1.25)
    assert (found.alone, found.empty) == (wilson(3, 4), wilson(0, 4))
    assert {dish: share.value for dish, share in found.dishes.items()} == {"pho": 1, "ramen": 1, "udon": 0, "laksa": 0}


def test_the_gap_that_counts_is_what_goes_beyond_the_other_sets() -> None:
    # Classes 2 and 3 have many: right in 90 % against 60 % on sharp photos, 70 % against 60 % on small ones.
    sharp = answers(*_with_shares((0.6, 0.6, 0.9, 0.9), 100))
    small = answers(*_with_shares((0.6, 0.6, 0.7, 0.7), 250))
    found = measure.gaps({"sharp": sharp, "small": small}, np.array([2, 3]), "sharp", "small")
    assert [one.difference.value for one in found.sets] == pytest.approx([0.3, 0.1])
    assert found.beyond.value == pytest.approx(0.2)
    errors = [p * (1 - p) / count / 4 for p, count in [(0.6, 100), (0.6, 100), (0.9, 100), (0.9, 100)]]
    errors += [p * (1 - p) / count / 4 for p, count in [(0.6, 250), (0.6, 250), (0.7, 250), (0.7, 250)]]
    assert found.beyond.high - found.beyond.low == pytest.approx(2 * 1.96 * sum(errors) ** 0.5, rel=0.05)


def _with_shares(shares: tuple[float, ...], each: int) -> tuple[list[int], list[int]]:
    """Return labels and answers of so many photos a class, of which such shares are right."""
    labels = [label for label in range(len(shares)) for _ in range(each)]
    right = [place < round(share * each) for share in shares for place in range(each)]
    return labels, [label if hit else (label + 1) % len(shares) for label, hit in zip(labels, right, strict=True)]


def test_a_difference_is_that_of_the_same_photos() -> None:
    one, other = answers([0, 1, 2, 3], [0, 1, 2, 0]), answers([0, 1, 2, 3], [0, 0, 2, 3])
    assert top1_difference(one, other).value == 0
    assert top1_difference(one, answers([0, 1, 2, 3], [0, 0, 0, 0])).value == 0.5


def test_part_of_the_answers_is_theirs() -> None:
    some = answers([0, 1, 2, 3], [0, 1, 2, 0]).of(np.array([False, True, False, True]))
    assert some.labels.tolist() == [1, 3]
    assert some.food is not None
    assert some.food.tolist() == [False, False]
    assert measure.row("x", some).top1 == wilson(1, 2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like that of the photos: two tiles of every class, sharp photos of some, three without food."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "food64" / "test").mkdir(parents=True)
    lines = [f"{name} {label}1 {label}2" for label, name in enumerate(CLASSES)]
    (folder / "food64" / "test.txt").write_text("\n".join(lines))
    for label, name in enumerate(CLASSES):
        sheet = Image.new("RGB", (PER_ROW * TILE, TILE), (2 * label, 90, 60))
        sheet.save(folder / "food64" / "test" / f"{name}.jpg")
    picture = Image.fromarray(pixels(300, 224))
    sharp = [f"sharp/test/{CLASSES[label]}/{label}1" for label in range(4)]
    for name in [*sharp, *(f"not-food/holdout/{name}" for name in "abc")]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{name}.webp")
    for label, count in enumerate((3, run.MANY, run.MANY - 1)):
        (folder / "sharp" / "train" / CLASSES[label]).mkdir(parents=True)
        for number in range(count):
            (folder / "sharp" / "train" / CLASSES[label] / f"{number}.webp").touch()
    (folder / "sharp" / "test-plain.txt").write_text(f"{CLASSES[0]}/01\n{CLASSES[1]}/11\n")
    return folder


def test_classes_are_grouped_by_their_sharp_training_photos(data: Path) -> None:
    groups = run.class_groups(data, (CLASSES[2], CLASSES[9]))
    assert {name: _some(classes) for name, classes in groups.items()} == {
        "classes with few sharp training photos": [0],
        run.WITH_MANY: [1],
        "classes without sharp training photos": [3, 4, 5],
        "classes left out of training": [2, 9],
    }


def _some(classes: NDArray[np.int64]) -> list[int]:
    return [int(label) for label in classes[:3]]


@pytest.fixture(scope="module")
def report(data: Path) -> Report:
    """One whole evaluation: server's decoder, both engines, the tutorial's lines, the fast file as its own rival."""
    pytest.importorskip("keras")
    other = Other("int8", WEIGHTS.with_suffix(".onnx"))
    return run.evaluate(run.Plan(WEIGHTS, data, "a machine", other=other, rounds=1))


def test_everything_that_was_asked_for_is_measured(report: Report) -> None:
    assert report.model.sha256 == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert {row.photos: row.top1.photos for row in report.rows} == {
        "sharp/test": 4,
        "sharp/test, classes with few sharp training photos": 2,
        "sharp/test, classes with many": 1,
        "sharp/test, classes without sharp training photos": 1,
        "sharp/test reduced to 64 pixels": 4,
        "sharp/test reduced to 64 pixels, classes with few sharp training photos": 2,
        "sharp/test reduced to 64 pixels, classes with many": 1,
        "sharp/test reduced to 64 pixels, classes without sharp training photos": 1,
        "food64/test": 202,
        "food64/test, classes with few sharp training photos": 4,
        "food64/test, classes with many": 2,
        "food64/test, classes without sharp training photos": 196,
        "sharp/test, plainer photos": 2,
        "sharp/test, the others": 2,
    }
    assert [one.photos for one in report.gaps.sets][3:] == [
        "sharp/test, plainer photos",
        "sharp/test reduced to 64 pixels, plainer photos",
    ]
    assert len(report.dishes[1].recall) == len(CLASSES)
    assert report.not_food is not None
    assert [share.photos for share in report.not_food.rest.values()] == [3]


def test_engines_agree_and_are_timed(report: Report) -> None:
    exact = load_bundle(WEIGHTS).precision == "float32"
    assert report.agreement.same.value >= (1 if exact else 0.85)
    assert report.agreement.largest < (1e-3 if exact else 1)
    assert report.precision is not None
    assert report.precision.agreement.largest == 0
    assert {one.value for one in report.precision.differences.values()} == {0}
    assert {speed.threads for speed in report.speed} >= {1}
    assert all(0 < speed.low <= speed.median <= speed.high for speed in report.speed)
    fast, keras = (
        min(s.median for s in report.speed if s.engine.startswith(name)) for name in ("ONNX Runtime", "Keras")
    )
    assert fast < keras


def test_what_is_written_can_be_read_again(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    write(path, report)
    again = read(path)
    assert again.rows[0].top1.value == pytest.approx(report.rows[0].top1.value, abs=1e-5)
    write(tmp_path / "again.json", again)
    assert path.read_bytes() == (tmp_path / "again.json").read_bytes()


def test_the_page_says_it_all(report: Report) -> None:
    text = pages.page(report)
    for row in report.rows:
        assert f"| {row.photos} | {row.top1.photos:,} |" in text
    for heading in ("Accuracy", "Calibration", "Prediction sets of 95 %", "Food or not", "Milliseconds", "Dishes"):
        assert f"## {heading}\n" in text
    assert report.model.sha256 in text
    asked = {dish for found in report.dishes for dish in found.recall}
    assert asked
    assert all(f"| {dish.replace('_', ' ')} |" in text for dish in asked)


def test_the_diagram_is_a_picture(report: Report) -> None:
    drawing = reliability_svg(report.reliability)
    assert drawing == reliability_svg(report.reliability)
    circles = len(re.findall("<circle", drawing))
    filled = [one for some in report.reliability for one in (*some.bins, *some.bins_before) if one.right]
    assert circles == len(filled)
    assert ElementTree.fromstring(drawing).tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize("name", PLACES)
def test_marked_places_are_filled_in(report: Report, name: str) -> None:
    inline, apart = f"<!-- evaluation: {name} -->old<!-- end -->", f"<!-- evaluation: {name} -->\nold\n<!-- end -->"
    text = pages.with_figures(f"before {inline} between\n{apart}\nafter", report)
    shown = PLACES[name](report)
    assert text == f"before {inline} between\n{apart}\nafter".replace("old", shown)
    assert pages.with_figures(text, report) == text


def test_a_place_that_nobody_knows_is_a_mistake(report: Report) -> None:
    with pytest.raises(KeyError, match="wether"):
        pages.with_figures("<!-- evaluation: wether -->\n<!-- end -->", report)


def test_tables_are_markdown() -> None:
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
