"""Logits → probabilities, ranking, food or not; every expected number is worked out by hand."""

import math
from pathlib import Path

import numpy as np
import pytest

from food_vision.errors import InternalError
from food_vision.model.bundle import Bundle, Logistic, LogitScore, Metadata, NotFood, PredictionSet
from food_vision.model.scores import Scorer, food_scores

LOG2 = math.log(2)


def scorer(
    temperature: float = 1.0, not_food: NotFood | None = None, prediction_set: PredictionSet | None = None
) -> Scorer:
    metadata = Metadata(
        name="three",
        version="1",
        classes=("a_b", "c", "d"),
        display_names=("a b", "c", "d"),
        temperature=temperature,
        not_food=not_food,
        prediction_set=prediction_set,
    )
    return Scorer(Bundle(Path("three.h5"), Path("three.onnx"), "0" * 64, metadata))


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [
        pytest.param(1.0, (4 / 7, 2 / 7, 1 / 7), id="as they are"),
        pytest.param(0.5, (16 / 21, 4 / 21, 1 / 21), id="sharpened"),
        pytest.param(2.0, (2 / 4.414214, 1.414214 / 4.414214, 1 / 4.414214), id="softened"),
    ],
)
def test_temperature_divides_the_logits(temperature: float, expected: tuple[float, ...]) -> None:
    scores = scorer(temperature).score(np.array([0, 2 * LOG2, LOG2], np.float32))
    assert [ranked.dish for ranked in scores.ranked] == ["c", "d", "a b"]
    assert [ranked.score for ranked in scores.ranked] == pytest.approx(expected, abs=1e-6)


def test_equals_stand_in_the_order_of_the_outputs() -> None:
    ranked = scorer().score(np.zeros(3, np.float32)).ranked
    assert [dish for dish, _ in ranked] == ["a b", "c", "d"]
    assert [score for _, score in ranked] == pytest.approx([1 / 3] * 3)


def test_huge_logits_do_not_overflow() -> None:
    rule = NotFood(score="energy", threshold=0, chance=Logistic(slope=1, midpoint=0))
    scores = scorer(not_food=rule).score(np.array([1e5, -1e5, 0], np.float32))
    assert [score for _, score in scores.ranked] == [1.0, 0.0, 0.0]
    assert scores.food_score == 1
    assert scorer(not_food=rule).score(np.full(3, -1e5, np.float32)).food_score == pytest.approx(0)


@pytest.mark.parametrize(
    "logits",
    [
        pytest.param([0, math.nan, 0], id="not a number"),
        pytest.param([0, math.inf, 0], id="infinite"),
        pytest.param([0, 1], id="too few"),
        pytest.param([[0, 1, 2]], id="a batch"),
    ],
)
def test_nonsense_is_refused(logits: list[float]) -> None:
    with pytest.raises(InternalError):
        scorer().score(np.array(logits, np.float32))


@pytest.mark.parametrize(
    ("name", "score"),
    [
        pytest.param("max_probability", 16 / 21, id="highest calibrated probability"),
        pytest.param("max_logit", 2 * LOG2, id="highest logit, not divided"),
        pytest.param("energy", math.log(7), id="log-sum-exp, not divided"),
        pytest.param("centred_max_logit", LOG2, id="highest logit less their mean"),
        pytest.param("centred_energy", math.log(7 / 2), id="log-sum-exp less their mean"),
    ],
)
def test_food_is_told_by_the_score_that_the_model_names(name: LogitScore, score: float) -> None:
    logits = np.array([0, 2 * LOG2, LOG2], np.float32)
    assert food_scores(logits, name, 0.5) == pytest.approx(score, abs=1e-6)
    for threshold, food in ((score - 1e-3, True), (score + 1e-3, False)):
        assert scorer(0.5, NotFood(score=name, threshold=threshold)).score(logits).food is food


def test_the_probe_is_the_output_behind_the_dishes() -> None:
    rule = NotFood(score="probe", threshold=-0.5, chance=Logistic(slope=math.log(3), midpoint=-1))
    probing = scorer(not_food=rule)
    scores = probing.score(np.array([0, 2 * LOG2, LOG2, 0], np.float32))
    assert [score for _, score in scores.ranked] == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    assert scores.food is True
    assert scores.food_score == pytest.approx(3 / 4)
    assert probing.score(np.array([9, 0, 0, -0.6], np.float32)).food is False
    assert probing.logits(np.ones((5, 4), np.float32)).shape == (5, 3)


@pytest.mark.parametrize(
    "outputs",
    [
        pytest.param([0, 1, 2], id="none"),
        pytest.param([0, 1, 2, math.nan], id="not a number"),
    ],
)
def test_without_the_probes_score_there_is_no_answer(outputs: list[float]) -> None:
    with pytest.raises(InternalError):
        scorer(not_food=NotFood(score="probe", threshold=0)).score(np.array(outputs, np.float32))


def test_the_score_of_food_becomes_a_chance() -> None:
    rule = NotFood(score="max_logit", threshold=5, chance=Logistic(slope=math.log(3), midpoint=1))
    scores = scorer(not_food=rule).score(np.array([2, 0, 0], np.float32))
    assert scores.food is False
    assert scores.food_score == pytest.approx(3 / 4)


def test_without_a_curve_there_is_no_chance_of_food() -> None:
    scores = scorer(not_food=NotFood(score="max_logit", threshold=1)).score(np.array([2, 0, 0], np.float32))
    assert scores.food is True
    assert scores.food_score is None


@pytest.mark.parametrize(
    ("threshold", "dishes"),
    [
        pytest.param(0.1, ("c", "d", "a b"), id="all"),
        pytest.param(0.2, ("c", "d"), id="the likeliest first"),
        pytest.param(0.5, ("c",), id="one"),
        pytest.param(0.6, (), id="none is likely enough"),
    ],
)
def test_the_prediction_set_is_every_dish_from_the_threshold_on(threshold: float, dishes: tuple[str, ...]) -> None:
    promise = PredictionSet(coverage=0.95, threshold=threshold)
    scores = scorer(prediction_set=promise).score(np.array([0, 2 * LOG2, LOG2], np.float32))
    assert (scores.prediction_set, scores.coverage) == (dishes, 0.95)


def test_without_a_promise_there_is_no_set() -> None:
    scores = scorer().score(np.zeros(3, np.float32))
    assert (scores.prediction_set, scores.coverage) == (None, None)


def test_without_a_rule_nobody_says_whether_it_is_food() -> None:
    scores = scorer().score(np.zeros(3, np.float32))
    assert scores.food is None
    assert scores.food_score is None
