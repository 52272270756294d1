"""The measures behind the evaluation, against numbers worked out by hand or known from books."""

import math

import numpy as np
import pytest

from food_vision.model.scores import chance_of_food
from training.calibrate import WRONG_LABELS, fit_prediction_set, fit_temperature
from training.metrics import auroc, class_mean, ece, nll, top, wilson
from training.not_food import FAR, fit_chance, fit_line, threshold

LOGITS = np.log(np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.3, 0.6]]))
LABELS = np.array([0, 1, 1, 2])


def test_top_counts_the_first_k() -> None:
    assert top(LOGITS, LABELS).value == 0.75
    assert top(LOGITS, LABELS, 2).value == 1.0


def test_mean_over_classes_weighs_classes_alike() -> None:
    assert class_mean(LOGITS, LABELS).value == pytest.approx((1 + 0.5 + 1) / 3)


def test_nll_is_the_mean_of_minus_the_logarithm() -> None:
    expected = -(math.log(0.7) + math.log(0.3) + math.log(0.7) + math.log(0.6)) / 4
    assert nll(LOGITS, LABELS) == pytest.approx(expected)


def test_ece_is_the_mean_gap_of_the_bins() -> None:
    # Bin [10/15, 11/15): two photos at 0.7, both right. Bin [9/15, 10/15): two at 0.6, one right.
    assert ece(LOGITS, LABELS) == pytest.approx(0.5 * 0.3 + 0.5 * 0.1)


def test_wilson_agrees_with_the_textbook() -> None:
    share = wilson(9, 10)
    assert (share.low, share.high) == pytest.approx((0.5958, 0.9821), abs=1e-4)
    assert wilson(0, 10).low == pytest.approx(0, abs=1e-12)


def test_auroc_counts_equals_half() -> None:
    assert auroc(np.array([3.0, 1.0]), np.array([1.0, 0.0])) == pytest.approx((1 + 1 + 0.5 + 1) / 4)


def test_the_temperature_that_made_the_logits_is_found_again() -> None:
    # The true chances times three as logits: whoever divides by three has them again.
    chances = np.array([0.7, 0.2, 0.1])
    labels = np.repeat([0, 1, 2], [70, 20, 10])
    logits = np.tile(3 * np.log(chances), (100, 1)).astype(np.float32)
    assert fit_temperature(logits, labels) == pytest.approx(3, abs=1e-3)


def test_wrong_labels_do_not_soften_the_temperature() -> None:
    random = np.random.default_rng(0)
    chances = random.dirichlet(np.full(50, 0.05), 20_000)
    logits = 2 * np.log(np.maximum(chances, 1e-30)).astype(np.float32)
    true = np.array([random.choice(50, p=row) for row in chances])
    wrong = random.random(len(true)) < WRONG_LABELS
    known = np.where(wrong, random.integers(0, 50, len(true)), true)
    assert fit_temperature(logits, known) > 2.3
    assert fit_temperature(logits, known, WRONG_LABELS) == pytest.approx(2, rel=0.02)


def test_the_prediction_set_keeps_its_promise_for_the_true_labels_though_some_known_ones_are_wrong() -> None:
    random = np.random.default_rng(0)
    chances = random.dirichlet(np.full(50, 0.05), 20_000)
    true = np.array([random.choice(50, p=row) for row in chances])
    wrong = random.random(len(true)) < WRONG_LABELS
    known = np.where(wrong, random.integers(0, 50, len(true)), true)
    promise = fit_prediction_set(chances[:10_000], known[:10_000], 0.9)
    fresh, labels = chances[10_000:], true[10_000:]
    assert (fresh[np.arange(len(labels)), labels] >= promise.threshold).mean() == pytest.approx(0.9, abs=0.01)


def test_five_fits_in_six_keep_the_promise() -> None:
    random = np.random.default_rng(0)
    chances = random.dirichlet(np.full(10, 0.2), 110_000)
    true = np.array([random.choice(10, p=row) for row in chances])
    fresh, labels = chances[100_000:], true[100_000:]
    kept = 0
    for start in range(0, 100_000, 1_000):
        places = slice(start, start + 1_000)
        wrong = random.random(1_000) < WRONG_LABELS
        known = np.where(wrong, random.integers(0, 10, 1_000), true[places])
        promise = fit_prediction_set(chances[places], known)
        kept += (fresh[np.arange(len(labels)), labels] >= promise.threshold).mean() >= 0.95
    assert 75 <= kept <= 95


def test_too_few_photos_for_the_promise_give_the_largest_sets() -> None:
    chances = np.array([[0.7, 0.3], [0.6, 0.4]])
    assert fit_prediction_set(chances, np.array([0, 1])).threshold == pytest.approx(0.4)


def test_the_chance_of_food_is_the_one_that_made_the_photos() -> None:
    # Two bells of one width, 4 apart: the logarithm of their ratio is a line of slope 4, zero in the middle.
    random = np.random.default_rng(0)
    chance = fit_chance(random.normal(7, 1, 40_000), random.normal(3, 1, 10_000))
    assert (chance.slope, chance.midpoint) == pytest.approx((4, 5), rel=0.05)
    assert chance_of_food(5, chance) == pytest.approx(0.5, abs=0.1)


def test_food_that_never_looks_like_the_rest_has_a_curve_too() -> None:
    chance = fit_chance(np.array([5.0, 6, 7]), np.array([1.0, 2, 3]))
    assert chance.slope > 0
    assert 3 < chance.midpoint < 5


def test_the_line_says_of_each_photo_what_the_others_teach() -> None:
    random = np.random.default_rng(0)
    learnt, held_out = random.normal(1, 1, (30, 5)), random.normal(1, 1, (40, 5))
    rest = random.normal(-1, 1, (20, 5))
    line = fit_line(learnt, held_out, rest, ridges=(0.1,))
    without = fit_line(learnt, held_out[1:], rest, ridges=(0.1,))
    # All but equal: mean and spread of the inputs know the photo still.
    assert line.held_out[0] == pytest.approx(without(held_out[:1])[0], abs=0.2)
    assert abs(FAR - line(held_out)).mean() < abs(FAR - line.held_out).mean(), "who was learnt from looks better"
    assert line(np.full((1, 5), 1.0))[0] > 0 > line(np.full((1, 5), -1.0))[0]


def test_a_line_fitted_to_noise_tells_nothing() -> None:
    random = np.random.default_rng(0)
    learnt, held_out, rest = (random.normal(0, 1, (100, 90)) for _ in range(3))
    line = fit_line(learnt, held_out, rest)
    assert auroc(line.held_out, line.rest) == pytest.approx(0.5, abs=0.12)


def test_the_threshold_keeps_a_little_more_food_than_is_promised() -> None:
    food = np.random.default_rng(0).normal(0, 1, 1_010)
    assert (food >= threshold(food)).mean() == pytest.approx(0.96, abs=0.001)
