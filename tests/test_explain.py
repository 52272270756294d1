"""Explanations: what is hidden, what a cell weighs, and that other callers come in between."""

import asyncio
import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from food_vision.errors import Overloaded
from food_vision.intake.decode import PhotoLimits
from food_vision.model.bundle import Bundle, Metadata, NotFood
from food_vision.model.engine import Batch, Outputs
from food_vision.model.explain import GRID, overlay, weights, with_parts_hidden
from food_vision.preprocessing import Preprocessing
from food_vision.serving.predictor import Predictor
from tests.photos import encoded

SIDE = 28


def test_each_cell_is_hidden_once_and_nothing_else() -> None:
    photo = np.full((SIDE, SIDE, 3), 200, np.uint8)
    hidden = list(with_parts_hidden(photo))
    assert len(hidden) == GRID * GRID
    assert sum((picture != photo).any(axis=-1) for picture in hidden).tolist() == np.ones((SIDE, SIDE)).tolist()
    assert (photo == 200).all()
    assert (hidden[GRID + 2][4:8, 8:12] == 127).all(), "row by row"


def test_sides_that_the_grid_does_not_divide_are_covered() -> None:
    photo = np.zeros((30, 30, 3), np.uint8)
    assert sum((picture != photo).any(axis=-1) for picture in with_parts_hidden(photo)).min() == 1


def test_a_cell_weighs_what_the_log_odds_fall_without_it() -> None:
    whole = np.array([math.log(3), 0, 0])  # odds of 3 to 2
    hidden = np.tile(whole, (GRID * GRID, 1))
    hidden[0, 0] = math.log(1.5)  # halves them
    hidden[1, 0] = math.log(0.75)  # a quarter
    hidden[2, 0] = math.log(6)  # doubles them
    expected = np.zeros((GRID, GRID))
    expected[0, :2] = 0.5, 1
    assert weights(whole, hidden, 0) == pytest.approx(expected)


def test_a_dish_that_no_part_speaks_for_has_an_empty_map() -> None:
    cells = weights(np.zeros(3), np.zeros((GRID * GRID, 3)), 1)
    assert not cells.any()


def test_certainty_does_not_hide_what_it_rests_on() -> None:
    """The probability is 1 with and without the cell, as far as doubles go; the log-odds fall all the same."""
    whole = np.array([100.0, 0.0])
    hidden = np.tile(whole, (GRID * GRID, 1))
    hidden[10, 0] = 60
    assert weights(whole, hidden, 0).argmax() == 10


def test_the_picture_is_bright_where_it_matters() -> None:
    cells = np.zeros((GRID, GRID))
    cells[3, 3] = 1
    with Image.open(io.BytesIO(overlay(np.full((224, 224, 3), 128, np.uint8), cells))) as picture:
        light = np.asarray(picture, np.float64).mean(axis=-1)
    assert light[112, 112] > 100
    assert light[10, 10] < 40


class Spy:
    """Sees a dish in whatever is white; remembers how many photos came together, and which were black."""

    name, lanes = "spy", 1

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.black_after: list[int] = []

    def predict(self, batch: Batch) -> Outputs:
        self.batches.append(len(batch))
        white = (batch == 255).mean(axis=(1, 2, 3))
        if (batch == 0).all(axis=(1, 2, 3)).any():
            self.black_after.append(len(self.batches))
        return np.stack([10 * white, np.ones(len(batch))], axis=1).astype(np.float32)


class ProbingSpy(Spy):
    """Puts out a score of food as well, which is large while nothing is hidden."""

    def predict(self, batch: Batch) -> Outputs:
        grey = (batch == 127).any(axis=(1, 2, 3))
        return np.column_stack([super().predict(batch), np.where(grey, -100, 100)]).astype(np.float32)


def predictor(spy: Spy, explain_limit: int = 16) -> Predictor:
    recipe = Preprocessing(size=SIDE, filter="nearest")
    rule = NotFood(score="probe", threshold=0) if isinstance(spy, ProbingSpy) else None
    metadata = Metadata(
        name="m", version="1", classes=("a", "b"), display_names=("a", "b"), preprocessing=recipe, not_food=rule
    )
    bundle = Bundle(Path("m.h5"), Path("m.onnx"), "0" * 64, metadata)
    return Predictor(
        bundle, spy, PhotoLimits(), decode_threads=1, max_batch=4, queue_limit=8, explain_limit=explain_limit
    )


@pytest.mark.parametrize("spy", [pytest.param(Spy(), id="dishes"), pytest.param(ProbingSpy(), id="and a probe")])
def test_an_explanation_finds_what_the_dish_is_made_of_and_lets_others_pass(spy: Spy) -> None:
    picture = Image.new("RGB", (SIDE, SIDE), (90, 90, 90))
    picture.paste((255, 255, 255), (8, 4, 12, 8))
    ours = predictor(spy)

    async def both() -> np.ndarray:
        explaining = asyncio.create_task(ours.explain(encoded(picture, "PNG"), "a"))
        while not spy.batches:  # noqa: ASYNC110 - what is waited for happens in a thread
            await asyncio.sleep(0)
        await ours.predict_pixels(np.zeros((SIDE, SIDE, 3), np.uint8))
        return (await explaining).cells

    cells = asyncio.run(both())
    ours.close()
    expected = np.zeros((GRID, GRID))
    expected[1, 2] = 1
    assert cells == pytest.approx(expected)
    assert max(spy.batches) <= 4
    assert spy.black_after[0] < len(spy.batches), "the other photo waited for the whole explanation"


def test_a_dish_that_the_model_does_not_know() -> None:
    ours = predictor(Spy())
    with pytest.raises(LookupError):
        asyncio.run(ours.explain(encoded(Image.new("RGB", (SIDE, SIDE)), "PNG"), "gruel"))
    ours.close()


def test_what_has_been_explained_is_drawn_although_all_places_are_taken() -> None:
    ours = predictor(Spy())

    async def draw() -> bytes:
        explained = await ours.explain(encoded(Image.new("RGB", (SIDE, SIDE), "white"), "PNG"))
        for _ in range(8):
            ours.admission.place().hold()
        with pytest.raises(Overloaded):
            ours.admission.require_place()
        return await ours.draw(explained)

    assert asyncio.run(draw()).startswith(b"\x89PNG")
    ours.close()


def test_explanations_go_one_after_the_other_and_have_a_bound_of_their_own() -> None:
    """80 at once used to advance together and end together, past their deadlines."""
    spy = Spy()
    ours = predictor(spy, explain_limit=3)
    photo = encoded(Image.new("RGB", (SIDE, SIDE), "white"), "PNG")
    ended: list[int] = []

    async def explain() -> None:
        await ours.explain(photo)
        ended.append(len(spy.batches))

    async def crowd() -> list[BaseException | None]:
        return await asyncio.gather(*(explain() for _ in range(5)), return_exceptions=True)

    outcomes = asyncio.run(crowd())
    ours.close()
    assert [type(outcome) for outcome in outcomes] == [type(None)] * 3 + [Overloaded] * 2
    runs = GRID * GRID // 4
    assert ended[1] - ended[0] >= runs
    assert ended[2] - ended[1] >= runs
